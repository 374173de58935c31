"""Who comes from whom among the steps of a pipeline, and inside which splits."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from headrace.core.steps import GatherStep, Inlet, JoinMode, SplitStep, Step

Splits: TypeAlias = tuple[str, ...]
"""The split steps around a record, outermost first."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One inlet of a step, from its parent's side.

    Attributes:
        step: The step that reads.
        at: Number of its inlet.
        inlet: The inlet.
    """

    step: Step
    at: int
    inlet: Inlet


@dataclass(frozen=True, slots=True)
class Lineage:
    """The family tree of some steps.

    Attributes:
        steps: The steps, upstream first.
        readings: Step to everything that reads it.
        ancestors: Step to itself and all steps it comes from.
        passed: Step to those of its ancestors that every one of its results has passed.
        entering: Step to the splits around the records that it reads.
        leaving: Step to the splits around the records that it makes.
    """

    steps: tuple[Step, ...]
    readings: Mapping[str, tuple[Reading, ...]]
    ancestors: Mapping[str, frozenset[str]]
    passed: Mapping[str, frozenset[str]]
    entering: Mapping[str, Splits]
    leaving: Mapping[str, Splits]

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "Lineage":
        """Return the lineage of steps that form no ring; their inlets name their parents."""
        by_name = {step.name: step for step in steps}
        parents = {
            step.name: [inlet.step for inlet in step.inlets if inlet.step]
            for step in by_name.values()
        }
        ordered = [by_name[name] for name in upstream_first(parents)]
        ancestors: dict[str, frozenset[str]] = {}
        passed: dict[str, frozenset[str]] = {}
        entering: dict[str, Splits] = {}
        leaving: dict[str, Splits] = {}
        readings: dict[str, list[Reading]] = {name: [] for name in by_name}
        for step in ordered:
            name = step.name
            ancestors[name] = frozenset({name}).union(*(ancestors[each] for each in parents[name]))
            passed[name] = _passed(step, passed)
            entering[name] = leaving.get(step.inlets[0].step, ())
            leaving[name] = _after(step, entering[name])
            for at, inlet in enumerate(step.inlets):
                if inlet.step:
                    readings[inlet.step].append(Reading(step, at, inlet))
        return cls(
            steps=tuple(ordered),
            readings={name: tuple(found) for name, found in readings.items()},
            ancestors=ancestors,
            passed=passed,
            entering=entering,
            leaving=leaving,
        )

    def named(self, name: str) -> Step | None:
        """Return a step by its name."""
        return next((step for step in self.steps if step.name == name), None)

    def gathers(self, split: str) -> tuple[GatherStep, ...]:
        """Return the steps that gather the children of a split."""
        found = (step for step in self.steps if isinstance(step, GatherStep))
        return tuple(step for step in found if step.split == split)

    def waits(self) -> frozenset[str]:
        """Return the steps after which something waits for outcomes: a join or a gather."""
        found: set[str] = set()
        for step in reversed(self.steps):
            readers = [reading.step for reading in self.readings[step.name]]
            if any(collects(each) or each.name in found for each in readers):
                found.add(step.name)
        return frozenset(found)


def collects(step: Step) -> bool:
    """Whether parts of a record or children of a split meet in a step."""
    return step.join is not None or isinstance(step, GatherStep)


def upstream_first(parents: Mapping[str, Collection[str]]) -> list[str]:
    """Return names so that each comes after its parents, and in the given order besides.

    Parents that are no names themselves are left out; there must be no ring.
    """
    ordered: dict[str, None] = {}
    for start in parents:
        trail = [start]
        while trail:
            waiting = (each for each in parents[trail[-1]] if each in parents)
            missing = next((each for each in waiting if each not in ordered), None)
            if missing is None:
                ordered.setdefault(trail.pop())
            else:
                trail.append(missing)
    return list(ordered)


def _passed(step: Step, passed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    sets = [passed.get(i.step, frozenset()) for i in step.inlets if not i.is_optional]
    is_first = step.join is not None and step.join.mode is JoinMode.FIRST
    before = frozenset.intersection(*sets) if is_first else frozenset().union(*sets)
    return before | {step.name}


def _after(step: Step, splits: Splits) -> Splits:
    if isinstance(step, SplitStep):
        return (*splits, step.name)
    return splits[:-1] if isinstance(step, GatherStep) else splits
