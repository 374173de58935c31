"""What the documentation tells people to write and to type is right."""

import contextlib
import json
import os
import re
from pathlib import Path

import click
import pytest
import yaml

from headrace.spec.case_file import check_cases
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.spec.variables import _VARIABLE
from headrace.testing.cases import run_cases
from tests.docs.calls import alternatives, commands, parse
from tests.docs.snippets import ROOT, Snippet, every_snippet, merged, pages

WHOLE = """\
pipeline: tweets
models:
  translator: {url: "grpc://localhost:8081"}
steps:
  translate:
    from: tweets
    model: translator
    inputs: {text: text}
    outputs: {translation: translation}
sinks: {tweets-es: translate}
"""
"""The pipeline that parts of a file shown in the documentation belong to."""


def holds_cases(snippet: Snippet) -> bool:
    return "\ncases:" in snippet.text


def is_pipeline(snippet: Snippet) -> bool:
    is_excerpt = snippet.page == "docs/howto/dag.md" and not snippet.title
    return "apiVersion:" not in snippet.text and not holds_cases(snippet) and not is_excerpt


YAML = every_snippet("yaml")
PIPELINES = [each for each in YAML if is_pipeline(each)]
CASES = [each for each in YAML if holds_cases(each) and not each.title]
"""Those with a title are files of a tutorial, which is played whole."""
SHELL = every_snippet("sh", "console")


def completed(text: str) -> str:
    """Return a whole pipeline file: parts are put into the usual pipeline."""
    shown = yaml.safe_load(text)
    return text if "pipeline" in shown else yaml.safe_dump(merged(yaml.safe_load(WHOLE), shown))


@pytest.mark.parametrize("snippet", PIPELINES, ids=str)
def test_yaml_is_a_pipeline_without_problems(snippet: Snippet):
    environ = {match["name"]: "set" for match in _VARIABLE.finditer(snippet.text) if match["name"]}

    checked = check_text(completed(snippet.text), environ, str(snippet))

    assert checked.spec is not None, checked.text
    assert [lint for lint in checked.lints if lint.code.startswith("W")] == [], checked.text


@pytest.mark.parametrize("snippet", CASES, ids=str)
def test_yaml_of_test_cases_passes(snippet: Snippet, tmp_path: Path):
    topology = compile_pipeline(check_text(WHOLE, {}, "f").unwrap(), tmp_path)
    path = tmp_path / "pipeline.test.yaml"
    path.write_text(snippet.text, encoding="utf-8")

    checked = check_cases(path, topology, {})

    assert checked.text == ""
    assert [ran.problems for ran in run_cases(topology, [checked])] == [[]]


@pytest.mark.parametrize("snippet", every_snippet("json", "jsonl"), ids=str)
def test_json_is_json(snippet: Snippet):
    whole = [snippet.text] if snippet.language == "json" else snippet.text.splitlines()

    assert all(json.loads(each) is not None for each in whole)


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_every_call_of_headrace_is_one_the_command_line_takes(snippet: Snippet, monkeypatch):
    for name in [each for each in os.environ if each.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)

    for words in commands(snippet.text):
        parse(words)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_verbs_and_options_named_in_passing_exist(page):
    prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`headrace ((?:[^`|]|\\\|)+)`", prose)
    calls = [list(call) for each in named for call in alternatives(each)]

    for words in calls:
        with contextlib.suppress(click.MissingParameter):  # a verb named without its file
            parse(words)
