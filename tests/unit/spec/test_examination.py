"""What only those say who compile conditions and import functions."""

from dataclasses import dataclass

import pytest

from headrace.errors import ConfigError
from headrace.spec.examination import Examiners, examined

STEPS = """\
pipeline: p
models: {m: {url: grpc://a:1}}
steps:
  kind:
    from: docs
    when: text ==
    model: m
    inputs: {x: text}
    outputs: {kind: y}
    routes: {note: kind == "note", rest: else}
  last: {from: [kind.note, kind.rest], join: first, function: rules:f, reads: kind, writes: kind}
sinks: {out: last}
"""


@dataclass
class Told:
    message: str
    hint: str = ""
    is_error: bool = True


def refuse_unfinished(condition):
    if condition.endswith("=="):
        raise ConfigError(
            f"condition {condition!r} is not CEL: ends too early; write it to the end"
        )


@pytest.fixture
def examine(lint, tmp_path):
    def run(text, *told):
        asked = []

        def function(*about):
            asked.append(about)
            return told

        checked = examined(lint(text), tmp_path, Examiners(refuse_unfinished, function))
        assert asked in ([], [("last", "rules:f", str(tmp_path))])
        return checked

    return run


def test_a_condition_that_cannot_be_compiled_is_an_error_in_its_place(examine):
    checked = examine(STEPS)

    assert checked.spec is None
    assert checked.text == (
        "file.yaml:6: E059 step 'kind': condition 'text ==' is not CEL: ends too early;"
        " write it to the end"
    )


def test_every_route_but_the_rest_is_examined(examine):
    checked = examine(STEPS.replace("text ==", "x > 1").replace('== "note"', "=="))

    assert [(lint.code, lint.line) for lint in checked.lints] == [("E059", 10)]


def test_a_function_that_cannot_be_imported_is_an_error_and_one_that_is_odd_a_warning(examine):
    good = STEPS.replace("text ==", "x > 1")

    refused = examine(good, Told("step 'last': no module 'rules'", "write it"))
    warned = examine(good, Told("step 'last': returns nothing", is_error=False))

    assert refused.spec is None
    assert refused.text == "file.yaml:11: E065 step 'last': no module 'rules'; write it"
    assert warned.spec is not None
    assert warned.text == "file.yaml:11: W055 step 'last': returns nothing"


def test_what_has_errors_already_is_not_examined(examine):
    checked = examine(STEPS.replace("from: docs", "form: docs"))

    assert {lint.code for lint in checked.lints} == {"E010", "E011"}


def test_what_was_said_before_stays_in_the_order_of_the_file(examine):
    text = STEPS.replace("m: {", "n: {url: grpc://b:1}, m: {")

    checked = examine(text, Told("odd", is_error=False))

    assert [(lint.code, lint.line) for lint in checked.lints] == [
        ("W050", 2),
        ("E059", 6),
        ("W055", 11),
    ]
