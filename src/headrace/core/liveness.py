"""Which fields every edge of a pipeline must carry: those that something after it reads.

The analysis goes from the sinks to the sources. In a join of all parents one of them, the carrier,
brings the document and each other one only what its branch wrote since they parted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.core.effects import read_after, read_by
from headrace.core.fields import common, cut, minus, normal, union
from headrace.core.known import known_fields
from headrace.core.lineage import Lineage
from headrace.core.parting import Parting, partings
from headrace.core.steps import (
    Fields,
    FunctionStep,
    GatherStep,
    Inlet,
    JoinMode,
    ModelStep,
    SplitStep,
    Step,
)


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes through one step.

    Attributes:
        entering: What of its document each inlet brings, in their order.
        leaving: What of its result something after it reads.
        carrier: Number of the inlet that brings the document.
        order: Numbers of the others in the order in which they are put over it.
        kept: What outcomes without a result that enter the step must tell of the document: what
            the gather of the innermost split around them needs of the fields that the split kept.
    """

    entering: tuple[Fields, ...]
    leaving: Fields
    carrier: int = 0
    order: tuple[int, ...] = ()
    kept: tuple[str, ...] = ()


def analyse(lineage: Lineage) -> Mapping[str, Flow]:
    """Return what goes through every step of a pipeline whose joins have no clashes."""
    return _Analysis(lineage, known_fields(lineage), partings(lineage)).run()


@dataclass(slots=True)
class _Analysis:
    """One run from the sinks to the sources."""

    lineage: Lineage
    known: Mapping[str, Fields]
    partings: Mapping[str, Parting]
    flows: dict[str, Flow] = field(default_factory=dict)
    leaving: dict[str, Fields] = field(default_factory=dict)

    def run(self) -> Mapping[str, Flow]:
        self.leaving = {step.name: read_after(step) for step in self.lineage.steps}
        for step in reversed(self.lineage.steps):
            kept = self._kept(step)
            flow = self._flow(step, self._live(step, kept))
            entering = tuple(map(self._there, step.inlets, flow.entering))
            self.flows[step.name] = replace(flow, entering=entering, kept=kept)
            for inlet, fields in zip(step.inlets, entering, strict=True):
                if inlet.step:
                    self.leaving[inlet.step] = union(self.leaving[inlet.step], fields)
        return self.flows

    def _there(self, inlet: Inlet, fields: Fields) -> Fields:
        """Return the fields of a set that the parent's document can have."""
        return common(fields, self.known[inlet.step]) if inlet.step else fields

    def _kept(self, step: Step) -> tuple[str, ...]:
        match step:
            case GatherStep():
                split = self.lineage.named(step.split)
                keep = normal(split.keep) if isinstance(split, SplitStep) else ()
                return common(keep, minus(self.leaving[step.name], (step.into,))) or ()
            case SplitStep():
                # What enters a split leaves it again where its children are gathered.
                after = [g.name for g in self.lineage.gathers(step.name)]
            case _:
                after = [step.name]
        readers = [reading.step.name for name in after for reading in self.lineage.readings[name]]
        return union(*(self.flows[reader].kept for reader in readers)) or ()

    def _live(self, step: Step, kept: tuple[str, ...]) -> Fields:
        """Return what is live before a step."""
        leaving = self.leaving[step.name]
        if isinstance(step, GatherStep):
            return union(kept, step.fields)
        if isinstance(step, SplitStep):
            leaving = common(normal(step.keep), minus(leaving, (step.as_,)))
        elif isinstance(step, ModelStep):
            sure = normal(each.path for each in step.outputs if cut(each.path) == each.path)
            leaving = minus(leaving, sure)
        elif isinstance(step, FunctionStep) and step.writes is None:
            # One that says what it may write may leave it out: the old value lives on.
            leaving = ()
        return union(leaving, read_by(step))

    def _flow(self, step: Step, live: Fields) -> Flow:
        leaving = self.leaving[step.name]
        if step.join is None or step.join.mode is JoinMode.FIRST:
            return Flow((live,) * len(step.inlets), leaving)
        parting = self.partings[step.name]
        return Flow(tuple(parting.brought(live)), leaving, parting.carrier(), parting.order())
