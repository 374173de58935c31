"""Puts steps together: stages, derived topics, ways in memory, and the fields on each of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace.core.fields import union
from headrace.core.lineage import Lineage, Reading, collects, upstream_first
from headrace.core.liveness import Flow, analyse
from headrace.core.placement import Way, home_levels
from headrace.core.steps import GatherStep, Inlet, Link, Outlet, Step
from headrace.core.topology import Source, Stage


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same for all stages of a pipeline.

    Attributes:
        pipeline: The pipeline's name.
        prefix: Put before every topic and group of headrace's own.
        sources: The topics it reads, by their names on the broker.
    """

    pipeline: str
    prefix: str
    sources: Mapping[str, Source]

    def topic(self, way: Way) -> str:
        """Return the derived topic that carries the results of a step, or of one of its routes."""
        return f"{self.prefix}{self.pipeline}.{'.'.join(filter(None, way))}"


def assemble(frame: Frame, steps: Iterable[Step], stages: Mapping[str, str]) -> tuple[Stage, ...]:
    """Return the stages of steps that were checked, both upstream first.

    Args:
        frame: What holds for all of them.
        steps: The steps. Their inlets name their parents, and the topics of sources; everything
            else that depends on other steps is filled in here.
        stages: Step to the stage that runs it.
    """
    lineage = Lineage.of(steps)
    joiner = _Joiner(
        frame=frame,
        lineage=lineage,
        stages=stages,
        flows=analyse(lineage),
        homes=home_levels(lineage, stages),
        waits=lineage.waits(),
    )
    joined = {step.name: joiner.joined(step) for step in lineage.steps}
    roots = _roots(lineage)
    found: list[Stage] = []
    for name in upstream_first(stage_parents(lineage, stages)):
        inside = tuple(step for step in joined.values() if stages[step.name] == name)
        found.append(
            Stage(
                pipeline=frame.pipeline,
                prefix=frame.prefix,
                name=name,
                steps=inside,
                sources=_sources(inside, frame),
                root=roots[inside[0].name],
            )
        )
    return tuple(found)


def stage_parents(lineage: Lineage, stages: Mapping[str, str]) -> dict[str, list[str]]:
    """Return stage to the other stages that it reads."""
    parents: dict[str, list[str]] = {stages[step.name]: [] for step in lineage.steps}
    for step in lineage.steps:
        mine = stages[step.name]
        read = (stages[inlet.step] for inlet in step.inlets if inlet.step)
        parents[mine] += [stage for stage in read if stage != mine]
    return parents


@dataclass(frozen=True, slots=True)
class _Joiner:
    """Joins one step after the other to its neighbours."""

    frame: Frame
    lineage: Lineage
    stages: Mapping[str, str]
    flows: Mapping[str, Flow]
    homes: Mapping[Way, int]
    waits: Collection[str]

    def joined(self, step: Step) -> Step:
        """Return a step with everything filled in that other steps decide."""
        flow = self.flows[step.name]
        readings = self.lineage.readings[step.name]
        more: dict[str, Any] = {"keep": flow.kept} if isinstance(step, GatherStep) else {}
        return replace(
            step,
            inlets=tuple(self._inlets(step, flow)),
            join=step.join and replace(step.join, carrier=flow.carrier, order=flow.order),
            outlets=tuple(self._outlets(step, readings)),
            links=tuple(self._link(each) for each in readings if self._is_fused(step, each.step)),
            level=min(len(self.lineage.entering[step.name]), len(self.lineage.leaving[step.name])),
            **more,
        )

    def _inlets(self, step: Step, flow: Flow) -> Iterator[Inlet]:
        for inlet, fields in zip(step.inlets, flow.entering, strict=True):
            topic = inlet.topic
            if inlet.step:
                is_fused = self.stages[inlet.step] == self.stages[step.name]
                topic = "" if is_fused else self.frame.topic((inlet.step, inlet.label))
            yield replace(inlet, topic=topic, fields=fields)

    def _outlets(self, step: Step, readings: Iterable[Reading]) -> Iterator[Outlet]:
        unfused = [each for each in readings if not self._is_fused(step, each.step)]
        for label in dict.fromkeys(each.inlet.label for each in unfused):
            readers = [each for each in unfused if each.inlet.label == label]
            yield Outlet(
                topic=self.frame.topic((step.name, label)),
                label=label,
                fields=union(*(self._fields(each) for each in readers)),
                tells=any(self._tells(each) for each in readers),
                kept=union(*(self.flows[each.step.name].kept for each in readers)) or (),
                home_level=self.homes.get((step.name, label), 0),
            )

    def _link(self, reading: Reading) -> Link:
        return Link(
            step=reading.step.name,
            inlet=reading.at,
            label=reading.inlet.label,
            fields=self._fields(reading),
            tells=self._tells(reading),
        )

    def _fields(self, reading: Reading) -> tuple[str, ...] | None:
        return self.flows[reading.step.name].entering[reading.at]

    def _tells(self, reading: Reading) -> bool:
        return collects(reading.step) or reading.step.name in self.waits

    def _is_fused(self, step: Step, other: Step) -> bool:
        return self.stages[step.name] == self.stages[other.name]


def _roots(lineage: Lineage) -> Mapping[str, str]:
    """Return step to the source topic that its records come from."""
    roots: dict[str, str] = {}
    for step in lineage.steps:
        first = step.inlets[0]
        roots[step.name] = roots[first.step] if first.step else first.topic
    return roots


def _sources(steps: Iterable[Step], frame: Frame) -> tuple[Source, ...]:
    """Return the topics that some steps read, each once."""
    found: dict[str, Source] = {}
    for inlet in (inlet for step in steps for inlet in step.inlets if inlet.topic):
        source = Source(inlet.topic, is_derived=True) if inlet.step else frame.sources[inlet.topic]
        found.setdefault(inlet.topic, source)
    return tuple(found.values())
