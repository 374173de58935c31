"""Where parts of a record meet, as the interpreter sees it: what became of each, and of all."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from headrace.core.steps import (
    FunctionStep,
    GatherStep,
    Inlet,
    Join,
    JoinMode,
    ModelStep,
    OnMissing,
    SplitStep,
    Step,
)
from headrace.testing.documents import copy_path

Children: TypeAlias = tuple[int, ...]
"""Which child of which child a record is; empty for a source record."""


class Kind(StrEnum):
    """What a step says of a record to those after it."""

    RESULT = "result"
    TOMBSTONE = "tombstone"
    DROPPED = "dropped"
    FAILED = "failed"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a record at a step.

    Attributes:
        kind: The outcome.
        document: The document of a result.
        label: The route that a result takes.
        step: The step that a failure began in.
        error: Class of that failure.
        is_short: Whether it lacks a part that was given up, at the join or gather it comes from.
    """

    kind: Kind
    document: Any = None
    label: str = ""
    step: str = ""
    error: str = ""
    is_short: bool = False


Fates: TypeAlias = dict[Children, Fate]

DROPPED = Fate(Kind.DROPPED)

ANY = "*"
"""Stands for every path, as what a function may write that does not say it."""

_COMES = frozenset({Kind.RESULT, Kind.TOMBSTONE, Kind.EMPTY})


class Meetings:
    """The joins and gathers of a pipeline.

    Args:
        steps: Every step, by name.
        whole: Whether documents come whole, instead of the fields that the inlets name.
    """

    def __init__(self, steps: Mapping[str, Step], *, whole: bool) -> None:
        self._steps = steps
        self._whole = whole

    def meet(self, step: Step, parts: Sequence[Fate]) -> Fate:
        """Return what enters a step, from what comes through each of its inlets."""
        if step.join is None:
            # A gather, too, lacks what failed: be it a child or the parent before it was split.
            return (isinstance(step, GatherStep) and failed_of(parts)) or parts[0]
        if step.join.mode is JoinMode.FIRST:
            came = [part for part in parts if part.kind in _COMES]
            return came[0] if came else failed_of(parts) or DROPPED
        return self._all(step, step.join, parts)

    def _all(self, step: Step, join: Join, parts: Sequence[Fate]) -> Fate:
        needed = [p for p, inlet in zip(parts, step.inlets, strict=True) if not inlet.is_optional]
        failed = failed_of(parts)
        if any(part.kind is Kind.DROPPED for part in needed):
            return DROPPED
        if failed_of(needed):
            return failed or DROPPED
        if failed and join.waiting.on_missing is not OnMissing.PROCEED:
            return DROPPED if join.waiting.on_missing is OnMissing.DROP else failed
        there = [number for number, part in enumerate(parts) if part.kind in _COMES]
        carrier = join.carrier if join.carrier in there else there[0]
        if parts[carrier].kind is not Kind.RESULT:
            return parts[carrier]
        document = self._merged(step, join, parts, carrier)
        return Fate(Kind.RESULT, document, is_short=bool(failed))

    def _merged(self, step: Step, join: Join, parts: Sequence[Fate], carrier: int) -> Any:
        """Write what the other parts bring into the carrier's document, in the join's order."""
        document = deepcopy(parts[carrier].document)
        there = [number for number, part in enumerate(parts) if part.kind is Kind.RESULT]
        for number in join.order:
            if number != carrier and number in there:
                for path in self._brought(step, number, carrier, there):
                    copy_path(path, parts[number].document, document)
        return document

    def _brought(
        self, step: Step, number: int, carrier: int, there: Sequence[int]
    ) -> Sequence[str]:
        """Return the paths that an inlet adds to the document of the carrier.

        A field that one branch wrote and another one wrote over is brought by the latter.
        """
        if not self._whole:
            return step.inlets[number].fields or ()
        prefer = step.join.prefer if step.join is not None else None
        others = [each for each in there if each not in (number, carrier)]
        if prefer == carrier:
            others.append(carrier)  # it wins where it may write
        newer = [path for each in others for path in self._since(step, each, number, prefer)]
        own = self._since(step, number, carrier)
        return [path for path in own if not any(_is_inside(path, each) for each in newer)]

    def _since(self, step: Step, one: int, other: int, prefer: int | None = None) -> Sequence[str]:
        """Return what one branch wrote that the other did not come by, less what it prefers."""
        ours, theirs = (self._passed(step.inlets[each].step) for each in (one, other))
        written = [path for name in ours - theirs for path in self._writes(name)]
        if other != prefer:
            return written
        wins = [path for name in theirs - ours for path in self._writes(name)]
        return [path for path in written if not any(_is_inside(path, each) for each in wins)]

    def _passed(self, name: str) -> set[str]:
        """Return the steps whose writing reaches what leaves a step; nothing inside a gather."""
        if not name:
            return set()
        step = self._steps[name]
        if isinstance(step, GatherStep):
            inlets: Sequence[Inlet] = self._steps[step.split].inlets
        else:
            inlets = step.inlets
        return {name}.union(*(self._passed(inlet.step) for inlet in inlets))

    def _writes(self, name: str) -> Sequence[str]:
        match self._steps[name]:
            case ModelStep(outputs=outputs):
                return [output.path for output in outputs]
            case FunctionStep(writes=writes):
                return (ANY,) if writes is None else writes
            case SplitStep(as_=path) | GatherStep(into=path):
                return [path]
        raise TypeError(f"{name} is a step of no known kind")


def failed_of(parts: Sequence[Fate]) -> Fate | None:
    """Return how a join or gather fails because of its parts; None if none of them failed.

    What it tells those after it is where the first of them began to fail.
    """
    failed = next((part for part in parts if part.kind is Kind.FAILED), None)
    return None if failed is None else replace(failed, is_short=True)


def _is_inside(path: str, other: str) -> bool:
    return other == ANY or f"{path}.".startswith(f"{other}.")
