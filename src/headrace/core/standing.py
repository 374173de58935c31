"""Where a record stands now: what waits for it, what was given up, what cannot be told."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.core.hops import Hop, HopKind
from headrace.core.record_ids import ancestor, covers, level_of
from headrace.core.records import TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import GatherStep, Inlet, Step
from headrace.core.topology import Stage
from headrace.core.whereabouts import Map

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a consumer group is in a partition.

    Attributes:
        offset: The committed offset, None where nothing is committed.
        finished: What is finished above it.
    """

    offset: int | None
    finished: Runs = field(default_factory=Runs)

    def has(self, offset: int) -> bool:
        """Whether a record is finished."""
        if self.offset is None:
            return False
        return offset < self.offset or self.finished.contains(offset)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was found out about a source record.

    Attributes:
        hops: What it left.
        counts: Into how many children a record was split, by its id.
        reached: How far each stage is in the partitions of its topics.
        purged: Topics of which records of that time may have been deleted already.
        unread: Topics that were not read to their ends, because of the bound.
    """

    hops: Sequence[Hop]
    counts: Mapping[str, int] = field(default_factory=dict)
    reached: Mapping[str, Mapping[TopicPartition, Reached]] = field(default_factory=dict)
    purged: Collection[str] = ()
    unread: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class State:
    """A state that some of a source record's parts are in.

    Attributes:
        ids: The record or its children.
        words: The state, as in `waiting at step codes for: negation`.
    """

    ids: Sequence[str]
    words: str


def standing(evidence: Evidence, known: Map) -> Sequence[State]:
    """Return what keeps a record from having ended well; nothing where nothing does."""
    look = _Look(evidence, known)
    states: dict[str, dict[str, None]] = {}
    for id_, words in (*look.given_up(), *look.waiting(), *look.ended()):
        states.setdefault(words, {})[id_] = None
    return [State(list(ids), words) for words, ids in states.items()]


def lost(evidence: Evidence, known: Map) -> Sequence[str]:
    """Return topics in which nothing was found and of which records of that time are deleted."""
    found = {hop.place.topic for hop in evidence.hops}
    return [each for each in known.ways if each in evidence.purged and each not in found]


class _Look:
    """Goes through the hops and yields pairs of an id and a state."""

    def __init__(self, evidence: Evidence, known: Map) -> None:
        self._evidence = evidence
        self._known = known
        self._in_topic: dict[str, set[str]] = {}
        self._again_in_topic: dict[str, set[str]] = {}
        self._sent_back: set[tuple[str, str]] = set()
        self._brought: dict[tuple[str, str], set[tuple[str, int | None]]] = {}
        self._within: dict[str, list[Hop]] = {}
        self._waits: dict[tuple[str, str], Sequence[str]] = {}
        for hop in evidence.hops:
            self._in_topic.setdefault(hop.place.topic, set()).add(hop.id)
            for level in range(level_of(hop.id) + 1):
                self._within.setdefault(ancestor(hop.id, level), []).append(hop)
            if hop.is_replay:
                self._again_in_topic.setdefault(hop.place.topic, set()).add(hop.id)
            if hop.parts and hop.kind is HopKind.RETRY:
                # What had come before is in there, and nothing else counts but replays.
                self._sent_back.add((hop.step, hop.id))
                self._brought[hop.step, hop.id] = set(hop.parts)
            elif hop.kind is HopKind.SPILL:
                self._brought.setdefault((hop.step, hop.id), set()).update(hop.parts)

    def given_up(self) -> Iterator[tuple[str, str]]:
        hops = self._evidence.hops
        marks = {(hop.place.partition, hop.mark) for hop in hops if hop.kind is HopKind.REPLAYED}
        for hop in hops:
            is_open = (hop.place.partition, hop.mark) not in marks
            if hop.kind is HopKind.DEAD_LETTER and hop.failure is not None and is_open:
                why = f"{hop.failure.error}: {' '.join(hop.failure.message.split())}"
                yield hop.id, f"dead-lettered at step {hop.step}: {why}"

    def waiting(self) -> Iterator[tuple[str, str]]:
        for stage, hop in self._taken(is_finished=False):
            for step in self._known.reads(stage, hop.place.topic):
                yield from self._where(stage, step, hop)

    def ended(self) -> Iterator[tuple[str, str]]:
        for stage, hop in self._taken(is_finished=True):
            together = {step.name for step in stage.steps}
            # What is found further on came through here, even if its own record is gone.
            after = self._known.downstream(together)
            is_closed = hop.kind is HopKind.CLOSED
            if not is_closed and not any(
                self._follows(each, hop, after) for each in self._related(hop)
            ):
                steps = (step.name for step in self._known.reads(stage, hop.place.topic))
                yield hop.id, self._silence(" and ".join(steps), together)

    def _taken(self, *, is_finished: bool) -> Iterator[tuple[Stage, Hop]]:
        nothing = Reached(None)
        for stage in self._known.stages:
            places = self._evidence.reached.get(stage.name, {})
            topics = set(stage.topics)
            for hop in self._evidence.hops:
                is_read = hop.place.topic in topics
                if is_read and places.get(hop.place, nothing).has(hop.offset) == is_finished:
                    yield stage, hop

    def _where(self, stage: Stage, step: Step, hop: Hop) -> Iterator[tuple[str, str]]:
        unit = ancestor(hop.id, self._known.unit_level(step.name))
        if hop.kind is HopKind.CLOSED:
            yield hop.id, f"ended early at step {step.name}; parts that still come are dropped"
        elif hop.kind is HopKind.RETRY and not hop.parts:
            what = "again after a replay" if hop.is_replay else f"for attempt {hop.attempt}"
            yield hop.id, f"waiting at step {step.name} {what}"
        elif waits := list(self._parts(stage, step, hop)):
            yield from waits
        elif hop.kind is HopKind.SOURCE:
            yield hop.id, f"not finished by step {step.name} yet"
        else:
            yield unit, f"waiting at step {step.name}"

    def _parts(self, stage: Stage, step: Step, hop: Hop) -> Iterator[tuple[str, str]]:
        """Yield what the step, or one behind it in memory, waits for before it can go on."""
        for behind in stage.steps:
            if step.name not in self._known.upstream(behind.name):
                continue
            unit = ancestor(hop.id, self._known.unit_level(behind.name))
            key = (behind.name, unit)
            if key not in self._waits:
                self._waits[key] = list(self._missing(behind, unit))
            yield from (
                (unit, f"waiting at step {behind.name} {each}") for each in self._waits[key]
            )

    def _missing(self, step: Step, unit: str) -> Iterator[str]:
        if isinstance(step, GatherStep):
            yield from self._missing_children(step, unit)
        elif step.join is not None:
            inlets = step.inlets
            missing = [each.parent for each in inlets if not self._has(step, unit, each, None)]
            if missing:
                yield f"for: {', '.join(missing)}"

    def _missing_children(self, gather: GatherStep, unit: str) -> Iterator[str]:
        count = self._evidence.counts.get(unit)
        if count is None:
            return
        missing = [
            index
            for index in range(count)
            if not all(self._has(gather, unit, inlet, index) for inlet in gather.inlets)
        ]
        if missing:
            named = ", ".join(map(str, missing[:_NAMED]))
            more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
            yield f"for child {named}{more} of {count:,}"

    def _has(self, step: Step, unit: str, inlet: Inlet, index: int | None) -> bool:
        """Whether a join or gather has the part of an inlet, or of one child there."""
        if (inlet.parent, index) in self._brought.get((step.name, unit), ()):
            return True
        is_again = (step.name, unit) in self._sent_back
        found = self._again_in_topic if is_again else self._in_topic
        return self._came(inlet, unit if index is None else f"{unit}/{index}", found)

    def _came(self, inlet: Inlet, id_: str, in_topic: Mapping[str, set[str]]) -> bool:
        """Whether something of a record came to an inlet, or to those before it in memory."""
        if not inlet.topic:
            parents = self._known.steps[inlet.step].inlets
            return all(self._came(each, id_, in_topic) for each in parents)
        if inlet.topic == self._known.source:
            return True
        found = in_topic.get(inlet.topic, set())
        level = self._known.ways[inlet.topic].level
        # What stands for a record that was split into nothing has its id.
        is_above = any(ancestor(id_, each) in found for each in range(level + 1))
        return is_above or covers(found, id_, level, self._evidence.counts)

    def _related(self, hop: Hop) -> Iterator[Hop]:
        """Yield what the record left, its children, and what they came from."""
        yield from self._within[hop.id]
        for level in range(level_of(hop.id)):
            above = ancestor(hop.id, level)
            yield from (each for each in self._within[above] if each.id == above)

    def _follows(self, hop: Hop, taken: Hop, after: Collection[str]) -> bool:
        """Whether a hop can be what a stage, or one after it, left of a record that it took."""
        if hop.step not in after or (hop.place == taken.place and hop.offset <= taken.offset):
            return False
        return not taken.is_replay or hop.at_ms is None or hop.at_ms >= (taken.at_ms or 0)

    def _silence(self, steps: str, together: Collection[str]) -> str:
        written = {
            way.topic for way in self._known.ways.values() if set(way.writers) & set(together)
        }
        if written.intersection(self._evidence.purged):
            return f"taken by step {steps}; what came of it has left the trace window"
        if written.intersection(self._evidence.unread):
            return f"finished by step {steps}; nothing of it was found as far as was read"
        why = "a gate, a route or a tombstone that is dropped"
        return f"finished by step {steps} without a result ({why})"
