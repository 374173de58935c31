"""What only those can say who compile conditions and import functions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path as Folder
from typing import Protocol

from headrace.core.steps import ELSE
from headrace.errors import ConfigError
from headrace.spec.lint import Lint, Path, Report, has_errors, in_order
from headrace.spec.loader import Checked
from headrace.spec.models import PipelineSpec
from headrace.spec.steps import StepSpec


class Problem(Protocol):
    """What is wrong with a step's function."""

    @property
    def message(self) -> str:
        """What is wrong."""
        ...

    @property
    def hint(self) -> str:
        """A way out, empty if none is known."""
        ...

    @property
    def is_error(self) -> bool:
        """Whether the pipeline cannot start with it."""
        ...


@dataclass(frozen=True, slots=True)
class Examiners:
    """Those who can say it.

    Attributes:
        condition: Compiles a condition, or raises `ConfigError`.
        function: Takes a step's name, its `module:callable` and the pipeline file's folder, imports
            the function and returns what is wrong with it.
    """

    condition: Callable[[str], object]
    function: Callable[[str, str, str], Iterable[Problem]]


def examined(checked: Checked, folder: Folder, examiners: Examiners) -> Checked:
    """Return a pipeline with the problems of its conditions and functions among the others.

    The users' modules run. A pipeline with errors comes back as it is.
    """
    if checked.spec is None:
        return checked
    report = Report(checked.lines)
    _examine(checked.spec, str(folder.resolve()), examiners, report)
    lints: tuple[Lint, ...] = in_order((*checked.lints, *report.lints))
    return replace(checked, spec=None if has_errors(lints) else checked.spec, lints=lints)


def _examine(spec: PipelineSpec, folder: str, examiners: Examiners, report: Report) -> None:
    for name, step in spec.steps.items():
        for path, condition in _conditions(name, step):
            try:
                examiners.condition(condition)
            except ConfigError as error:
                message, _, hint = str(error).partition("; ")
                report.add("E059", path, f"step '{name}': {message}", hint)
        if step.function is not None:
            path = ("steps", name, "function")
            for problem in examiners.function(name, step.function.call, folder):
                code = "E065" if problem.is_error else "W055"
                report.add(code, path, problem.message, problem.hint)


def _conditions(name: str, step: StepSpec) -> Iterator[tuple[Path, str]]:
    if step.when is not None:
        yield ("steps", name, "when"), step.when
    for label, condition in (step.routes or {}).items():
        if condition != ELSE:
            yield ("steps", name, "routes", label), condition
