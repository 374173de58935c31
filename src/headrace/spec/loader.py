"""Loads a pipeline from YAML or from Python, or says everything that is wrong with it."""

import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from headrace.errors import InvariantError, SpecError
from headrace.spec.composer import compose
from headrace.spec.effective import check_effective
from headrace.spec.kinds import check_kinds
from headrace.spec.lint import (
    Lines,
    Lint,
    Report,
    did_you_mean,
    has_errors,
    listing,
    rendered,
)
from headrace.spec.models import PipelineSpec
from headrace.spec.properties import check_properties
from headrace.spec.refusals import report_refusals
from headrace.spec.rules import Names, check_names, check_unused
from headrace.spec.shape import check_shape

MODULE_PREFIX = "headrace_pipeline_"
"""Begins the name under which a pipeline's module is executed."""

_NAMED = 5
_TARGET = re.compile(r"(?P<file>.+\.py)(?::(?P<name>[A-Za-z_]\w*))?")


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline and everything that was found in it.

    Attributes:
        spec: The pipeline, None if an error was found.
        lints: Errors, warnings and notes in the order of the file.
        file: Where it was read from, as the user named it.
        lines: Where everything stands.
    """

    spec: PipelineSpec | None
    lints: tuple[Lint, ...]
    file: str
    lines: Lines = field(default_factory=Lines)

    @property
    def text(self) -> str:
        """Every problem, one a line."""
        return rendered(self.lints, self.file)

    def unwrap(self) -> PipelineSpec:
        """Return the pipeline.

        Raises:
            SpecError: It has errors; the message lists every problem.
        """
        if self.spec is None:
            raise SpecError(self.text, self.lints)
        return self.spec


@runtime_checkable
class Declared(Protocol):
    """A pipeline declared in Python; `headrace.builder.Pipeline` is one."""

    def check(self, environ: Mapping[str, str], file: str) -> Checked:
        """Return the pipeline with variables filled in from `environ`."""
        ...


def load(target: str | File, environ: Mapping[str, str]) -> PipelineSpec:
    """Return the pipeline of `FILE.yaml` or `module.py:pipeline`.

    Raises:
        SpecError: It cannot be loaded or has errors; it carries every problem.
    """
    return check(target, environ).unwrap()


def check(target: str | File, environ: Mapping[str, str]) -> Checked:
    """Return the pipeline of `FILE.yaml` or `module.py:pipeline`, and every problem in it.

    A Python module is executed, with its own folder first on the import path meanwhile.
    """
    target = str(target)
    if match := _TARGET.fullmatch(target):
        return _check_python(File(match["file"]), match["name"] or "pipeline", environ)
    try:
        text = File(target).read_text(encoding="utf-8")
    except UnicodeError:
        return _failed(target, "is not a text in UTF-8", _instead_of(File(target)))
    except (OSError, ValueError) as exc:
        return _failed(target, f"cannot be read: {reason(exc)}", _instead_of(File(target)))
    return check_text(text, environ, target)


def folder_of(target: str | File) -> File:
    """Return the folder that paths inside a pipeline start from."""
    match = _TARGET.fullmatch(str(target))
    return File(match["file"] if match else target).parent


def check_text(text: str, environ: Mapping[str, str], file: str) -> Checked:
    """Return the pipeline of a YAML text, and every problem in it."""
    lines = Lines()
    report = Report(lines)
    data = compose(text, environ, lines, report)
    if data is None and has_errors(report.lints):
        return Checked(None, report.lints, file)
    return check_data(data, report, file)


def check_data(data: Any, report: Report, file: str) -> Checked:
    """Return the pipeline of plain data, and what the report already holds with what is wrong."""
    names = Names.of(data)
    check_names(names, report)
    check_properties(data, report)
    check_kinds(data, report)
    spec = None
    try:
        spec = PipelineSpec.model_validate(data)
    except ValidationError as exc:
        report_refusals(exc, data, report)
    if not has_errors(report.lints) and spec is not None:
        check_shape(spec, report)
        check_unused(names, report)
        check_effective(spec, report)
    return Checked(None if has_errors(report.lints) else spec, report.lints, file, report.lines)


def _check_python(file: File, name: str, environ: Mapping[str, str]) -> Checked:
    try:
        module = _execute(file)
    except SpecError:
        raise
    except Exception as exc:  # noqa: BLE001 - the user's module may raise anything
        return _failed(str(file), f"cannot be imported: {reason(exc)}")
    found = vars(module).get(name)
    if isinstance(found, Declared) and not isinstance(found, type):
        return found.check(environ, str(file))
    known = [key for key, value in vars(module).items() if _is_pipeline(value)]
    hint = did_you_mean(name, known, listing(known, "assign a headrace Pipeline to it"))
    return _failed(str(file), f"has no pipeline named '{name}'", hint)


def _execute(file: File) -> ModuleType:
    name = f"{MODULE_PREFIX}{file.stem}"
    place = importlib.util.spec_from_file_location(name, file)
    if place is None or place.loader is None:
        raise InvariantError(f"{file} has no import loader")
    module = importlib.util.module_from_spec(place)
    # Dataclasses and pickle look their module up by name.
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        place.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent.resolve()))
    return module


def _is_pipeline(value: object) -> bool:
    return isinstance(value, Declared) and not isinstance(value, type)


def _failed(file: str, message: str, hint: str = "") -> Checked:
    report = Report()
    report.add("E005", (), message, hint)
    return Checked(None, report.lints, file)


def _instead_of(file: File) -> str:
    """Return a hint which pipeline may be meant by a file that is none."""
    folder = file if file.is_dir() else file.parent
    if not folder.is_dir():
        return f"there is no folder '{folder}'"
    known = sorted(str(each) for each in folder.glob("*.y*ml") if ".test." not in each.name)
    return listing(known[:_NAMED], "`headrace init` writes one")


def reason(exc: BaseException) -> str:
    """Return why something could not be read or run, the system's words without their number."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return f"{type(exc).__name__}: {exc}"
