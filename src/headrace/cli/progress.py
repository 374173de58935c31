"""How long work shows that it goes on: in place on a terminal, as lines anywhere else."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import click

_LINE_EVERY_S = 2.0
_REDRAW_EVERY_S = 0.1

Tell = Callable[[str], None]
"""Receives what is being done now."""

Count = Callable[[int, int | None], None]
"""Receives how much is done, and of how much where that is known; may be called for each record."""


class Progress:
    """Words for a person on stderr, and what is under way below them.

    On a terminal what is under way is drawn in place and is gone in the end; only what was said
    stays. Elsewhere every step is a line, and a count is one every two seconds if it has moved.
    Calls may come from any thread. Data for stdout is printed after `close`.
    """

    def __init__(self) -> None:
        self._live = _live() if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back as it was. May be repeated."""
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Tell a person something that stays."""
        if self._live is None:
            click.echo(line, err=True)
        else:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Tell]:
        """Show that something of unknown length goes on, until the block ends."""
        if self._live is None:
            yield self.say
            return
        live, task = self._live, self._live.add_task(title, total=None, note="")

        def tell(line: str) -> None:
            # A service that is restarted later tells so where its first start did.
            if task in live.task_ids:
                live.update(task, note=line, refresh=True)
            else:
                self.say(line)

        try:
            yield tell
        finally:
            live.remove_task(task)

    @contextlib.contextmanager
    def count(self, what: str) -> Iterator[Count]:
        """Show how many there are so far, as in `1,200 of 5,000 records done`."""
        if self._live is None:
            # Work that is quickly done needs no line on the way.
            yield _seldom(
                lambda done, total: self.say(counted(done, total, what)),
                _LINE_EVERY_S,
                first_s=_LINE_EVERY_S,
            )
            return
        live, task = self._live, self._live.add_task("", total=None, note="", visible=False)

        def redraw(done: int, total: int | None) -> None:
            note = counted(done, total, what)
            live.update(task, completed=done, total=total, note=note, visible=True, refresh=True)

        try:
            yield _seldom(redraw, _REDRAW_EVERY_S, first_s=0.0)
        finally:
            live.remove_task(task)


def counted(done: int, total: int | None, what: str) -> str:
    """Return a count as words."""
    return f"{done:,} {what}" if total is None else f"{done:,} of {total:,} {what}"


def _seldom(show: Count, every_s: float, first_s: float) -> Count:
    """Pass a count on if it has moved, first after `first_s` and then not more often than so."""
    shown, due_s = 0, time.monotonic() + first_s

    def count(done: int, total: int | None) -> None:
        nonlocal shown, due_s
        now = time.monotonic()
        if done != shown and now >= due_s:
            shown, due_s = done, now + every_s
            show(done, total)

    return count


def _live() -> Any:
    # Imported here, because most output goes to no terminal.
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Live

    return Live(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        transient=True,
    )
