"""Writes the reference pages of the command line, log events and metrics from the code itself."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.main import VERBS, headrace
from headrace.telemetry.metrics import LABELS, StageCollector

PACKAGE = Path(__file__).parent.parent

_EXITS: Mapping[Exit, str] = {
    Exit.OK: "everything was done",
    Exit.FAILURE: "something failed",
    Exit.USAGE: "the pipeline file or the arguments are wrong; nothing was started",
    Exit.BROKER: "no Kafka broker answers",
    Exit.MODEL: "a model server does not answer",
    Exit.INTERRUPTED: "stopped by Ctrl-C before it was done",
}


@dataclass(frozen=True, slots=True)
class Event:
    """A log line with a stable name.

    Attributes:
        name: The name.
        level: The level it is logged at.
        module: The module that logs it.
        message: Its message, with the places of its values.
    """

    name: str
    level: str
    module: str
    message: str


def cli_page() -> str:
    """Return the page of the command line as Markdown."""
    return "\n".join(_cli_lines())


def events_page() -> str:
    """Return the page of log events as Markdown."""
    lines = [
        "# Log events",
        "",
        "Generated from the code; do not edit. In JSON logs (`HEADRACE_LOG_FORMAT=json`, or any",
        "output that is no terminal) each line has its `event`; a name never changes its meaning.",
        "",
        "| event | level | message | logged by |",
        "|---|---|---|---|",
    ]
    rows = sorted(events(), key=lambda each: (each.name, each.module))
    lines += [f"| `{e.name}` | {e.level} | {e.message} | `{e.module}` |" for e in rows]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Return the page of metrics as Markdown."""
    labels = ", ".join(f"`{label}`" for label in LABELS)
    lines = [
        "# Metrics",
        "",
        "Generated from the code; do not edit. Every worker serves them under `/metrics` for",
        f"Prometheus. All have the labels {labels};",
        "those of partitions `topic` and `partition` as well. Counters begin at 0 with the worker.",
        "",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    for each in StageCollector([]).collect():
        ending = "_total" if each.type == "counter" else ""
        lines.append(f"| `{each.name}{ending}` | {each.type} | {each.documentation} |")
    return "\n".join(lines) + "\n"


def events() -> Iterator[Event]:
    """Find every log call of the package that names its event."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = _event_of(node)
                if name:
                    level = node.func.attr.replace("exception", "error")
                    yield Event(name, level, module, _message_of(node))


def main(folder: Path) -> None:
    """Write the pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "events.md").write_text(events_page(), encoding="utf-8")
    (folder / "metrics.md").write_text(metrics_page(), encoding="utf-8")


def _cli_lines() -> Iterator[str]:
    yield "# Command line\n"
    yield "Generated from the code; do not edit.\n"
    yield "`FILE` is a pipeline everywhere: `FILE.yaml`, or `module.py:pipeline`. Data goes to"
    yield "stdout, words to stderr.\n"
    yield "| exit code | meaning |\n|---|---|"
    yield from (f"| {code.value} | {text} |" for code, text in _EXITS.items())
    context = click.Context(headrace, info_name="headrace")
    for verb in VERBS:
        command = headrace.get_command(context, verb)
        if command is not None:
            yield from _command(command, context, "##")
    yield ""


def _command(command: click.Command, parent: click.Context, level: str) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=command.name)
    yield f"\n{level} `{context.command_path}`\n"
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {pieces}\n```\n"
    yield inspect.cleandoc(command.help or "")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _command(each, context, level + "#")
        return
    yield "\n| option | meaning |\n|---|---|"
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            option, text = record
            yield f"| `{option}` | {' '.join(text.split()).replace('|', chr(92) + '|')} |"


def _event_of(call: ast.Call) -> str:
    for keyword in call.keywords:
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "event":
                    return str(value.value) if isinstance(value, ast.Constant) else ""
    return ""


def _message_of(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    text = str(first.value) if isinstance(first, ast.Constant) else ""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
