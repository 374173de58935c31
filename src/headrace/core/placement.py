"""Which records must be in the home partition of a split whose children are spread.

A gather needs all children of a parent in one place, and so does what is fused with it, what reads
the same topic, and what joins with any of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from headrace.core.lineage import Lineage
from headrace.core.steps import GatherStep, Inlet, SplitStep, Step

Way: TypeAlias = tuple[str, str]
"""A step and a route of it, empty for all its results: what one topic carries."""


def home_levels(lineage: Lineage, stages: Mapping[str, str]) -> Mapping[Way, int]:
    """Return from which level on the records of a topic must be at home; 0 and absent for none.

    Level 1 is the outermost split: its home is also the home of everything inside.

    Args:
        lineage: The steps.
        stages: Step to the stage that runs it.
    """
    spread = {
        step.name: len(lineage.leaving[step.name])
        for step in lineage.steps
        if isinstance(step, SplitStep) and step.is_spread
    }
    placing = _Placing(lineage, stages, spread)
    while placing.spread and placing.settle():
        pass
    return placing.topics


@dataclass(slots=True)
class _Placing:
    """Demands as far as they are known; they only grow.

    Attributes:
        spread: Spread splits and the level of their children.
        steps: Step to the level whose home it works at.
        topics: Way to the level at whose home its records are.
    """

    lineage: Lineage
    stages: Mapping[str, str]
    spread: Mapping[str, int]
    steps: dict[str, int] = field(default_factory=dict)
    topics: dict[Way, int] = field(default_factory=dict)

    def settle(self) -> bool:
        """Follow every demand one edge on; return whether anything changed."""
        before = (dict(self.steps), dict(self.topics))
        for step in self.lineage.steps:
            wanted = [self.steps.get(step.name, 0), self._gathered(step)]
            wanted += [self._comes(step, inlet) for inlet in step.inlets]
            level = min(filter(None, wanted), default=0)
            if level:
                self.steps[step.name] = level
                self._demand(step, level)
        return before != (self.steps, self.topics)

    def _gathered(self, step: Step) -> int:
        return self.spread.get(step.split, 0) if isinstance(step, GatherStep) else 0

    def _comes(self, step: Step, inlet: Inlet) -> int:
        """Return at which home the records of an inlet are."""
        if not self._is_fused(step, inlet):
            return self.topics.get((inlet.step, inlet.label), 0)
        if inlet.step in self.spread:
            # Children that are passed in memory stay with the worker that split them.
            return self.steps.get(inlet.step, 0) or self.spread[inlet.step]
        return self._left(inlet.step)

    def _demand(self, step: Step, level: int) -> None:
        for inlet in step.inlets:
            if not self._is_fused(step, inlet):
                self._bring(inlet.step, inlet.label, level)
            elif self.spread.get(inlet.step, 0) != level:
                self.steps[inlet.step] = min(self.steps.get(inlet.step, 0) or level, level)
        if self._left(step.name):
            for reading in self.lineage.readings[step.name]:
                if not self._is_fused(reading.step, reading.inlet):
                    self._bring(step.name, reading.inlet.label, self._left(step.name))

    def _bring(self, step: str, label: str, level: int) -> None:
        self.topics[step, label] = min(self.topics.get((step, label), level), level)

    def _left(self, step: str) -> int:
        """Return at which home a step leaves its results."""
        level = self.steps.get(step, 0)
        is_inside = level <= len(self.lineage.leaving[step])
        return level if is_inside and step not in self.spread else 0

    def _is_fused(self, step: Step, inlet: Inlet) -> bool:
        return inlet.step != "" and self.stages[inlet.step] == self.stages[step.name]
