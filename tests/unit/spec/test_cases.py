# ruff: noqa: E501 - a table of whole messages
"""Files of test cases: every problem at once, with its line, its code and a way out."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.models import Model
from headrace.errors import SpecError
from headrace.spec.case_file import case_files, check_cases, load_cases
from headrace.spec.cases import CasesSpec
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from tests.unit import dags

TWO_STEPS = """\
pipeline: two
sources: {left: left.in, right: right.in}
models:
  caps: {url: grpc://localhost:8081}
steps:
  shout: {from: [left, right], model: caps, inputs: {text: text, lang: lang}, outputs: {loud: upper, size: size}}
sinks: {one: shout, two: shout}
"""
GOOD = """\
models:
  translator:
    - when: {text: Hello}
      answer: {translation: Hola}
    - echo: {translation: text}
cases:
  - name: first
    input: [{text: Hello}]
    expect: [{translation: Hola}]
"""


@pytest.fixture
def topology(tweets):
    return compile_pipeline(check_text(tweets, {}, "f").unwrap(), Path())


@pytest.fixture
def wide():
    """A pipeline with two sources, two sinks and two tensors each way."""
    text = TWO_STEPS.replace("[left, right]", "left")
    spec = check_text(text.replace(", right: right.in", ""), {}, "f").unwrap()
    (stage,) = compile_pipeline(spec, Path()).stages
    from dataclasses import replace

    from headrace.core.topology import Source

    stage = replace(stage, sources=(Source("left.in"), Source("right.in")))
    return replace(compile_pipeline(spec, Path()), stages=(stage,))


@pytest.fixture
def problems(tmp_path, topology):
    def run(text, pipeline=topology, **environ):
        path = tmp_path / "f.test.yaml"
        path.write_text(text, encoding="utf-8")
        checked = check_cases(path, pipeline, environ)
        assert (checked.cases is None) == bool(checked.text)
        return checked.text.replace(f"{path}:", "").splitlines()

    return run


def test_a_good_file_has_no_problem(problems):
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "  translator:\n",
            "  translater:\n",
            "2: E071 no step calls a model 'translater'; did you mean 'translate'?",
        ),
        (
            "when: {text",
            "when: {txt",
            "3: E073 step 'translate' sends no input tensor 'txt'; did you mean 'text'?",
        ),
        (
            "answer: {translation",
            "answer: {translated",
            "4: E073 step 'translate' reads no output tensor 'translated'; did you mean 'translation'?",
        ),
        (
            "{translation: text}",
            "{translation: txt}",
            "5: E073 step 'translate' sends no input tensor 'txt'; did you mean 'text'?",
        ),
        (
            "      answer: {translation: Hola}\n",
            "",
            "3: E074 a rule decides nothing; write either `answer` or `echo`, for every output tensor, or `error`",
        ),
        (
            "answer: {translation: Hola}",
            "error: {status: 503}",
            "3: E074 a rule pauses the step for ever with status 503; say how many calls it lasts: `times: 2`",
        ),
        (
            "answer: {translation: Hola}",
            "error: {status: 200}",
            "4: E013 '0.error.status' of model 'translator', not 200: must be greater than or equal to 400",
        ),
        ("cases:\n", "cases: []\nother:\n", "7: E011 unknown field 'other' in the file"),
        ("  - name: first\n    input", "  - input", "7: E010 case 1 needs 'name'"),
        ("input: [{text: Hello}]", "input: [3]", "8: E012 'input.0' of case 1: is neither"),
        ("expect: [{translation: Hola}]", "expect: [Hola]", "9: E012 'expect.0' of case 1: expects a document"),
        ("expect: [{t", "expct: [{t", "9: E011 unknown field 'expct' in case 1; did you mean 'expect'?"),
        (
            "input: [",
            "input:\n      tweet: [",
            "9: E072 the pipeline reads no topic 'tweet'; did you mean 'tweets'?",
        ),
        (
            "expect: [",
            "expect:\n      tweets: [",
            "10: E072 the pipeline writes no topic 'tweets'; did you mean 'tweets-es'?",
        ),
        (
            "    expect:",
            "    dead_letters: [{step: translat}]\n    expect:",
            "9: E071 there is no step 'translat'; did you mean 'translate'?",
        ),
        (
            "    expect:",
            "    dead_letters: [{error: InvalidInput}]\n    expect:",
            "9: E075 no record is given up with 'InvalidInput'; did you mean 'InvalidInputError'?",
        ),
        (
            "    expect:",
            "    dead_letters: [{input: 2}]\n    expect:",
            "9: E075 the case has 1 inputs only",
        ),
        (
            "    expect:",
            "    models: {translate: {answer: {}, echo: {}}}\n    expect:",
            "9: E074 a rule decides nothing",
        ),
        ("[{text: Hello}]", "['$" + "{WHO}']", "8: E003 variable 'WHO' is not set"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where_and_how_to_mend_it(problems, old, new, problem):
    assert old in GOOD

    told = problems(GOOD.replace(old, new, 1))

    assert any(line.startswith(problem) for line in told), told


def test_every_problem_is_told_at_once(problems):
    told = problems(GOOD.replace("translator:", "nix:").replace("expect: [", "expect: {nix: [").replace("Hola}]", "Hola}]}"))  # fmt: skip

    assert [line.split()[1] for line in told] == ["E071", "E072"]


def test_two_cases_of_one_name_are_told_apart(problems):
    told = problems(GOOD + "  - {name: first, input: []}\n")

    assert told == [
        "10: E070 case 2 has the name of case 1: 'first'; give each case a name of its own"
    ]


def test_a_rule_covers_every_output_that_the_step_reads(problems, wide):
    told = problems("models: {caps: {answer: {upper: A}}}\ncases: [{name: a, input: {left.in: []}}]\n", wide)  # fmt: skip

    assert told == [
        "1: E073 step 'shout' also reads the output 'size'; put it into `answer` or `echo`"
    ]


def test_a_list_without_a_topic_is_refused_where_there_are_several(problems, wide):
    told = problems("cases: [{name: a, input: [{}], expect: [{}]}]\n", wide)

    assert told == [
        "1: E072 the pipeline writes more than one topic; write a list for each: one, two",
        "1: E072 the pipeline reads more than one topic; write a list for each: left.in, right.in",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("cases: [", "E001"), ("", "1: E012 the file expects a mapping, not null")],
)
def test_what_is_no_file_of_cases_is_one_problem(problems, text, problem):
    assert problem in problems(text)[0]


def test_a_file_that_cannot_be_read_is_named(topology, tmp_path):
    with pytest.raises(
        SpecError, match=r"nowhere.yaml:.*E005 cannot be read: no such file"
    ) as caught:
        load_cases("f.yaml", [tmp_path / "nowhere.yaml"], topology, {})

    assert len(caught.value.problems) == 1


def test_files_are_found_beside_the_pipeline_and_only_its_own(tmp_path, topology):
    for name in ("a.test.yaml", "a.more.test.yaml", "ab.test.yaml", "b.test.yaml"):
        (tmp_path / name).write_text(GOOD)
    ours = [tmp_path / "a.more.test.yaml", tmp_path / "a.test.yaml"]

    assert case_files(tmp_path / "a.yaml") == ours
    assert case_files(f"{tmp_path}/a.py:pipeline") == ours
    assert len(load_cases(tmp_path / "a.yaml", (), topology, {})) == 2


def test_a_pipeline_without_cases_says_what_to_write(tmp_path, topology):
    with pytest.raises(SpecError, match=r"E005 has no test cases; write a\.test\.yaml beside it"):
        load_cases(tmp_path / "a.yaml", (), topology, {})


def test_a_case_asks_its_own_rules_first_and_those_of_a_step_before_its_models():
    def rule(text):
        return {"answer": {"translation": text}}

    cases = CasesSpec.model_validate(
        {
            "models": {
                "translator": rule("6"),
                "translator@2": rule("5"),
                "translate": [rule("4")],
            },
            "cases": [
                {
                    "name": "a",
                    "input": [],
                    "models": {
                        "translator": rule("3"),
                        "translator@2": rule("2"),
                        "translator@1": rule("not asked"),
                        "translate": rule("1"),
                    },
                }
            ],
        }
    )

    model = Model("translator", ("grpc://x",), "translator", version="2")
    step = replace(dags.model_step("translate", [], ["a"], ["b"]), model=model)
    rules = cases.rules_for(cases.cases[0], step)

    assert [rule.answer["translation"] for rule in rules] == list("123456")
    assert len(cases.rules_for(cases.cases[0], dags.model_step("other", [], ["a"], ["b"]))) == 0


RECORDS = Path(__file__).with_name("records").joinpath("pipeline.yaml").read_text()


@pytest.fixture
def told_of_dag(tmp_path):
    """Return what is wrong with a file of cases of the pipeline of medical records."""

    def run(text):
        checked = check_text(RECORDS, {}, "f")
        file = tmp_path / "f.test.yaml"
        file.write_text(text)
        found = check_cases(file, compile_pipeline(checked.unwrap(), tmp_path), {})
        return [(each.code, each.message) for each in found.lints]

    return run


def test_a_version_of_a_model_has_rules_of_its_own(told_of_dag):
    rule = "{answer: {codes: []}}"
    text = f"models: {{icd10@3: {rule}, icd10@4: {rule}, icd10@5: {rule}}}\n"

    found = told_of_dag(text + "cases: [{name: a, input: []}]")

    assert found == [("E071", "no step calls a model 'icd10@5'")]


def test_a_letter_may_name_a_step_of_any_kind(told_of_dag):
    letters = "[{step: checked}, {step: pages}, {step: chart, error: MissingPartError}, {step: x}]"

    found = told_of_dag(f"cases: [{{name: a, input: [], dead_letters: {letters}}}]")

    assert found == [("E071", "there is no step 'x'")]
