"""One commit over partitions whose records finish together: no group of them is ever cut."""

from collections.abc import Iterator, Sequence

from headrace.core.ledger import Draft, Ledger
from headrace.core.records import Record


class Bundle:
    """Ledgers of one partition number, in which records of several topics may follow each other.

    Args:
        ledgers: The ledgers, all owned, none with a draft.
        slot: Name of the writer.
        nonces: Names of the commits, one per ledger.
    """

    def __init__(self, ledgers: Sequence[Ledger], slot: str, nonces: Iterator[int]) -> None:
        self._ledgers = ledgers
        self._slot = slot
        self._nonces = nonces

    def draft(self, most: int) -> list[tuple[Ledger, Draft]]:
        """Prepare the commit of released records of all ledgers; empty if nothing fits.

        At most `most` records, but at least one that leads and all that follow it. Cutting by
        offset keeps every lane in order, as in `Ledger.draft`.
        """
        if sum(len(ledger.released) for ledger in self._ledgers) <= most:
            drafts = self._draft([list(ledger.released) for ledger in self._ledgers])
            if drafts is not None:
                return drafts
        leading = self._leading()
        count = _at_most(leading, most)
        while count:
            drafts = self._draft(self._of(leading[:count]))
            if drafts is not None:
                return drafts
            count //= 2
        return []

    def _draft(self, chosen: Sequence[Sequence[Record]]) -> list[tuple[Ledger, Draft]] | None:
        drafts: list[tuple[Ledger, Draft]] = []
        for ledger, records in zip(self._ledgers, chosen, strict=True):
            if not (records or ledger.must_pin or ledger.lags_behind_position):
                continue
            draft = ledger.draft_of(records, self._slot, next(self._nonces))
            if draft is None:
                for drafted, _ in drafts:
                    drafted.undo()
                return None
            drafts.append((ledger, draft))
        return drafts

    def _leading(self) -> list[Record]:
        """Return the records that lead, lowest offsets first, taking the ledgers in turns."""
        ranked: list[tuple[int, int, Record]] = []
        for number, ledger in enumerate(self._ledgers):
            leading = sorted(
                (record for record in ledger.released if record.leader is None),
                key=lambda record: record.offset,
            )
            ranked += [(rank, number, record) for rank, record in enumerate(leading)]
        ranked.sort(key=lambda each: each[:2])
        return [record for _, _, record in ranked]

    def _of(self, leading: Sequence[Record]) -> list[list[Record]]:
        """Return the released records that go with the leading ones, by ledger, in their order."""
        chosen = {id(each) for record in leading for each in (record, *(record.followers or ()))}
        return [
            [record for record in ledger.released if id(record) in chosen]
            for ledger in self._ledgers
        ]


def _at_most(leading: Sequence[Record], most: int) -> int:
    """Return how many leading records hold at most so many, followers counted; at least one."""
    total = 0
    for count, record in enumerate(leading):
        total += 1 + len(record.followers or ())
        if total > most:
            return max(1, count)
    return len(leading)
