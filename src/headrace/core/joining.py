"""Parts of a record, and children of a parent: which belong together, and what comes of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from headrace.core.steps import GatherStep, JoinMode, OnFailed, OnMissing, Step
from headrace.errors import StrayPartError


class Outcome(StrEnum):
    """What became of a record on its way to a step."""

    RESULT = "result"
    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    DROPPED = "dropped"
    FAILED = "failed"
    MISSING = "missing"


_HAS_VALUE: Final = frozenset({Outcome.RESULT, Outcome.TOMBSTONE, Outcome.EMPTY})

T = TypeVar("T")


@dataclass(slots=True)
class Part(Generic[T]):
    """What one inlet brought for an id.

    Attributes:
        inlet: Number of the inlet.
        index: Index of the child, None for a part of the record, or of the parent, itself.
        outcome: What became of it there.
        content: Whatever it is to the caller.
        size: Bytes that it holds.
        is_replay: Whether it was sent back by a replay.
    """

    inlet: int
    index: int | None
    outcome: Outcome
    content: T
    size: int = 0
    is_replay: bool = False


class Group(Generic[T]):
    """The parts of one id that have come.

    Attributes:
        place: Number of the partition that its parts come through.
        id: Record id; of a gather, the parent's.
        count: Children of the parent; None while it is not known, and at a join.
        parts: What came, by place in the group.
        spent: Parts that their replays replaced.
        others: What else ends with the group.
        since: When the first part came, seconds on the caller's clock.
        size: Bytes of its parts.
        is_closed: Whether the id ended before all parts had come; those still to come are late.
        is_marked: Whether what remembers that is in it; until then a closed group does not end.
        told: Places in the group of what had come when the id ended.
        is_expected: Whether anything but replayed parts says that the id is on its way.
        spills: How often it was written elsewhere because memory was full.
    """

    __slots__ = (
        "count",
        "id",
        "is_closed",
        "is_expected",
        "is_marked",
        "others",
        "parts",
        "place",
        "since",
        "size",
        "spent",
        "spills",
        "told",
    )

    def __init__(self, place: int, id_: bytes, since: float) -> None:
        self.place = place
        self.id = id_
        self.count: int | None = None
        self.parts: dict[int, Part[T]] = {}
        self.spent: list[Part[T]] = []
        self.others: list[T] = []
        self.since = since
        self.size = 0
        self.is_closed = False
        self.is_marked = False
        self.told: set[int] = set()
        self.is_expected = False
        self.spills = 0

    @property
    def contents(self) -> list[T]:
        """Everything that ends with the group."""
        parts = (*self.parts.values(), *self.spent)
        return [*(part.content for part in parts), *self.others]


class Table(Generic[T]):
    """Incomplete groups of one join or gather.

    A join needs a part from every inlet. A gather needs one from every inlet for every child, or,
    where the parent itself went another way than into children, one from every inlet for it.

    Args:
        inlets: How many inlets the step has.
    """

    def __init__(self, inlets: int) -> None:
        self._inlets = inlets
        self._groups: dict[tuple[int, bytes], Group[T]] = {}
        self._open: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Group[T]]:
        """Every incomplete group, the oldest first."""
        return iter(list(self._groups.values()))

    def open(self, place: int, id_: bytes, now: float) -> Group[T]:
        """Return the group of an id, a new one where there is none.

        Args:
            place: Number of the partition that its parts come through.
            id_: The id.
            now: Seconds on the caller's clock.
        """
        group = self._groups.get((place, id_))
        if group is None:
            group = self._groups[place, id_] = Group(place, id_, now)
            self._open[place] = self._open.get(place, 0) + 1
        return group

    def open_at(self, place: int) -> int:
        """Return how many groups of a partition number have not ended."""
        return self._open.get(place, 0)

    def holds(self, group: Group[T]) -> bool:
        """Whether a group is still incomplete."""
        return self._groups.get((group.place, group.id)) is group

    def close(self, group: Group[T]) -> None:
        """Forget a group: it is complete, or ends before it is."""
        del self._groups[group.place, group.id]
        self._open[group.place] -= not group.is_closed

    def end_early(self, group: Group[T]) -> None:
        """An id ends before all of its parts have come; what still comes for it is late."""
        group.told |= group.parts.keys()
        group.parts = {}
        group.spent = []
        group.others = []
        group.size = 0
        self._end(group)

    def remember(self, group: Group[T], parts: Iterable[Part[T]], count: int | None) -> None:
        """Take what says that an id ended early, and with which parts."""
        if count is not None:
            group.count = count
        group.told |= {self._at(part) for part in parts}
        self._end(group)
        group.is_marked = True

    def _end(self, group: Group[T]) -> None:
        self._open[group.place] -= not group.is_closed
        group.is_closed = True

    def reopen(self, group: Group[T]) -> None:
        """Let an id that ended early begin again; what had come then comes once more."""
        self._open[group.place] += group.is_closed
        group.told = set()
        if not group.parts:
            group.count = None
        group.is_closed = group.is_marked = False

    def lacks(self, group: Group[T], inlet: int) -> bool:
        """Whether an inlet is still to bring something for a group."""
        brought = sum(part.inlet == inlet for part in group.parts.values())
        return brought < (group.count or 1)

    def is_complete(self, group: Group[T]) -> bool:
        """Whether every part has come."""
        if group.is_closed and not group.is_marked:
            return False
        wanted = self._inlets
        if group.count is not None:
            wanted *= group.count
        return len(group.parts) + len(group.told) == wanted

    def add(self, group: Group[T], part: Part[T], count: int | None) -> None:
        """Put a part into its group.

        Args:
            group: The group.
            part: The part.
            count: How many children the parent has; None at a join and for the parent itself.

        Raises:
            StrayPartError: It was there already, or it contradicts what was there.
        """
        at = self._place(group, part, count)
        if at in group.told:
            raise StrayPartError(f"inlet {part.inlet} brought {_text(group.id)} twice")
        before = group.parts.get(at)
        if before is not None:
            if not (part.is_replay and before.outcome is Outcome.FAILED):
                raise StrayPartError(f"inlet {part.inlet} brought {_text(group.id)} twice")
            group.spent.append(before)
            group.size -= before.size
        group.parts[at] = part
        group.size += part.size
        group.is_expected = group.is_expected or not part.is_replay
        if part.index is not None:
            group.count = count

    def _place(self, group: Group[T], part: Part[T], count: int | None) -> int:
        index = part.index
        if index is None:
            if group.count is not None:
                raise StrayPartError(f"{_text(group.id)} came as a whole and as children")
            return self._at(part)
        if count is None or not 0 <= index < count:
            raise StrayPartError(f"child {index} of {_text(group.id)}, which has {count}")
        if group.count is None and (group.parts or group.told):
            raise StrayPartError(f"{_text(group.id)} came as a whole and as children")
        if group.count not in (None, count):
            raise StrayPartError(
                f"child {index} says that {_text(group.id)} has {count} children,"
                f" others say {group.count}"
            )
        return self._at(part)

    def _at(self, part: Part[T]) -> int:
        return (part.index or 0) * self._inlets + part.inlet


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes of the parts of a record.

    Attributes:
        outcome: RESULT where the step goes on.
        inlets: Inlets whose documents make that of the step, in listed order.
        is_partial: Whether what it lacks was given up: its parts are to be kept for a replay.
        why: What it lacks, for people; empty where nothing.
    """

    outcome: Outcome
    inlets: tuple[int, ...] = ()
    is_partial: bool = False
    why: str = ""


