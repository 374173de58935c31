"""The simulation must see what it is for: each bug planted here turns it red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.core.ledger import Ledger
from headrace.core.records import Committed
from headrace.runtime.assignments import Assignments
from headrace.testing.sink import SimulatedSink
from tests.bugs import commit_highest_seen, map_dropped
from tests.simulation.plants import is_seen
from tests.simulation.schedules import schedule

MOST_SEEDS = 1_500


@contextmanager
def planted(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        PLANTS[name](patch)
        yield


def adoption_without_a_look(patch: pytest.MonkeyPatch) -> None:
    def resolve(self: Ledger, stable: Committed) -> bool:
        if self.has_draft:
            self.undo()
        return True

    patch.setattr(Ledger, "resolve", resolve)


def producer_reused(patch: pytest.MonkeyPatch) -> None:
    init = SimulatedSink.__init__

    def careless(self: SimulatedSink, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        self.is_careless = True

    opened = SimulatedSink.open

    async def open_once(self: SimulatedSink) -> None:
        if self._epoch is None:
            await opened(self)

    patch.setattr(SimulatedSink, "__init__", careless)
    patch.setattr(SimulatedSink, "open", open_once)


def no_epoch_check(patch: pytest.MonkeyPatch) -> None:
    def owned(self: Assignments) -> list[Ledger]:
        return [*self.ledgers.values(), *self._parked.values()]

    patch.setattr(Assignments, "owned", property(owned))


def order_ignored(patch: pytest.MonkeyPatch) -> None:
    line_up = Ledger._line_up

    def scattered(self: Ledger, records: Any) -> None:
        line_up(self, records)
        for record in records:
            record.waits, record.following = False, None
        self._tails.clear()

    patch.setattr(Ledger, "_line_up", scattered)


PLANTS = {
    plant.__name__: plant
    for plant in (
        commit_highest_seen,
        map_dropped,
        adoption_without_a_look,
        producer_reused,
        no_epoch_check,
        order_ignored,
    )
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with planted(monkeypatch, name):
        assert is_seen(schedule, MOST_SEEDS), f"{name} went unseen through {MOST_SEEDS} schedules"
