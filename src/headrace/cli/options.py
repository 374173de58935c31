"""Options that verbs share, each with its environment variable named in its help."""

import difflib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from headrace.cli.exits import Exit, exit_for
from headrace.errors import HeadraceError, SpecError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_VERBOSE = "headrace.verbose"


def option(*names: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Declare an option whose environment variable is `HEADRACE_` and its long name."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "HEADRACE_" + long.removeprefix("--").replace("-", "_").upper()
    settings = {"envvar": variable, "show_envvar": True, **settings}
    if settings.get("default") is not None and not settings.get("is_flag"):
        settings.setdefault("show_default", True)
    return click.option(*names, **settings)


file_argument = click.argument("file", metavar="FILE")


def _check_address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value and not re.fullmatch(r"[^\s/,]+(,[^\s/,]+)*", value):
        raise click.BadParameter(f"{value!r} is not HOST:PORT, as in localhost:9092")
    return value


bootstrap_option = option(
    "--bootstrap-servers",
    metavar="HOST:PORT",
    callback=_check_address,
    envvar="KAFKA_BOOTSTRAP_SERVERS",
    help="Kafka's address instead of the file's; `embedded` for the broker of `headrace up`.",
)

pipeline_option = option(
    "--pipeline",
    metavar="FILE",
    help="Take Kafka's address and security from this pipeline file.",
)

json_option = option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")


class Number(click.ParamType[float]):
    """A number, which says in whole words what it should have been."""

    name = "number"

    def __init__(self, form: str, words: str, convert: Callable[[str], float]) -> None:
        self._form = re.compile(form, re.ASCII)
        self._words = words
        self._convert = convert

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number that a text says."""
        text = str(value)
        number = self._convert(text) if self._form.fullmatch(text) else 0
        if not number:
            self.fail(f"{text!r} is not {self._words}", param, ctx)
        return number


def _seconds(text: str) -> float:
    number = float(text.removesuffix("ms").removesuffix("s"))
    return number / 1000 if text.endswith("ms") else number


POSITIVE = Number(r"\d{0,12}\.?\d{1,6}", "a number above 0, as in 60 or 0.5", float)
SECONDS = Number(r"\d{0,9}\.?\d{1,6}(s|ms)?", "a time above 0, as in 2, 2s or 500ms", _seconds)
COUNT = Number(r"\d{1,6}", "a whole number from 1 on", int)
PORT = Number(
    r"\d{1,5}", "a port from 1 to 65535", lambda text: int(text) if int(text) < 2**16 else 0
)


class Suggesting(click.Group):
    """Commands of which a mistyped one is answered with those that there are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name."""
        known = self.list_commands(ctx)
        name = args[0]
        if name not in known and not name.startswith("-"):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(known)}"
            raise click.UsageError(f"no such command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


class Verb(click.Command):
    """A verb: it takes `-v`, and an error ends it with one piece of advice and its exit code."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params.append(
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                envvar="HEADRACE_VERBOSE",
                show_envvar=True,
                callback=_remember_verbose,
                help="Show the traceback of an error.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what it raises becomes words on stderr and an exit code."""
        # Without a handler Python prints warnings of libraries; what matters is raised.
        logging.getLogger().addHandler(logging.NullHandler())
        try:
            code = super().invoke(ctx)
        except BrokenPipeError:
            # The reader of stdout has seen enough; Python must not flush to it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = Exit.OK
        except BaseExceptionGroup as group:
            error = _first_known(group)
            report(error, with_traceback=ctx.meta.get(_VERBOSE, False))
            code = exit_for(error)
        except (HeadraceError, KeyboardInterrupt, OSError) as error:
            report(error, with_traceback=ctx.meta.get(_VERBOSE, False))
            code = exit_for(error)
        ctx.exit(code or Exit.OK)


class Verbs(Suggesting):
    """A group of verbs."""

    command_class = Verb


def report(error: BaseException, *, with_traceback: bool = False) -> None:
    """Say on stderr what went wrong and what caused it."""
    if with_traceback:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return
    first, *causes = _causes(error)
    # A problem of the pipeline file begins with its place, which editors jump to.
    click.echo(first if isinstance(error, SpecError) else f"error: {first}", err=True)
    for cause in causes:
        click.echo(f"  because: {cause}", err=True)


def _first_known(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended a task group, if it is an error of ours; its siblings follow from it."""
    known, _ = group.split((HeadraceError, KeyboardInterrupt, OSError))
    if known is None:
        raise group
    first: BaseException = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _remember_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_VERBOSE] = value


def _causes(error: BaseException) -> Sequence[str]:
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = _words(cause)
        # The Kafka client's own words are part of the message above it.
        is_repeated = type(cause).__module__ == "cimpl" or any(text in line for line in lines)
        if not is_repeated:
            lines.append(text)
        cause = cause.__cause__
    return lines


def _words(error: BaseException) -> str:
    """Return what an error says; one of the system without its number."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}"
    return str(error) or type(error).__name__
