"""How the trail of a record looks on the command line."""

import json
from collections.abc import Iterator
from typing import Any

from headrace.cli.shapes import columns, moment, readable
from headrace.core.hops import Hop, HopKind, Story
from headrace.core.plain_text import one_line
from headrace.core.standing import State
from headrace.kafka.tracing import Trail

_NAMED = 3
_INDENT = "  "


def as_text(trail: Trail) -> str:
    """Return a line per hop, children indented, and where the record stands."""
    rows = [("STEP", "WHAT", "WHERE", "WRITTEN", "MODELS", ""), *_rows(trail.story, 0)]
    lines = [columns(rows), ""]
    lines += [f"now: {_named(state)}{_line(state.words)}" for state in trail.states]
    if not trail.states:
        lines.append("now: finished")
    lines += [f"{topic}: records of that time have left the trace window" for topic in trail.lost]
    lines.append(f"read {trail.read:,} records")
    return "\n".join(lines)


def as_json(trail: Trail) -> str:
    """Return the trail as one JSON object."""
    return json.dumps(
        {
            "id": trail.id,
            "key": next((readable(hop.key) for hop in trail.story.hops if hop.key), None),
            "trail": _story(trail.story),
            "states": [{"ids": list(each.ids), "state": each.words} for each in trail.states],
            "left_trace_window": list(trail.lost),
            "not_read_to_end": list(trail.unread),
            "records_read": trail.read,
        }
    )


def _story(story: Story) -> dict[str, Any]:
    return {
        "id": story.id,
        "hops": [_hop(each) for each in story.hops],
        "children": [_story(each) for each in story.children],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    failure = hop.failure
    return {
        "kind": hop.kind.value,
        "step": hop.step,
        "topic": hop.place.topic,
        "partition": hop.place.partition,
        "offset": hop.offset,
        "written_ms": hop.at_ms,
        "outcome": hop.outcome,
        "models": list(hop.models),
        "attempt": hop.attempt,
        "not_before_ms": hop.not_before_ms,
        "is_replay": hop.is_replay,
        "error": failure
        and {"step": failure.step, "class": failure.error, "message": failure.message},
    }


def _rows(story: Story, depth: int) -> Iterator[tuple[str, ...]]:
    indent = _INDENT * depth
    yield (f"{indent}{story.id}", "", "", "", "", "")
    for hop in story.hops:
        yield (
            f"{indent}{_INDENT}{hop.step or _of(hop)}",
            _what(hop),
            f"{hop.place}@{hop.offset}",
            _time(hop.at_ms),
            ", ".join(hop.models),
            _note(hop),
        )
    for child in story.children:
        yield from _rows(child, depth + 1)


def _of(hop: Hop) -> str:
    return "source" if hop.kind is HopKind.SOURCE else "replay"


def _what(hop: Hop) -> str:
    match hop.kind:
        case HopKind.DERIVED | HopKind.SINK:
            return hop.outcome
        case HopKind.DEAD_LETTER:
            return "dead letter"
        case HopKind.REPLAYED:
            return "sent back"
        case HopKind.RETRY:
            return "replay" if hop.is_replay else "retry"
        case HopKind.SPILL:
            return "parts put aside"
        case _:
            return hop.kind.value


def _note(hop: Hop) -> str:
    notes = []
    if hop.key is not None:
        notes.append(f"key {readable(hop.key)}")
    if hop.kind is HopKind.DEAD_LETTER and hop.attempt:
        notes.append(f"{hop.attempt} attempt{'' if hop.attempt == 1 else 's'}")
    elif hop.attempt > 1:
        notes.append(f"attempt {hop.attempt}")
    if hop.not_before_ms:
        notes.append(f"not before {_time(hop.not_before_ms)}")
    if hop.kind is HopKind.SINK:
        notes.append("sink")
    if hop.is_replay and hop.kind is HopKind.DERIVED:
        notes.append("after a replay")
    if hop.kind is HopKind.REPLAYED:
        notes.append(f"dead letter {hop.mark}")
    if hop.failure is not None:
        step = "" if hop.failure.step == hop.step else f"at {hop.failure.step}: "
        notes.append(f"{step}{hop.failure.error}: {_line(hop.failure.message)}")
    return "; ".join(notes)


def _line(text: str) -> str:
    return one_line(" ".join(text.split()))


def _named(state: State) -> str:
    first = ", ".join(state.ids[:_NAMED])
    more = len(state.ids) - _NAMED
    return f"{first} and {more:,} more: " if more > 0 else f"{first}: "


def _time(ms: int | None) -> str:
    return moment(ms or 0, "milliseconds")
