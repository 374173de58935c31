"""What the branches of a join wrote since they parted, and who brings what to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from headrace.core.effects import written_by
from headrace.core.fields import common, minus, union
from headrace.core.lineage import Lineage
from headrace.core.topology import Fields, Step


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


@dataclass(frozen=True, slots=True)
class Parting:
    """What the branches of one join wrote since they parted from one another.

    Attributes:
        step: The join.
        lineage: Where it stands.
    """

    step: Step
    lineage: Lineage

    def since(self, one: int, other: int) -> Fields:
        """Return what the branch of one inlet wrote in steps that the other does not come from."""
        inlets, lineage = self.step.inlets, self.lineage
        theirs = lineage.ancestors.get(inlets[other].step, frozenset())
        own = lineage.ancestors.get(inlets[one].step, frozenset()) - theirs
        level = lineage.entering[self.step.name]
        # What happens inside a split is seen outside only as the list that gathers it.
        return union(
            *(
                written_by(step)
                for step in lineage.steps
                if step.name in own and lineage.leaving[step.name] == level
            )
        )

    def is_open(self, at: int) -> bool:
        """Whether the branch of an inlet may have written anything."""
        others = (other for other in range(len(self.step.inlets)) if other != at)
        return any(self.since(at, other) is None for other in others)

    def carrier(self) -> int:
        """Return the inlet that brings the document: an open one, else the first that must come."""
        inlets = self.step.inlets
        prefer = self._preferred
        if prefer is not None and self.is_open(prefer):
            return prefer
        opened = (at for at in range(len(inlets)) if self.is_open(at))
        needed = (at for at, inlet in enumerate(inlets) if not inlet.is_optional)
        return next(opened, next(needed, 0))

    def clashes(self) -> Iterator[Clash]:
        """Yield every pair of parents that write one field, where none of them is preferred."""
        prefer = self._preferred
        for first, second in combinations(range(len(self.step.inlets)), 2):
            one, other = self.since(first, second), self.since(second, first)
            if prefer in (first, second):
                # The carrier's own field is under what the others bring: part of it cannot win.
                if prefer != self.carrier():
                    continue
                one, other = (one, other) if prefer == first else (other, one)
                other = minus(other, one)
            elif prefer is not None:
                one = minus(one, self.since(prefer, first))
                other = minus(other, self.since(prefer, second))
            if (one is None) == (other is None) and (both := common(one, other)) != ():
                yield Clash(self.step.name, first, second, both[0] if both else "")

    def brought(self, live: Fields, carrier: int) -> Iterator[Fields]:
        """Yield for every inlet what it brings of the fields that are live at the join."""
        numbers = range(len(self.step.inlets))
        for at in numbers:
            newer = [self._newer(other, at) for other in numbers if other not in (at, carrier)]
            if at != carrier:
                newer += [self._newer(carrier, at)] if carrier == self._preferred else []
                yield minus(common(live, self.since(at, carrier)), union(*newer))
            else:
                yield minus(live, self._sure(carrier))

    def _sure(self, carrier: int) -> Fields:
        """Return what others bring instead of the carrier, whatever becomes of a record."""
        # Where an optional parent is absent the carrier's own field must be there.
        return union(
            *(
                self._newer(at, carrier)
                for at, inlet in enumerate(self.step.inlets)
                if at != carrier and not inlet.is_optional
            )
        )

    def _newer(self, other: int, at: int) -> Fields:
        """Return what another inlet has in a newer state than one inlet."""
        written = self.since(other, at)
        return minus(written, self.since(at, other)) if at == self._preferred else written

    @property
    def _preferred(self) -> int | None:
        return None if self.step.join is None else self.step.join.prefer
