"""What each kind of step reads and writes of the document that goes through it."""

from headrace.core.expressions import paths_read
from headrace.core.fields import cut, normal, union
from headrace.core.steps import ELSE, Fields, FunctionStep, GatherStep, ModelStep, SplitStep, Step


def read_by(step: Step) -> Fields:
    """Return what a step itself reads of the document that enters it; see `after` for routes.

    A gather's children and the fields that a split keeps are read only if their result is.
    """
    gate = normal(paths_read(step.when))
    match step:
        case ModelStep():
            # An element can only be written into a list that is there.
            lists = (cut(each.path) for each in step.outputs if cut(each.path) != each.path)
            return union(normal(each.path for each in step.inputs), normal(lists), gate)
        case FunctionStep():
            return union(step.reads, gate)
        case SplitStep():
            return union((step.each,), gate)
    return gate


def written_by(step: Step) -> Fields:
    """Return what a step may write of the document that goes through it; None for anything."""
    match step:
        case ModelStep():
            return normal(each.path for each in step.outputs)
        case FunctionStep():
            return step.writes
        case GatherStep():
            return normal((step.into,))
    return ()


def surely_written_by(step: Step) -> tuple[str, ...]:
    """Return what a step writes into every result: a function may leave out what it may write."""
    if isinstance(step, FunctionStep):
        return ()
    paths = (each.path for each in step.outputs) if isinstance(step, ModelStep) else ()
    # An element of a list is not all of it.
    whole = normal(path for path in paths if cut(path) == path)
    return whole if isinstance(step, ModelStep) else written_by(step) or ()


def read_after(step: Step) -> Fields:
    """Return what a step's routes and sinks read of its result."""
    routes = (normal(decided_by(condition)) for _, condition in step.routes)
    sinks = (
        normal((*sink.fields, *filter(None, (sink.key,)))) if sink.fields else None
        for sink in step.sinks
    )
    return union(*routes, *sinks)


def decided_by(condition: str) -> tuple[str, ...]:
    """Return the paths that the condition of a route reads."""
    return () if condition == ELSE else paths_read(condition)
