"""Runs the test cases of a user's pipeline and says how what came differs from what should."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.core.differences import ABSENT, aligned, differences
from headrace.core.steps import ModelStep
from headrace.core.topology import Topology
from headrace.errors import ConfigError, InferenceError
from headrace.spec.case_file import CheckedCases
from headrace.spec.cases import ONLY, CaseSpec, CasesSpec, LetterSpec
from headrace.spec.lint import did_you_mean, listing
from headrace.testing.clock import run
from headrace.testing.rehearsal import Letter, Rehearsed, rehearse
from headrace.testing.script import RuleModel

_LIMIT_S = 36_000.0


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a case failed.

    Attributes:
        where: Which record, or which step.
        message: All of it for a person.
        path: Field of the document, empty where it is about no field.
        expected: What was to be there, None where nothing was.
        got: What is there, None where nothing is.
    """

    where: str
    message: str
    path: str = ""
    expected: Any = None
    got: Any = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that ran.

    Attributes:
        name: Its name.
        place: File and line.
        problems: How it failed, empty if it passed.
    """

    name: str
    place: str
    problems: Sequence[Problem]

    @property
    def has_passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.problems


def run_cases(
    topology: Topology, checked: Sequence[CheckedCases], names: Collection[str] = ()
) -> Iterator[Ran]:
    """Run the cases of some files, one after the other.

    Args:
        topology: The pipeline.
        checked: The files.
        names: Cases to run, empty for all.

    Raises:
        ConfigError: There is no case of that name.
    """
    known = [case.name for each in checked if each.cases for case in each.cases.cases]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, listing(known, "there is none"))
            raise ConfigError(f"no case is named {name!r}; {hint}")
    for each in checked:
        for number, case in enumerate(each.cases.cases if each.cases else ()):
            if each.cases is not None and (not names or case.name in names):
                place = f"{each.file}:{each.lines.key(('cases', number))}"
                yield Ran(case.name, place, run_case(topology, each.cases, case))


def run_case(topology: Topology, cases: CasesSpec, case: CaseSpec) -> list[Problem]:
    """Run a case in virtual time, on the real runtime; no problem means that it passed."""
    models: list[tuple[str, RuleModel]] = []

    def client_for(step: ModelStep) -> RuleModel:
        model = RuleModel(step, cases.rules_for(case, step))
        models.append((step.name, model))
        return model

    source = topology.sources[0].topic
    records = [
        (topic or source, value.encode() if isinstance(value, str) else _encoded(value))
        for topic, values in case.input.items()
        for value in values
    ]
    try:
        rehearsed = run(rehearse(topology, records, client_for), limit_s=_LIMIT_S)
    except InferenceError as error:
        return [Problem("models", f"the pipeline would wait for ever: {error.__cause__}")]
    found = list(_judged(topology, case, rehearsed))
    return [*_unanswered(models), *found]


def _judged(topology: Topology, case: CaseSpec, rehearsed: Rehearsed) -> Iterator[Problem]:
    for topic in dict.fromkeys(sink.topic for sink in topology.sinks):
        expected = case.expect.get(topic, case.expect.get(ONLY, ()))
        got = [
            None if each.value is None else msgspec.json.decode(each.value)
            for each in rehearsed.results
            if each.topic == topic
        ]
        yield from _compared(topic, expected, got, is_exact=case.exact)
    yield from _letters(case.dead_letters, rehearsed.letters)
    for number in sorted(set(rehearsed.halted) ^ set(case.halted)):
        where = f"input {number}"
        is_late = number in rehearsed.halted
        came = "never ended: its lane stands still (strict)" if is_late else "did end"
        yield Problem(where, f"{where} {came}")


def _compared(
    topic: str, expected: Sequence[Any], got: Sequence[Any], *, is_exact: bool
) -> Iterator[Problem]:
    def fits(number: int, document: Any) -> bool:
        return not differences(expected[number], document, is_partial=not is_exact)

    if len(expected) == len(got) and all(fits(number, each) for number, each in enumerate(got)):
        return
    # Documents that fit the same expectation count as equal, so that one too many is seen as that.
    keys = [next(n for n in range(len(expected)) if expected[n] == each) for each in expected]
    fitting = [next((n for n in keys if fits(n, each)), -1 - i) for i, each in enumerate(got)]
    for left, right in aligned(keys, fitting):
        where = f"{topic} {(right if left is None else left) + 1}"  # type: ignore[operator]
        if left is None and right is not None:
            yield Problem(where, f"{where} was not expected: {_shown(got[right])}", got=got[right])
        elif right is None and left is not None:
            wanted = expected[left]
            yield Problem(where, f"{where} did not come: {_shown(wanted)}", expected=wanted)
        elif left is not None and right is not None:
            for each in differences(expected[left], got[right], is_partial=not is_exact):
                place = f"{where}: {each.path}: " if each.path else f"{where}: "
                text = f"{place}expected {_shown(each.before)}, got {_shown(each.after)}"
                yield Problem(where, text, each.path, _plain(each.before), _plain(each.after))


def _letters(expected: Sequence[LetterSpec], got: Sequence[Letter]) -> Iterator[Problem]:
    left = list(got)
    for number, wanted in enumerate(expected, 1):
        found = next((letter for letter in left if _is(letter, wanted)), None)
        if found is None:
            where = f"dead letter {number}"
            said = wanted.model_dump(exclude_none=True)
            yield Problem(where, f"{where} did not come: {_shown(said)}", expected=said)
        else:
            left.remove(found)
    for letter in left:
        where = f"input {letter.number}" + (f", child {letter.place}" if letter.child else "")
        text = f"{where} was given up at step '{letter.step}': {letter.error}: {letter.message}"
        yield Problem(where, text, got={"step": letter.step, "error": letter.error})


def _is(letter: Letter, wanted: LetterSpec) -> bool:
    return (
        wanted.input in (None, letter.number)
        and wanted.step in (None, letter.step)
        and wanted.error in (None, letter.error)
        and (wanted.message is None or wanted.message in letter.message)
    )


def _unanswered(models: Sequence[tuple[str, RuleModel]]) -> Iterator[Problem]:
    for step, model in models:
        for row in model.unanswered:
            text = f"step '{step}' asked {_shown(row)}, which no rule of `models` answers"
            yield Problem(f"step {step}", text, got=row)


def _encoded(value: Any) -> bytes | None:
    return None if value is None else msgspec.json.encode(value)


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def _shown(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, ensure_ascii=False)
