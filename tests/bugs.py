"""Bugs that are planted to see whether simulation and campaign notice."""

from typing import Any

import pytest

from headrace.core import offset_map, wire
from headrace.core.joining import Outcome
from headrace.core.ledger import Draft, Ledger
from headrace.core.records import Committed
from headrace.core.runs import Runs
from headrace.runtime.collecting import Collector
from headrace.runtime.outputs import Outputs


def commit_highest_seen(patch: pytest.MonkeyPatch) -> None:
    def encode(self: Ledger, records: Any, slot: str, nonce: int) -> Draft:
        base = self.position
        text = offset_map.encode(slot, nonce, base, Runs())
        return Draft(records, Committed(base, text), base, Runs())

    patch.setattr(Ledger, "_encode", encode)


def map_dropped(patch: pytest.MonkeyPatch) -> None:
    def encode(self: Ledger, records: Any, slot: str, nonce: int) -> Draft:
        base, done = self._after(records)
        text = offset_map.encode(slot, nonce, base, Runs())
        return Draft(records, Committed(base, text), base, done)

    patch.setattr(Ledger, "_encode", encode)


def outcome_lost(patch: pytest.MonkeyPatch) -> None:
    outcome = Outputs.outcome

    def silent(self: Outputs, item: Any) -> Any:
        return [] if item.outcome is Outcome.DROPPED else outcome(self, item)

    patch.setattr(Outputs, "outcome", silent)


def late_part_handled_twice(patch: pytest.MonkeyPatch) -> None:
    restore = Collector.restore

    def careless(self: Collector, item: Any, headers: Any) -> Any:
        if headers.get(wire.OUTCOME) == wire.CLOSED:
            self._tools.ended(item.record, 1, [])
            return []
        return restore(self, item, headers)

    patch.setattr(Collector, "restore", careless)