def combine(step: Step, outcomes: Sequence[Outcome], on_missing: OnMissing) -> Verdict:
    """Decide what comes of a record from what became of it at every inlet, in listed order.

    An inlet that did not bring anything in time counts as MISSING.
    """
    if step.join is None or step.join.mode is JoinMode.FIRST:
        return _first(step, outcomes, on_missing)
    return _all(step, outcomes, on_missing)


def _first(step: Step, outcomes: Sequence[Outcome], on_missing: OnMissing) -> Verdict:
    for inlet, outcome in enumerate(outcomes):
        if outcome in _HAS_VALUE:
            return Verdict(outcome, (inlet,))
        if outcome is Outcome.MISSING and on_missing is not OnMissing.PROCEED:
            break  # a later one may only be taken once this one has told
    lacking = _lacking(step, outcomes)
    is_late = Outcome.MISSING in outcomes and Outcome.FAILED not in outcomes
    if not lacking or (is_late and on_missing is OnMissing.DROP):
        return Verdict(Outcome.DROPPED)
    return Verdict(Outcome.FAILED, is_partial=True, why=lacking)


def _all(step: Step, outcomes: Sequence[Outcome], on_missing: OnMissing) -> Verdict:
    needed = [o for o, inlet in zip(outcomes, step.inlets, strict=True) if not inlet.is_optional]
    if Outcome.DROPPED in needed:
        return Verdict(Outcome.DROPPED)
    lacking = _lacking(step, outcomes)
    is_short = not _HAS_VALUE.issuperset(needed)
    if lacking and (is_short or on_missing is not OnMissing.PROCEED):
        if on_missing is OnMissing.DROP and Outcome.FAILED not in needed:
            return Verdict(Outcome.DROPPED)
        return Verdict(Outcome.FAILED, is_partial=True, why=lacking)
    for special in (Outcome.TOMBSTONE, Outcome.EMPTY):
        if special in needed:
            return Verdict(special, (outcomes.index(special),))
    there = tuple(number for number, outcome in enumerate(outcomes) if outcome is Outcome.RESULT)
    return Verdict(Outcome.RESULT, there, is_partial=bool(lacking), why=lacking)


