"""What the branches of a join wrote since they parted, and who brings what to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations

from headrace.core.effects import written_by
from headrace.core.fields import common, minus, union
from headrace.core.lineage import Lineage
from headrace.core.topology import Fields, GatherStep, JoinMode, Step


@dataclass(frozen=True, slots=True)
class Clash:
    """Two parents of a join whose branches write one field.

    Attributes:
        step: The join.
        first: Number of one parent's inlet.
        second: Number of the other's.
        path: A path that both write; empty where both may write anything.
    """

    step: str
    first: int
    second: int
    path: str


def partings(lineage: Lineage) -> Mapping[str, "Parting"]:
    """Return every join with what its branches wrote since they parted, by step."""
    found: dict[str, Parting] = {}
    written: dict[str, Fields] = {}
    for step in lineage.steps:
        written[step.name] = written_by(step)
        if step.join is not None:
            found[step.name] = parting = Parting(step, lineage, written)
            if step.join.mode is JoinMode.FIRST:
                # Which branch's value a field has is decided here, as if it were written here.
                written[step.name] = union(written[step.name], parting.differences())
    return found


def put_over(step: Step, carrier: int) -> tuple[int, ...]:
    """Return the inlets of a join in the order in which they are put over its carrier's document.

    Optional ones come last, because they may bring a newer state of what others bring, and of each
    sort the preferred one.
    """
    prefer = None if step.join is None else step.join.prefer
    numbers = (at for at in range(len(step.inlets)) if at != carrier)
    return tuple(sorted(numbers, key=lambda at: (step.inlets[at].is_optional, at == prefer)))


@dataclass(frozen=True, slots=True)
class Parting:
    """What the branches of one join wrote since they parted from one another.

    Attributes:
        step: The join.
        lineage: Where it stands.
        written: What each step before it may write.
    """

    step: Step
    lineage: Lineage
    written: Mapping[str, Fields]

    def differences(self) -> Fields:
        """Return the fields in which the documents of the branches may differ."""
        numbers = range(len(self.step.inlets))
        return union(*(self.since(one, other) for one, other in permutations(numbers, 2)))

    def since(self, one: int, other: int) -> Fields:
        """Return what the branch of one inlet wrote in steps that the other does not come from."""
        return union(*(self.written[step.name] for step in self._own(one, other)))

    def _said(self, one: int, other: int) -> Fields:
        """Return what `since` returns, but for steps that may write anything."""
        written = (self.written[step.name] for step in self._own(one, other))
        return union(*(fields for fields in written if fields is not None))

    def _own(self, one: int, other: int) -> Iterator[Step]:
        """Yield the steps of one inlet's branch that the other does not come from."""
        inlets, lineage = self.step.inlets, self.lineage
        theirs = lineage.ancestors.get(inlets[other].step, frozenset())
        own = lineage.ancestors.get(inlets[one].step, frozenset()) - theirs
        level = lineage.entering[self.step.name]
        # What happens inside a split is seen outside only as the list that gathers it.
        for step in lineage.steps:
            if step.name in own and lineage.leaving[step.name] == level:
                yield step

    def _has_gathered(self, at: int) -> bool:
        """Whether an inlet's branch split and gathered since it parted from any other."""
        own = (step for other in self._others(at) for step in self._own(at, other))
        return any(isinstance(step, GatherStep) for step in own)

    def _others(self, at: int) -> list[int]:
        return [other for other in range(len(self.step.inlets)) if other != at]

    def is_open(self, at: int) -> bool:
        """Whether the branch of an inlet may have written anything."""
        return any(self.since(at, other) is None for other in self._others(at))

    def carrier(self) -> int:
        """Return the inlet that brings the document.

        That is the first of those that must come, but where a branch may have written anything it
        is that one, and one that split and gathered comes last: it has only what the split kept.
        """
        inlets = self.step.inlets
        numbers = [
            at
            for at in range(len(inlets))
            if all(self.since(other, at) is not None for other in self._others(at))
        ]
        return min(
            numbers, key=lambda at: (inlets[at].is_optional, self._has_gathered(at)), default=0
        )

    def clashes(self) -> Iterator[Clash]:
        """Yield every pair of parents that write one field, where none of them is preferred.

        Of two branches one may write anything: what the other one says that it writes is taken.
        """
        prefer = self._preferred
        for first, second in combinations(range(len(self.step.inlets)), 2):
            one, other = self._said(first, second), self._said(second, first)
            if prefer in (first, second):
                # A part of a field cannot win over all of it that is put over it.
                is_under = self._is_under(prefer, second if prefer == first else first)
                one, other = (one, other) if prefer == first else (other, one)
                other = minus(other, one) if is_under else ()
            elif prefer is not None:
                one = minus(one, self.since(prefer, first))
                other = minus(other, self.since(prefer, second))
            if both := common(one, other):
                yield Clash(self.step.name, first, second, both[0])
            elif self.since(first, second) is None and self.since(second, first) is None:
                yield Clash(self.step.name, first, second, "")

    def _is_under(self, one: int, other: int) -> bool:
        order = [self.carrier(), *put_over(self.step, self.carrier())]
        return order.index(one) < order.index(other)

    def unclear(self) -> Iterator[int]:
        """Yield the inlets that may bring anything, and are optional or preferred nevertheless."""
        for at, inlet in enumerate(self.step.inlets):
            if self.is_open(at) and (inlet.is_optional or at == self._preferred):
                yield at

    def brought(self, live: Fields, carrier: int) -> Iterator[Fields]:
        """Yield for every inlet what it brings of the fields that are live at the join."""
        for at in range(len(self.step.inlets)):
            newer = union(*(self._newer(other, at, carrier) for other in self._others(at)))
            mine = live if at == carrier else common(live, self.since(at, carrier))
            yield minus(mine, newer)

    def _newer(self, other: int, at: int, carrier: int) -> Fields:
        """Return what another inlet surely brings in a newer state than one inlet."""
        inlets = self.step.inlets
        if other == carrier:
            # It is under everything else, unless it is preferred.
            return self.since(other, at) if other == self._preferred else ()
        if inlets[other].is_optional and not inlets[at].is_optional:
            # Where it is absent the field of one that must come has to be there.
            return ()
        written = self.since(other, at)
        return minus(written, self.since(at, other)) if at == self._preferred else written

    @property
    def _preferred(self) -> int | None:
        return None if self.step.join is None else self.step.join.prefer
