"""Where documents end, and with the last of them their records."""

from collections.abc import Sequence
from typing import Final

from headrace.core import wire
from headrace.core.ledger import finish, leader_of
from headrace.core.records import Outgoing, Output, Record
from headrace.runtime.items import Item
from headrace.runtime.outputs import Rows

_NOTHING: Final[Output] = ()


class Ends:
    """Ends the documents of a stage, and finishes records of which no document is left.

    Args:
        keeps_order: Whether children of one record, which end in any order, leave in that of
            their list.
    """

    def __init__(self, *, keeps_order: bool) -> None:
        self._keeps_order = keeps_order

    def settle(self, items: Sequence[Item], rows: Sequence[Rows]) -> None:
        """End documents with what they leave behind."""
        records = [item.record for item in items]
        if all([r.pending == 1 and r.leader is None and r.outputs is None for r in records]):  # noqa: C419
            finish(records, rows)  # type: ignore[arg-type]
            return
        records = []
        for item, left in zip(items, rows, strict=True):
            record = item.record
            while record.leader is not None:
                record = record.leader
            if left:
                if record.outputs is None:
                    record.outputs = left  # type: ignore[assignment]
                else:
                    record.outputs += left  # type: ignore[arg-type]
            record.pending -= 1
            if not record.pending:
                records.append(record)
        if records:
            finish(records, [self._output(record) for record in records])

    def ended(self, record: Record, count: int, rows: Sequence[Outgoing]) -> None:
        """So many documents of a record ended, and left something behind together."""
        leader = leader_of(record)
        if rows:
            leader.outputs = [*(leader.outputs or ()), *rows]
        leader.pending -= count
        if not leader.pending:
            finish([leader], [self._output(leader)])

    def leave(self, record: Record, row: Outgoing) -> None:
        """Leave a record behind for a document that has not ended yet."""
        leader = leader_of(record)
        leader.outputs = [*(leader.outputs or ()), row]

    def _output(self, record: Record) -> Output:
        outputs = record.outputs
        if outputs is None:
            return _NOTHING
        if self._keeps_order and len(outputs) > 1:
            outputs.sort(key=_place_among_siblings)
        return outputs


def _place_among_siblings(row: Outgoing) -> tuple[int, ...]:
    """Return the indexes in a record's id, outermost split first."""
    id_ = next((content for name, content in row[5] or () if name == wire.ID), None) or b""
    return tuple(map(wire.number, id_.split(b"/")[1:]))
