"""The manual comes from the types and is up to date."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from headrace.spec.cases import CasesSpec
from headrace.spec.connections import Spec
from headrace.spec.lint import CODES
from headrace.spec.loader import check_text
from headrace.spec.reference import cases_markdown, json_schema, markdown
from headrace.spec.refusals import spec_at

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def every_spec(spec=Spec):
    for part in spec.__subclasses__():
        yield part
        yield from every_spec(part)


@pytest.mark.parametrize(("name", "page"), [("pipeline", markdown), ("test-file", cases_markdown)])
def test_the_committed_pages_are_what_the_types_say(name, page):
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], markdown),
        (["--cases"], cases_markdown),
        (["--schema"], lambda: json.dumps(json_schema(), indent=2)),
        (["--cases", "--schema"], lambda: json.dumps(json_schema(CasesSpec), indent=2)),
    ],
)
def test_the_module_prints_the_page_or_the_schema(capsys, monkeypatch, arguments, printed):
    monkeypatch.setattr(sys, "argv", ["reference", *arguments])
    monkeypatch.delitem(sys.modules, "headrace.spec.reference")

    runpy.run_module("headrace.spec.reference", run_name="__main__")

    assert capsys.readouterr().out == printed()


def test_the_example_in_the_page_has_no_problem():
    example = markdown().partition("```yaml\n")[2].partition("```")[0]

    assert check_text(example, {}, "f").text == ""


def test_every_field_is_documented_by_its_docstring():
    bare = [
        f"{spec.__name__}.{name}"
        for spec in every_spec()
        for name, field in spec.model_fields.items()
        if not field.description
    ]

    assert bare == []


def test_every_field_and_every_code_stands_in_the_page():
    page = markdown() + cases_markdown()

    fields = {
        field.alias or name for spec in every_spec() for name, field in spec.model_fields.items()
    }
    assert [name for name in fields if f"| `{name}` |" not in page] == []
    assert [code for code in CODES if f"| {code} |" not in page] == []


def test_defaults_are_shown_as_the_file_writes_them():
    page = markdown()

    assert "| `max_wait` | duration | `5ms` |" in page
    assert "| `max_size` | 1 to 10000 | `64` |" in page
    assert "| `strict` | true or false | `false` |" in page


def test_no_field_is_both_built_and_refused():
    for spec in every_spec():
        known = {field.alias or name for name, field in spec.model_fields.items()}
        assert known.isdisjoint(spec.not_built), spec


def test_the_schema_knows_short_forms():
    schema = json_schema()

    assert schema["properties"]["models"]["additionalProperties"] == {
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/ModelSpec"}]
    }
    assert schema["$defs"]["ServerSpec"]["properties"]["url"]["anyOf"][0] == {"type": "string"}
    assert schema["$defs"]["BatchSpec"]["properties"]["max_wait"]["default"] == "5ms"
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ((), "PipelineSpec"),
        (("steps", "a"), "StepSpec"),
        (("steps", "a", "inputs", "t"), "InputSpec"),
        (("steps", "a", "batch"), "StepBatchSpec"),
        (("kafka", "security", "tls"), "KafkaTlsSpec"),
        (("models", "a", "tls"), "TlsSpec"),
    ],
)
def test_a_path_leads_to_the_type_of_its_mapping(path, name):
    assert spec_at(path).__name__ == name
