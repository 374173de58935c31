"""The DAG that the documentation builds is one, its parts are parts of it, and its cases pass."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from headrace.spec.case_file import check_cases
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing.cases import run_cases
from tests.docs.snippets import SITE, Snippet, merged, snippets

SHOWN = list(snippets(SITE / "howto" / "dag.md"))
FILES = {each.title: each.text for each in SHOWN if each.title}
EXCERPTS = [each for each in SHOWN if each.language == "yaml" and not each.title]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    sys.modules.pop("rules", None)
    yield tmp_path
    sys.modules.pop("rules", None)


def test_the_file_has_no_problem():
    assert check_text(FILES["pipeline.yaml"], {}, "pipeline.yaml").text == ""


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=str)
def test_what_a_section_shows_stands_in_the_file(excerpt: Snippet):
    whole = yaml.safe_load(FILES["pipeline.yaml"])

    assert merged(whole, yaml.safe_load(excerpt.text)) == whole


def test_its_cases_pass(folder: Path):
    topology = compile_pipeline(check_text(FILES["pipeline.yaml"], {}, "f").unwrap(), folder)

    checked = check_cases(folder / "pipeline.test.yaml", topology, {})

    assert checked.text == ""
    assert [ran.problems for ran in run_cases(topology, [checked])] == [[], []]
