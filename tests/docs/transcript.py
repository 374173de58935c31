"""Plays the `console` blocks of a page as a reader would, and compares what is printed.

A block's title names its terminal. In a block, `$ ` begins a command, `^C` interrupts the one that
runs in this terminal, and anything else is output, or further output of what still runs there.
`...` stands for anything within a line, and alone on a line for any lines. A block of another
language whose title is a file's name is written to that file.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.snippets import Snippet

WITHIN_S = 180.0
INTERRUPT = "^C"
LOOKS = re.compile(r"headrace (status|dlq ls|dlq show|tail .*--until-idle)\b")
"""Commands that change nothing: a reader who is faster than the workers looks again."""


class DifferentOutputError(AssertionError):
    """A command printed something else than the page shows."""


@dataclass(frozen=True, slots=True)
class Move:
    """One thing a reader does or sees.

    Attributes:
        snippet: The block it stands in.
        command: What is typed; `^C` to interrupt; empty to go on watching.
        shown: The output that the page shows.
    """

    snippet: Snippet
    command: str
    shown: str

    @property
    def terminal(self) -> str:
        """Where it happens."""
        return self.snippet.title


class Running:
    """A command whose output is collected while it runs."""

    def __init__(self, command: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._where = folder / ".transcript-pwd"
        self._process = subprocess.Popen(
            ["bash", "-c", f'{command}\nended=$?; pwd > "$TRANSCRIPT_PWD"; exit $ended'],
            cwd=folder,
            env={**environ, "TRANSCRIPT_PWD": str(self._where)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._printed = ""
        self._changed = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._changed:
                self._printed += line.rstrip() + "\n"
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def expect(self, move: Move, *, to_end: bool) -> None:
        """Wait for the shown output, at the end or while the command runs, and forget it.

        Raises:
            DifferentOutputError: It did not come.
        """
        pattern = re.compile(as_pattern(move.shown))
        fits = pattern.fullmatch if to_end else pattern.match
        with self._changed:
            come = self._changed.wait_for(
                lambda: self._is_over or (not to_end and fits(self._printed)), WITHIN_S
            )
            found = fits(self._printed)
            if not come or found is None:
                raise DifferentOutputError(
                    f"{move.snippet}: {move.command}\n--- shown\n{move.shown}"
                    f"--- printed\n{self._printed}" + ("" if come else "--- still running\n")
                )
            self._printed = self._printed[found.end() :]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def folder(self) -> Path:
        """Return where the shell stood at the end."""
        self._process.wait(WITHIN_S)
        place = Path(self._where.read_text().strip())
        self._where.unlink()
        return place

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


def moves(snippet: Snippet) -> Iterator[Move]:
    """Yield what a block says a reader does and sees."""
    command, shown = "", ""
    lines = iter(snippet.text.splitlines())
    for line in lines:
        if line.startswith("$ ") or line == INTERRUPT:
            if command or shown:
                yield Move(snippet, command, shown)
            command, shown = line.removeprefix("$ "), ""
            while command.endswith("\\"):
                command += "\n" + next(lines)
        else:
            shown += line.rstrip() + "\n"
    yield Move(snippet, command, shown)


def as_pattern(shown: str) -> str:
    """Return the regular expression that shown output stands for."""
    lines = (
        r"(?:.*\n)*?" if line == "..." else r".*?".join(map(re.escape, line.split("..."))) + r"\n"
        for line in shown.splitlines()
    )
    return "".join(lines)


def play(snippets: Sequence[Snippet], folder: Path, environ: Mapping[str, str]) -> None:
    """Do and see everything that the blocks of a page say, in order.

    Raises:
        DifferentOutputError: Something else was printed.
    """
    scene = [move for each in snippets for move in _moves_of(each)]
    running: dict[str, Running] = {}
    try:
        for number, move in enumerate(scene):
            if move.snippet.language != "console":
                (folder / move.terminal).write_text(move.shown, encoding="utf-8")
            elif LOOKS.match(move.command):
                _look(move, folder, environ)
            else:
                folder = _act(move, scene[number + 1 :], running, folder, environ)
    finally:
        for each in running.values():
            each.close()


def _look(move: Move, folder: Path, environ: Mapping[str, str]) -> None:
    """Run a command again until it prints what is shown."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        with contextlib.closing(Running(move.command, folder, environ)) as looking:
            try:
                looking.expect(move, to_end=True)
            except DifferentOutputError:
                if time.monotonic() > deadline:
                    raise
            else:
                return


def _act(
    move: Move,
    later: Sequence[Move],
    running: dict[str, Running],
    folder: Path,
    environ: Mapping[str, str],
) -> Path:
    """Type, watch or interrupt; return where the shell stands then."""
    if move.command == INTERRUPT:
        running[move.terminal].interrupt()
    elif move.command:
        running[move.terminal] = Running(move.command, folder, environ)
    stays = _stays(move, later)
    running[move.terminal].expect(move, to_end=not stays)
    if stays:
        return folder
    with contextlib.closing(running.pop(move.terminal)) as ended:
        return folder if move.command == INTERRUPT else ended.folder()


def _moves_of(snippet: Snippet) -> Iterator[Move]:
    if snippet.language == "console":
        yield from moves(snippet)
    elif snippet.title:
        yield Move(snippet, "", snippet.text)


def _stays(move: Move, later: Sequence[Move]) -> bool:
    """Whether a command goes on after what is shown of it: later it is watched or interrupted."""
    here = next((each for each in later if each.terminal == move.terminal), None)
    return here is not None and (not here.command or here.command == INTERRUPT)
