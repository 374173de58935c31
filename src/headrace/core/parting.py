"""What the branches of a join wrote since they parted, and who brings what to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        order = (self.carrier(), *self.order())
        return order.index(one) < order.index(other)

    def unclear(self) -> Iterator[int]:
        """Yield the inlets that may bring anything, and are optional or preferred nevertheless."""
        for at, inlet in enumerate(self.step.inlets):
            if self.is_open(at) and (inlet.is_optional or at == self._preferred):
                yield at

    def order(self) -> tuple[int, ...]:
        """Return the other inlets in the order in which they are put over the carrier's document.

        Optional ones come last, because they may bring a newer state of what others bring; among
        themselves the newer ones, as far as one is newer in everything.
        """
        carrier = self.carrier()
        others = self._others(carrier)
        needed = [at for at in others if not self._is_optional(at)]
        ordered = sorted(needed, key=lambda at: at == self._preferred)
        left = [at for at in others if self._is_optional(at)]
        while left:
            oldest = next((at for at in left if not self._is_newer_than_any(at, left)), left[0])
            left.remove(oldest)
            ordered.append(oldest)
        return tuple(ordered)

    def brought(self, live: Fields) -> Iterator[Fields]:
        """Yield for every inlet what it brings of the fields that are live at the join."""
        carrier, order = self.carrier(), self.order()
        for at in range(len(self.step.inlets)):
            newer = union(
                *(
                    self._newer(other, at)
                    for other in self._others(at)
                    if self._takes_over(other, at, carrier, order)
                )
            )
            mine = live if at == carrier else common(live, self.since(at, carrier))
            yield minus(mine, newer)

    def _takes_over(self, other: int, at: int, carrier: int, order: Sequence[int]) -> bool:
        """Whether one inlet leaves to another one what that has in a newer state."""
        if other == carrier:
            # It is under everything else, unless it is preferred.
            return other == self._preferred
        if not self._is_optional(other):
            return True
        # Where it is absent, what is under it has to be there.
        return self._is_optional(at) and order.index(other) < order.index(at)

    def _is_newer_than_any(self, at: int, others: Iterable[int]) -> bool:
        carrier = self.carrier()
        return any(
            common(self._newer(at, other), self.since(other, carrier)) != ()
            for other in others
            if other != at
        )

    def _newer(self, other: int, at: int) -> Fields:
        """Return what another inlet has in a newer state than one inlet."""
        written = self.since(other, at)
        return minus(written, self.since(at, other)) if at == self._preferred else written

    def _is_optional(self, at: int) -> bool:
        return self.step.inlets[at].is_optional

    @property
    def _preferred(self) -> int | None:
        return None if self.step.join is None else self.step.join.prefer
