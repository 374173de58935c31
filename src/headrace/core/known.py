"""Which fields a document can have at all, where that is known: inside and behind a split."""

from collections.abc import Mapping

from headrace.core.effects import written_by
from headrace.core.fields import normal, union
from headrace.core.lineage import Lineage
from headrace.core.steps import Fields, FunctionStep, GatherStep, SplitStep, Step


def known_fields(lineage: Lineage) -> Mapping[str, Fields]:
    """Return per step the fields that its results can have; None where they are not known.

    The documents of a source may have any fields, and so may what a function returns that does not
    say what it writes.
    """
    after: dict[str, Fields] = {}
    for step in lineage.steps:
        match step:
            case SplitStep():
                after[step.name] = normal((*step.keep, step.as_))
            case GatherStep():
                split = lineage.named(step.split)
                keep = split.keep if isinstance(split, SplitStep) else ()
                after[step.name] = normal((*keep, step.into))
            case FunctionStep(writes=None):
                after[step.name] = None
            case _:
                after[step.name] = union(entering(step, after), written_by(step))
    return after


def entering(step: Step, after: Mapping[str, Fields]) -> Fields:
    """Return the fields that can enter a step, from those of its parents' results."""
    return union(*(after[inlet.step] if inlet.step else None for inlet in step.inlets))
