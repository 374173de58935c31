"""The simulation of DAGs must see what it is for: each bug planted here turns it red."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from headrace.core.joining import Group, Table
from headrace.core.ledger import Draft, Ledger
from headrace.core.parting import Parting
from headrace.core.records import Outgoing
from headrace.core.steps import Fields
from headrace.runtime.collecting import Collector
from headrace.runtime.committer import Committer
from tests.bugs import late_part_handled_twice, outcome_lost
from tests.simulation.dag_schedules import Run, dag_schedule, late_schedule
from tests.simulation.plants import is_seen

MOST_SEEDS = 500

Schedule = Callable[[int], Coroutine[Any, Any, Run]]


def parent_finished_before_its_last_child(patch: pytest.MonkeyPatch) -> None:
    is_complete = Table.is_complete

    def hasty(self: Table[Any], group: Group[Any]) -> bool:
        is_nearly = group.count is not None and len(group.parts) >= group.count - 1 > 0
        return is_nearly or is_complete(self, group)

    patch.setattr(Table, "is_complete", hasty)


def carrier_field_dropped(patch: pytest.MonkeyPatch) -> None:
    brought = Parting.brought

    def forgetful(self: Parting, live: Fields) -> Iterator[Fields]:
        for number, fields in enumerate(brought(self, live)):
            yield fields[1:] if number == self.carrier() and fields else fields

    patch.setattr(Parting, "brought", forgetful)


def follower_in_another_transaction(patch: pytest.MonkeyPatch) -> None:
    def one_by_one(
        self: Committer, ledgers: Sequence[Ledger], most: int, most_bytes: int
    ) -> Sequence[tuple[Ledger, Draft]]:
        for ledger in ledgers:
            draft = ledger.draft(len(ledger.released), self._slot, next(self._nonces))
            if draft is not None:
                return [(ledger, draft)]
        return []

    patch.setattr(Committer, "_drafts", one_by_one)


def timeout_without_a_closed_marker(patch: pytest.MonkeyPatch) -> None:
    conclude = Collector._conclude

    def forgotten(self: Collector, group: Any, ending: int, rows: list[Outgoing]) -> Any:
        return conclude(self, group, ending, [])

    patch.setattr(Collector, "_conclude", forgotten)


PLANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Schedule]] = {
    plant.__name__: (plant, schedule)
    for plant, schedule in (
        (outcome_lost, dag_schedule),
        (parent_finished_before_its_last_child, dag_schedule),
        (carrier_field_dropped, dag_schedule),
        (follower_in_another_transaction, dag_schedule),
        (timeout_without_a_closed_marker, late_schedule),
        (late_part_handled_twice, late_schedule),
    )
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, schedule = PLANTS[name]
    plant(monkeypatch)

    assert is_seen(schedule, MOST_SEEDS), f"{name} went unseen through {MOST_SEEDS} schedules"
