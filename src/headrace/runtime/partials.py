"""Parts of a record as one value: how they are spilled, dead-lettered and remembered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.joining import Group, Outcome, Part
from headrace.core.steps import Step
from headrace.errors import DecodeError
from headrace.runtime.items import Item, Level, Reason


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
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def loaded(item: Item, step: Step) -> Partial:
    """Return the parts that a record of the retry topic holds.

    Raises:
        DecodeError: It is not what `dumped` wrote.
    """
    try:
        said = json.loads(item.value or b"")
        names = {inlet.parent: number for number, inlet in enumerate(step.inlets)}
        count = None if said["count"] is None else int(said["count"])
        parts = [_loaded(item, each, names, count) for each in said["parts"]]
        return Partial(parts, count, int(said["since"]), said.get("stray", False))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DecodeError(f"not the parts of a record: {error!r}") from error


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
    made = Item(item.record, item.id, None, item.place)
    made.outcome, made.scope = outcome, item.scope
    if index is not None:
        # Parts wait at the home of their parent, where they were written down.
        made.id = item.id + b"/%d" % index
        made.scope = (*item.scope, Level(item.place, count or 0))
    made.trail = said.get("models", "").encode()
    made.is_replay = item.is_replay
    made.deadline = item.deadline
    made.document = said.get("document")
    error = said.get("error")
    if error is not None:
        made.reason = Reason(error["step"], error["class"], error["message"])
    size = len(json.dumps(made.document)) if made.document is not None else 0
    return Part(names[said["from"]], index, outcome, made, size)
