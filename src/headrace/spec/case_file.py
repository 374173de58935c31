"""Loads files of test cases, or says everything that is wrong with them."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File

from pydantic import ValidationError

from headrace import errors
from headrace.core.steps import ModelStep
from headrace.core.topology import Topology
from headrace.errors import InferenceError, RecordError, SpecError
from headrace.spec.cases import ONLY, CaseSpec, CasesSpec, RuleSpec, script_names
from headrace.spec.composer import compose
from headrace.spec.lint import (
    Lines,
    Lint,
    Path,
    Report,
    did_you_mean,
    has_errors,
    listing,
    rendered,
)
from headrace.spec.loader import folder_of, reason
from headrace.spec.refusals import report_refusals

ENDING = ".test.yaml"


@dataclass(frozen=True, slots=True)
class CheckedCases:
    """A file of test cases and everything that was found in it.

    Attributes:
        cases: The cases, None if an error was found.
        lints: Problems in the order of the file.
        lines: Where everything stands.
        file: Where it was read from, as the user named it.
    """

    cases: CasesSpec | None
    lints: tuple[Lint, ...]
    lines: Lines
    file: str

    @property
    def text(self) -> str:
        """Every problem, one a line."""
        return rendered(self.lints, self.file)


def case_files(target: str | File) -> list[File]:
    """Return the files of cases beside a pipeline: `NAME.test.yaml` and `NAME.*.test.yaml`."""
    ours = (f"{_stem(target)}{ENDING}", f"{_stem(target)}.*{ENDING}")
    return sorted(path for pattern in ours for path in folder_of(target).glob(pattern))


def load_cases(
    target: str | File, files: Sequence[File], topology: Topology, environ: Mapping[str, str]
) -> list[CheckedCases]:
    """Return the cases of files, or of those beside the pipeline where none is named.

    Raises:
        SpecError: There is no file, or some have errors; it carries every problem of all of them.
    """
    found = list(files) or case_files(target)
    if not found:
        report = Report()
        hint = f"write {_stem(target)}{ENDING} beside it, or name a file with --cases"
        report.add("E005", (), "has no test cases", hint)
        raise SpecError(rendered(report.lints, str(target)), report.lints)
    checked = [check_cases(each, topology, environ) for each in found]
    broken = [each for each in checked if each.cases is None]
    if broken:
        lints = tuple(lint for each in broken for lint in each.lints)
        raise SpecError("\n".join(each.text for each in broken), lints)
    return checked


def check_cases(file: str | File, topology: Topology, environ: Mapping[str, str]) -> CheckedCases:
    """Return the cases of a file for a pipeline, and every problem in them."""
    lines = Lines()
    report = Report(lines)
    cases = None
    try:
        text = File(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as exc:
        report.add("E005", (), f"cannot be read: {reason(exc)}")
    else:
        cases = _parsed(text, environ, lines, report)
    if cases is not None:
        _check(cases, topology, report)
    kept = None if has_errors(report.lints) else cases
    return CheckedCases(kept, report.lints, lines, str(file))


def _stem(target: str | File) -> str:
    # A pipeline in Python is named FILE.py:NAME.
    return File(str(target).rpartition(".")[0]).name


def _parsed(
    text: str, environ: Mapping[str, str], lines: Lines, report: Report
) -> CasesSpec | None:
    data = compose(text, environ, lines, report)
    if data is None and has_errors(report.lints):
        return None
    try:
        return CasesSpec.model_validate(data)
    except ValidationError as exc:
        report_refusals(exc, data, report, CasesSpec)
    return None


def _check(cases: CasesSpec, topology: Topology, report: Report) -> None:
    _check_scripts(cases.models, (), topology, report)
    first: dict[str, int] = {}
    for index, case in enumerate(cases.cases):
        path = ("cases", index)
        if first.setdefault(case.name, index) != index:
            text = f"case {index + 1} has the name of case {first[case.name] + 1}: '{case.name}'"
            report.add("E070", (*path, "name"), text, "give each case a name of its own")
        _check_scripts(case.models, path, topology, report)
        _check_topics(case, path, topology, report)
        _check_letters(case, path, topology, report)


def _check_scripts(
    scripts: Mapping[str, tuple[RuleSpec, ...]], owner: Path, topology: Topology, report: Report
) -> None:
    steps = topology.models
    known = [name for step in steps for name in script_names(step)]
    for name, rules in scripts.items():
        path = (*owner, "models", name)
        if name not in known:
            hint = did_you_mean(name, known, listing(set(known), ""))
            report.add("E071", path, f"no step calls a model '{name}'", hint)
        for step in steps:
            if name in script_names(step):
                for index, rule in enumerate(rules):
                    _check_rule(rule, (*path, index), step, report)


def _check_rule(rule: RuleSpec, path: Path, step: ModelStep, report: Report) -> None:
    inputs = [bound.tensor for bound in step.inputs]
    outputs = [bound.tensor for bound in step.outputs]
    _check_tensors(rule.when, "input", inputs, (*path, "when"), step, report)
    _check_tensors(rule.echo.values(), "input", inputs, (*path, "echo"), step, report)
    for part in ("answer", "echo"):
        _check_tensors(getattr(rule, part), "output", outputs, (*path, part), step, report)
    missing = [name for name in outputs if name not in rule.answer and name not in rule.echo]
    if rule.error is None and missing:
        text = f"step '{step.name}' also reads the output {', '.join(map(repr, missing))}"
        report.add("E073", path, text, "put it into `answer` or `echo`")


def _check_tensors(
    names: Iterable[str],
    kind: str,
    known: list[str],
    path: Path,
    step: ModelStep,
    report: Report,
) -> None:
    for name in names:
        if name not in known:
            verb = "sends" if kind == "input" else "reads"
            text = f"step '{step.name}' {verb} no {kind} tensor '{name}'"
            report.add("E073", (*path, name), text, did_you_mean(name, known, listing(known, "")))


def _check_topics(case: CaseSpec, owner: Path, topology: Topology, report: Report) -> None:
    sources = {source.topic for source in topology.sources}
    sinks = {sink.topic for sink in topology.sinks}
    for part, named, known, verb in (
        ("input", case.input, sources, "reads"),
        ("expect", case.expect, sinks, "writes"),
    ):
        for topic in named:
            path = (*owner, part, topic) if topic else (*owner, part)
            if topic == ONLY and len(known) > 1:
                hint = f"write a list for each: {', '.join(sorted(known))}"
                report.add("E072", path, f"the pipeline {verb} more than one topic", hint)
            elif topic not in {*known, ONLY}:
                hint = did_you_mean(topic, known, listing(known, ""))
                report.add("E072", path, f"the pipeline {verb} no topic '{topic}'", hint)


def _check_letters(case: CaseSpec, owner: Path, topology: Topology, report: Report) -> None:
    inputs = sum(map(len, case.input.values()))
    steps = [step.name for step in topology.steps]
    for index, letter in enumerate(case.dead_letters):
        path = (*owner, "dead_letters", index)
        if letter.input is not None and letter.input > inputs:
            report.add("E075", (*path, "input"), f"the case has {inputs} inputs only")
        if letter.step is not None and letter.step not in steps:
            hint = did_you_mean(letter.step, steps, listing(steps, ""))
            report.add("E071", (*path, "step"), f"there is no step '{letter.step}'", hint)
        if letter.error is not None and letter.error not in _ERRORS:
            hint = did_you_mean(letter.error, _ERRORS, listing(_ERRORS, ""))
            text = f"no record is given up with '{letter.error}'"
            report.add("E075", (*path, "error"), text, hint)


def _fates() -> Iterator[str]:
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, RecordError | InferenceError):
            yield name


_ERRORS = frozenset(_fates())
