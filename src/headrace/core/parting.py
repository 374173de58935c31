"""What the branches of a join wrote since they parted, and who brings what to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from headrace.core.effects import surely_written_by, written_by
from headrace.core.fields import common, minus, union
from headrace.core.known import known_fields
from headrace.core.lineage import Lineage
from headrace.core.steps import Fields, GatherStep, Step


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
    known = known_fields(lineage)
    joins = (step for step in lineage.steps if step.join is not None)
    return {step.name: Parting(step, lineage, known) for step in joins}


@dataclass(frozen=True, slots=True)
class Parting:
    """What the branches of one join wrote since they parted from one another.

    Attributes:
        step: The join.
        lineage: Where it stands.
        known: The fields that each step's results can have.
    """

    step: Step
    lineage: Lineage
    known: Mapping[str, Fields]

    def since(self, one: int, other: int) -> Fields:
        """Return what the branch of one inlet wrote in steps that the other does not come from."""
        return self._left(one, (written_by(step) for step in self._own(one, other)))

    def _said(self, one: int, other: int) -> Fields:
        """Return what `since` returns, but for steps that may write anything."""
        written = (written_by(step) for step in self._own(one, other))
        return self._left(one, (fields for fields in written if fields is not None))

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
        The preferred one is rather put over another one.
        """
        inlets = self.step.inlets
        numbers = [
            at
            for at in range(len(inlets))
            if all(self.since(other, at) is not None for other in self._others(at))
        ]
        return min(
            numbers,
            key=lambda at: (
                inlets[at].is_optional,
                self._has_gathered(at),
                at == self._preferred,
            ),
            default=0,
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
                # A preferred one that a branch comes from has nothing newer than that.
                settled = common(self.since(prefer, first), self.since(prefer, second))
                one, other = minus(one, settled), minus(other, settled)
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

        A newer state of a field comes after an older one, as far as one inlet is newer in all.
        """
        left = self._others(self.carrier())
        ordered: list[int] = []
        while left:
            oldest = next((at for at in left if not self._is_newer_than_any(at, left)), left[0])
            left.remove(oldest)
            ordered.append(oldest)
        return tuple(ordered)

    def brought(self, live: Fields) -> Iterator[Fields]:
        """Yield for every inlet what it brings of the fields that are live at the join."""
        carrier, order = self.carrier(), (self.carrier(), *self.order())
        for at in range(len(self.step.inlets)):
            newer = union(*(self._taken_over(other, at, order) for other in self._others(at)))
            mine = live if at == carrier else common(live, self.since(at, carrier))
            yield minus(mine, newer)

    def _taken_over(self, other: int, at: int, order: Sequence[int]) -> Fields:
        """Return what one inlet must leave, or may leave, to another one."""
        if order.index(other) < order.index(at):
            is_under = other == order[0] and other != self._preferred
            return () if is_under else self._newer(other, at)
        # What is put over it anyway need not be carried twice, if it is sure to be there.
        sure = () if self.step.inlets[other].is_optional else self._surely(other, at)
        return minus(sure, self.since(at, other)) if at == self._preferred else sure

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

    def _surely(self, one: int, other: int) -> Fields:
        """Return what the branch of one inlet surely wrote since it parted from another one."""
        passed = self.lineage.passed.get(self.step.inlets[one].step, frozenset())
        own = (step for step in self._own(one, other) if step.name in passed)
        return self._left(one, (surely_written_by(step) for step in own))

    def _left(self, at: int, written: Iterable[Fields]) -> Fields:
        """Return what is left of what a branch wrote: a split keeps some of it for its gather."""
        return common(union(*written), self.known.get(self.step.inlets[at].step))

    @property
    def _preferred(self) -> int | None:
        return None if self.step.join is None else self.step.join.prefer
