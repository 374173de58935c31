"""What comes of the parts of a record, or of a parent's children: one document, or why none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.documents import copied
from headrace.core.fields import overlay, projection
from headrace.core.joining import Group, Outcome, Part, combine, gathered
from headrace.core.paths import setter
from headrace.core.steps import GatherStep, JoinMode, OnMissing, Step
from headrace.errors import (
    DecodeError,
    DocumentError,
    MissingPartError,
    OversizeError,
    RecordError,
)
from headrace.runtime.items import Item, Reason
from headrace.runtime.outputs import reason_for
from headrace.runtime.writers import UNWRITABLE


@dataclass(frozen=True, slots=True)
class Assembled:
    """What comes of a group: the item that goes on, and what of it was given up."""

    item: Item
    error: RecordError | None = None


class Assembly:
    """Makes one document of the parts of a record, or of a parent's children."""

    def __init__(
        self, step: Step, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
    ) -> None:
        self._step = step
        self._decode = decode
        self._encode = encode
        self._gather = step if isinstance(step, GatherStep) else None
        self._on_missing = OnMissing.DEAD_LETTER
        if step.join is not None:
            self._on_missing = step.join.waiting.on_missing
        self._overlays = [overlay(inlet.fields or ()) for inlet in step.inlets]
        if self._gather is not None:
            self._fields = projection(self._gather.fields)
            self._kept = projection(self._gather.keep)
            self._put = setter(self._gather.into)

    def open(self, group: Group[Item]) -> None:
        """Decode every part; one that is no document counts as failed."""
        for part in group.parts.values():
            item = part.content
            if item.document is None and item.value is not None:
                try:
                    item.document = self._decode(item.value)
                except Exception as error:  # noqa: BLE001  (whatever a decoder raises)
                    part.outcome = item.outcome = Outcome.FAILED
                    item.reason = reason_for(self._step.name, DecodeError(str(error)))

    def made_of(self, group: Group[Item], base: Item) -> Assembled:
        """Return what comes of a group.

        Raises:
            OversizeError: The children are larger than the step takes.
        """
        self.open(group)
        if group.count is None:
            parts: list[Part[Item] | None] = [None] * len(self._step.inlets)
            for part in group.parts.values():
                parts[part.inlet] = part
            made = self._joined(parts, base, self._on_missing)
            if self._gather is not None and base.outcome is Outcome.EMPTY:
                self._make_empty(base, self._gather)
            return made
        return self._gathered(group, base)

    def _make_empty(self, base: Item, step: GatherStep) -> None:
        """Gather no children, where it was this step's split that found none."""
        if len(base.scope) == step.level:
            base.outcome = Outcome.RESULT
            base.document = copied(base.document or {})
            self._put(base.document, [])

    def _child(self, parts: Sequence[Part[Item] | None]) -> Assembled:
        """Return what comes of a child; one of which a needed part did not come did not come."""
        outcomes = [Outcome.MISSING if part is None else part.outcome for part in parts]
        is_late = Outcome.MISSING in outcomes and Outcome.FAILED not in outcomes
        first = next(part for part in parts if part is not None).content
        on_missing = self._on_missing
        if is_late and on_missing is OnMissing.DROP:
            on_missing = OnMissing.DEAD_LETTER  # it is the parent that is dropped
        made = self._joined(parts, first.copy(), on_missing)
        if is_late and made.item.outcome is Outcome.FAILED:
            made.item.outcome = Outcome.MISSING
        return made

    def _joined(
        self, parts: Sequence[Part[Item] | None], base: Item, on_missing: OnMissing
    ) -> Assembled:
        outcomes = [Outcome.MISSING if part is None else part.outcome for part in parts]
        verdict = combine(self._step, outcomes, on_missing)
        base.outcome = verdict.outcome
        error = MissingPartError(verdict.why) if verdict.is_partial else None
        if verdict.outcome is Outcome.RESULT:
            base.document = self._merged([part for n in verdict.inlets if (part := parts[n])])
        else:
            known = [part.content.document for part in parts if part is not None]
            there = [each for each in known if isinstance(each, dict)]
            base.document = {k: v for each in there for k, v in each.items()} if there else None
        if verdict.outcome is Outcome.FAILED and error is not None:
            reasons = [part.content.reason for part in parts if part and part.content.reason]
            base.reason = reasons[0] if reasons else reason_for(self._step.name, error)
        return Assembled(base, error)

    def _merged(self, parts: Sequence[Part[Item]]) -> Any:
        join = self._step.join
        if join is None or join.mode is JoinMode.FIRST or len(parts) == 1:
            return parts[0].content.document
        carrier = next((part for part in parts if part.inlet == join.carrier), parts[0])
        document = carrier.content.document
        others = [part for part in parts if part is not carrier]
        others.sort(key=lambda part: join.order.index(part.inlet))
        for part in others:
            document = self._overlays[part.inlet](document, part.content.document)
        return document

    def _gathered(self, group: Group[Item], base: Item) -> Assembled:
        step, count = self._gather, group.count
        assert step is not None and count is not None  # noqa: S101, PT018
        rows: dict[int, list[Part[Item] | None]] = {}
        for part in group.parts.values():
            row = rows.setdefault(part.index or 0, [None] * len(step.inlets))
            row[part.inlet] = part
        children: dict[int, Item] = {}
        why: list[str] = []
        for index in sorted(rows):
            made = self._child(rows[index])
            children[index] = made.item
            if made.error is not None and made.item.outcome is Outcome.RESULT:
                why.append(f"child {index}: {made.error}")
        verdict = gathered(step, {n: child.outcome for n, child in children.items()}, count)
        base.outcome = verdict.outcome
        why += [verdict.why] if verdict.is_partial else []
        error = MissingPartError("; ".join(why)) if why else None
        documents = (child.document for child in children.values())
        kept: Any = next((each for each in documents if each is not None), {})
        base.document = copied(self._kept(kept))
        if verdict.outcome is Outcome.RESULT:
            entries = [
                self._entry(children.get(index))
                for index in range(count)
                if index not in children or children[index].outcome is not Outcome.DROPPED
            ]
            self._put(base.document, entries)
            self._check_size(entries, step)
        elif error is not None:
            reasons = [child.reason for child in children.values() if child.reason]
            base.reason = reasons[0] if reasons else reason_for(step.name, error)
        return Assembled(base, error)

    def _check_size(self, entries: Sequence[Any], step: GatherStep) -> None:
        try:
            size = len(self._encode({step.into: entries}))
        except UNWRITABLE as error:
            raise DocumentError(f"the children cannot be written: {error}") from None
        if size > step.max_bytes:
            raise OversizeError(
                f"{len(entries)} children hold {size:,} bytes; the step gathers"
                f" {step.max_bytes:,} (max_bytes)"
            )

    def _entry(self, child: Item | None) -> Any:
        if child is not None and child.outcome is Outcome.RESULT:
            return self._fields(child.document)
        if child is not None and child.outcome is Outcome.TOMBSTONE:
            return None
        reason = child.reason if child is not None else None
        if reason is None:
            reason = Reason(self._step.name, "MissingPartError", "did not come in time")
        return {"failed": {"step": reason.step, "error": reason.error, "message": reason.message}}
