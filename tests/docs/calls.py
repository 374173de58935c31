"""Calls of `headrace` in shell texts, read as the command line would read them."""

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator

import click

from headrace.cli.main import headrace


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words after `headrace` of every call in a shell text or a transcript."""
    is_transcript = re.search(r"^\$ ", text, re.MULTILINE) is not None
    for line in text.replace("\\\n", " ").splitlines():
        if is_transcript and not line.startswith("$ "):
            continue
        words = shlex.shlex(line.removeprefix("$ "), punctuation_chars="|&;()<>", posix=True)
        words.whitespace_split = True
        yield from _calls(list(words))


def _calls(words: list[str]) -> Iterator[list[str]]:
    call: list[str] | None = None
    for word in [*words, ";"]:
        if word in {"|", "&", "&&", ";", ">", ">>", "<", "2>"}:
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word == "headrace" or word.endswith("/headrace"):
            call = []


def parse(words: list[str]) -> None:
    """Let click read the words as the command line would; nothing is run.

    Raises:
        ClickException: It would not understand them.
    """
    context: click.Context = click.Context(headrace, info_name="headrace")
    command: click.Command | None = headrace
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words[0]
        command = command.get_command(context, name)
        if command is None:
            raise click.UsageError(f"no such verb: {name}")
        words = words[1:]
    if isinstance(command, click.Group):
        return
    try:
        command.make_context(command.name, list(words), parent=context)
    except click.exceptions.Exit:
        pass  # --help
    except click.BadParameter as error:
        if "does not exist" not in error.message and "No such file" not in error.message:
            raise


def alternatives(call: str) -> Iterator[Iterable[str]]:
    """Return what `plan|apply|delete FILE` stands for; a table's cell escapes the strokes."""
    return itertools.product(*(word.split("\\|") for word in call.split()))
