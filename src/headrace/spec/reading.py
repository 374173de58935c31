"""Fields that are read and that nothing before writes."""

from collections.abc import Iterator

from headrace.core.effects import decided_by, written_by
from headrace.core.expressions import paths_read
from headrace.core.fields import covers, cut, union
from headrace.core.known import entering, known_fields
from headrace.core.lineage import Lineage
from headrace.core.steps import Fields, FunctionStep, GatherStep, ModelStep, SplitStep, Step
from headrace.spec.lint import Path, Report, did_you_mean, listing
from headrace.spec.spelling import is_almost


def check_reading(lineage: Lineage, report: Report) -> None:
    """Report what is read and cannot be there, or is almost something that is written.

    The fields of a source's documents are not known: there only a path that is nearly one of those
    that steps before it write is worth a warning.
    """
    after = known_fields(lineage)
    for step in lineage.steps:
        before = entering(step, after)
        written = _written(step, lineage)
        for path, field in _read_before(step):
            _check(path, field, before, written, report)
        now = union(written, written_by(step)) if not isinstance(step, SplitStep) else ()
        for path, field in _read_after(step):
            _check(path, field, after[step.name], now, report)


def _check(path: Path, field: str, known: Fields, written: Fields, report: Report) -> None:
    field = cut(field)
    if known is not None:
        if not _is_there(field, known):
            hint = did_you_mean(field, known, listing(known, ""))
            text = f"{_who(path)} reads '{field}', which nothing before it writes"
            report.add("E057", path, text, hint)
        return
    if written is None or _is_there(field, written):
        return
    for other in written:
        if is_almost(field, other):
            text = f"{_who(path)} reads '{field}', which is almost '{other}', written before it"
            report.add("W053", path, text, f"did you mean '{other}'?")


def _is_there(field: str, known: tuple[str, ...]) -> bool:
    return covers(known, field) or any(covers((field,), each) for each in known)


def _who(path: Path) -> str:
    return f"{'sink' if path[0] == 'sinks' else 'step'} '{path[1]}'"


def _written(step: Step, lineage: Lineage) -> Fields:
    """Return what steps before one step wrote of the document that enters it."""
    before = lineage.ancestors[step.name] - {step.name}
    return union(
        *(
            written_by(each)
            for each in lineage.steps
            if each.name in before and lineage.leaving[each.name] == lineage.entering[step.name]
        )
    )


def _read_before(step: Step) -> Iterator[tuple[Path, str]]:
    """Yield every place of the file where something that enters a step is read, and what."""
    path: Path = ("steps", step.name)
    yield from (((*path, "when"), field) for field in paths_read(step.when))
    match step:
        case ModelStep():
            for bound in step.inputs:
                if not bound.has_default:
                    yield (*path, "inputs", bound.tensor), bound.path
        case FunctionStep():
            yield from (((*path, "reads"), field) for field in step.reads or ())
        case SplitStep():
            yield (*path, "split", "each"), step.each
            yield from (((*path, "split", "keep"), field) for field in step.keep)
        case _:
            fields = step.fields if isinstance(step, GatherStep) else ()
            yield from (((*path, "gather", "fields"), field) for field in fields or ())


def _read_after(step: Step) -> Iterator[tuple[Path, str]]:
    """Yield every place of the file where the result of a step is read, and what."""
    for label, condition in step.routes:
        yield from (
            (("steps", step.name, "routes", label), field) for field in decided_by(condition)
        )
    for sink in step.sinks:
        path: Path = ("sinks", sink.topic)
        yield from (((*path, "fields"), field) for field in sink.fields)
        if sink.key:
            yield (*path, "key"), sink.key
