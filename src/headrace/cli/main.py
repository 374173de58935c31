"""The command `headrace`: finds the verb and turns how it ended into an exit code."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Suggesting

VERBS: Mapping[str, str] = {
    "up": "headrace.cli.up:up",
    "run": "headrace.cli.run:run",
    "init": "headrace.cli.init:init",
    "lint": "headrace.cli.lint:lint",
    "test": "headrace.cli.cases:test",
    "try": "headrace.cli.trial:try_",
    "bench": "headrace.cli.bench:bench",
    "graph": "headrace.cli.graph:graph",
    "topics": "headrace.cli.topics:topics",
    "status": "headrace.cli.status:status",
    "dlq": "headrace.cli.dlq:dlq",
    "trace": "headrace.cli.trace:trace",
    "send": "headrace.cli.send:send",
    "tail": "headrace.cli.tail:tail",
    "broker": "headrace.cli.broker:broker",
}
"""Verb to where its command is; imported only when it is asked for."""


class LazyVerbs(Suggesting):
    """The verbs, in the order of the table, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they are shown."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command, None if there is no such verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(
    cls=LazyVerbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failure, 2 bad pipeline file or arguments, 3 broker unreachable, "
    "4 model server unreachable, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, value: _show_version(ctx) if value else None,
    help="Show the version and exit.",
)
def headrace() -> None:
    """Kafka streams through models and back to Kafka, exactly once.

    FILE is a pipeline everywhere: FILE.yaml, or module.py:pipeline.
    """


def _show_version(ctx: click.Context) -> None:
    # It takes 40 ms to import, which every other call would pay.
    from importlib.metadata import version

    print(f"headrace {version('headrace')}")
    ctx.exit()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = headrace.main(arguments, prog_name="headrace", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.OK