def _lacking(step: Step, outcomes: Sequence[Outcome]) -> str:
    gone = {Outcome.FAILED: "failed", Outcome.MISSING: "did not come in time"}
    return "; ".join(
        f"{inlet.parent} {gone[outcome]}"
        for inlet, outcome in zip(step.inlets, outcomes, strict=True)
        if outcome in gone
    )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What comes of a parent's children.

    Attributes:
        outcome: RESULT where the parent goes on.
        is_partial: Whether a child was given up: the parts are to be kept for a replay.
        why: What it lacks, for people; empty where nothing.
    """

    outcome: Outcome
    is_partial: bool = False
    why: str = ""


def gathered(step: GatherStep, children: Mapping[int, Outcome], count: int) -> Gathered:
    """Decide what comes of a parent from what became of its children, by index."""
    failed = [index for index in range(count) if children.get(index) is Outcome.FAILED]
    missing = [
        index for index in range(count) if children.get(index, Outcome.MISSING) is Outcome.MISSING
    ]
    lacking = "; ".join(
        f"{what} {_listed(indexes)} of {count}"
        for what, indexes in (("failed children:", failed), ("children not in time:", missing))
        if indexes
    )
    if missing and step.waiting.on_missing is OnMissing.DROP:
        return Gathered(Outcome.DROPPED)
    is_short = bool(failed) and step.on_failed is OnFailed.DEAD_LETTER
    is_short |= bool(missing) and step.waiting.on_missing is not OnMissing.PROCEED
    return Gathered(Outcome.FAILED if is_short else Outcome.RESULT, bool(lacking), lacking)


_MOST_LISTED: Final = 10


def _listed(indexes: Sequence[int]) -> str:
    shown = ", ".join(map(str, indexes[:_MOST_LISTED]))
    more = len(indexes) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _text(id_: bytes) -> str:
    return id_.decode(errors="replace")
