"""What a record says of where it comes from, and what has become of it so far."""

from collections.abc import Callable, Sequence
from typing import Final

from headrace.core import wire
from headrace.core.record_ids import source_of
from headrace.core.records import Header
from headrace.runtime.items import VERSION, Item, scope_headers, user_headers


class Provenance:
    """Writes the headers of all records of a stage but for what is theirs alone.

    Args:
        fingerprint: Hash of the compiled pipeline.
        now_ms: Wall clock, ms since the epoch.
    """

    def __init__(self, fingerprint: str, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._pipeline: Header = (wire.PIPELINE, fingerprint.encode())
        self._trails: dict[bytes, Header] = {}

    def of_results(self, items: Sequence[Item]) -> list[Sequence[Header]]:
        """Return, for sinks, where each comes from and what made it."""
        pipeline, trails = self._pipeline, self._trails
        headers: list[Sequence[Header]] = []
        for item in items:
            models = trails.get(item.trail) or self._trail(item.trail)
            own = [
                (wire.ID, item.id),
                (wire.SOURCE, item.source or source_of(item.id)),
                models,
                pipeline,
            ]
            if item.record.headers is not None:
                own += user_headers(item.record)
            headers.append(own)
        return headers

    def of_derived(self, items: Sequence[Item]) -> list[Sequence[Header]]:
        """Return what the next stage must know of each.

        The usual ones have four, in this order; see `items.from_derived`.
        """
        trails = self._trails
        written: Header = (wire.AT, b"%d" % self._now_ms())
        headers: list[Sequence[Header]] = []
        for item in items:
            models = trails.get(item.trail) or self._trail(item.trail)
            own = [VERSION, (wire.ID, item.id), models, written]
            if item.scope:
                own += scope_headers(item.scope)
            if item.is_replay:
                own.append(_REPLAY)
            if item.deadline:
                own.append((wire.DEADLINE, b"%d" % item.deadline))
            if item.record.headers is not None:
                own += user_headers(item.record)
            headers.append(own)
        return headers

    def of_copy(self, item: Item) -> list[Header]:
        """Return what a copy of the record must say about it."""
        return [
            VERSION,
            (wire.ID, item.id),
            (wire.SOURCE, source_of(item.id)),
            self._pipeline,
            (wire.AT, b"%d" % self._now_ms()),
            *([(wire.MODELS, item.trail)] if item.trail else []),
            *scope_headers(item.scope),
            *([_REPLAY] if item.is_replay else []),
            *([(wire.DEADLINE, b"%d" % item.deadline)] if item.deadline else []),
            *user_headers(item.record),
        ]

    def _trail(self, trail: bytes) -> Header:
        header = (wire.MODELS, trail)
        if len(self._trails) < _MOST_TRAILS:
            self._trails[trail] = header
        return header


_MOST_TRAILS: Final = 1_000
_REPLAY: Header = (wire.REPLAY, b"1")
