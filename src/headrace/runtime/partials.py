"""Parts of a record as one value: how they are spilled, dead-lettered and remembered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.joining import Group, Outcome, Part
from headrace.core.steps import MOST_CHILDREN, GatherStep, Step
from headrace.errors import DecodeError, DocumentError
from headrace.runtime.items import MOST_TRAIL_BYTES, Item, Level, Reason
from headrace.runtime.writers import UNWRITABLE


@dataclass(frozen=True, slots=True)
class Partial:
    """What had come of a group.

    Attributes:
        parts: Its parts.
        count: Children of the parent, None if unknown.
        since_ms: When its first part came, ms since the epoch.
        is_stray: Whether it is a part that found no place, and says nothing about the others.
    """

    parts: Sequence[Part[Item]]
    count: int | None
    since_ms: int
    is_stray: bool = False


def dumped(
    group: Group[Item], step: Step, since_ms: int, *, documents: bool, is_stray: bool = False
) -> bytes:
    """Return the parts of a group as JSON, with what they hold or only which there are."""
    parts = [_dumped(part, step, documents=documents) for part in group.parts.values()]
    said = {"count": group.count, "since": since_ms, "parts": parts}
    if is_stray:
        said["stray"] = True
    try:
        return _written(said)
    except UNWRITABLE:
        return _written(said | {"parts": [_writable(each) for each in parts]})


def loaded(item: Item, step: Step, *, documents: bool = False) -> Partial:
    """Return the parts that a record of the retry topic holds.

    Args:
        item: The record.
        step: The step that they are parts for.
        documents: Whether every result must have come with its document.

    Raises:
        DecodeError: It is not what `dumped` wrote.
    """
    try:
        said = json.loads(item.value or b"")
        names = {inlet.parent: number for number, inlet in enumerate(step.inlets)}
        count = _count(said["count"], step)
        parts = [_loaded(item, each, names, count) for each in said["parts"]]
        if documents and any(each.outcome is Outcome.RESULT and _is_bare(each) for each in parts):
            raise ValueError("a result without a document")
        since_ms = int(said["since"])
        since_ms.to_bytes(8, signed=True)
        return Partial(parts, count, since_ms, said.get("stray", False))
    except (*UNWRITABLE, LookupError, AttributeError) as error:
        raise DecodeError(f"not the parts of a record: {error!r}") from error


def _count(said: Any, step: Step) -> int | None:
    if said is None:
        return None
    count = int(said)
    if not (isinstance(step, GatherStep) and 0 < count <= MOST_CHILDREN):
        raise ValueError(f"{count} children")
    return count


def _is_bare(part: Part[Item]) -> bool:
    return part.content.document is None


def _written(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def _writable(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part; one whose document only memory can hold counts as failed."""
    try:
        _written(said)
    except UNWRITABLE as error:
        kept = {name: said[name] for name in ("from", "index", "models") if name in said}
        why = {"step": said["from"], "class": DocumentError.__name__, "message": str(error)}
        return {**kept, "outcome": str(Outcome.FAILED), "error": why}
    return said


def _dumped(part: Part[Item], step: Step, *, documents: bool) -> Mapping[str, Any]:
    item = part.content
    said: dict[str, Any] = {"from": step.inlets[part.inlet].parent, "outcome": str(part.outcome)}
    if part.index is not None:
        said["index"] = part.index
    if not documents:
        return said
    if item.document is not None:
        said["document"] = item.document
    if item.reason is not None:
        step_, error, message = item.reason
        said["error"] = {"step": step_, "class": error, "message": message}
    if item.trail:
        said["models"] = item.trail.decode(errors="replace")
    return said


def _loaded(
    item: Item, said: Mapping[str, Any], names: Mapping[str, int], count: int | None
) -> Part[Item]:
    outcome = Outcome(said["outcome"])
    index = said.get("index")
    if (index is None) is not (count is None) or type(index or 0) is not int:
        raise ValueError(f"child {index!r} of {count}")
    made = Item(item.record, item.id, None, item.place)
    made.outcome, made.scope = outcome, item.scope
    if index is not None:
        # Parts wait at the home of their parent, where they were written down.
        made.id = item.id + b"/%d" % index
        made.scope = (*item.scope, Level(item.place, count or 0))
    made.trail = said.get("models", "").encode()[:MOST_TRAIL_BYTES]
    made.is_replay = item.is_replay
    made.deadline = item.deadline
    made.document = said.get("document")
    if not isinstance(made.document, dict | None):
        raise TypeError("a document that is no object")
    error = said.get("error")
    if error is not None:
        made.reason = Reason(error["step"], error["class"], error["message"])
        "".join(made.reason).encode()
    size = len(json.dumps(made.document)) if made.document is not None else 0
    return Part(names[said["from"]], index, outcome, made, size)
