"""Shows what the steps are doing again and again, in place on a terminal."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headrace.cli.settings import say
from headrace.cli.survey import StepSeen, Survey
from headrace.cli.survey_tables import rendered, tables
from headrace.core.topology import Topology
from headrace.errors import BrokerUnavailableError

EVERY_S = 2.0

Show = Callable[[Sequence[StepSeen] | BrokerUnavailableError], None]


def watch_steps(topology: Topology, *, as_json: bool) -> None:
    """Show the steps of a pipeline every two seconds until Ctrl-C, which is how it ends; blocks.

    Raises:
        BrokerError: Kafka refuses; a broker that does not answer is waited for.
    """
    with contextlib.suppress(KeyboardInterrupt), _shown(as_json=as_json) as show:
        asyncio.run(_watch(topology, show))


async def _watch(topology: Topology, show: Show) -> None:
    survey = Survey(topology)
    while True:
        begun = time.monotonic()
        try:
            show(await survey.look())
        except BrokerUnavailableError as error:
            show(error)
        await asyncio.sleep(max(0.0, begun + EVERY_S - time.monotonic()))


@contextlib.contextmanager
def _shown(*, as_json: bool) -> Iterator[Show]:
    if as_json or not sys.stdout.isatty():
        yield lambda seen: _print(seen, as_json=as_json)
        return
    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda seen: live.update(_drawn(seen), refresh=True)


def _print(seen: Sequence[StepSeen] | BrokerUnavailableError, *, as_json: bool) -> None:
    if isinstance(seen, BrokerUnavailableError):
        say(f"waiting: {seen}")
    else:
        print(rendered(seen, as_json=as_json), end="\n" if as_json else "\n\n", flush=True)


def _drawn(seen: Sequence[StepSeen] | BrokerUnavailableError) -> RenderableType:
    if isinstance(seen, BrokerUnavailableError):
        return Text(f"waiting: {seen}", style="yellow")
    return Group(*(_table(*rows) for rows in tables(seen)))


def _table(heading: Sequence[str], *rows: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 1, 0), pad_edge=False)
    for name in heading:
        table.add_column(name)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
