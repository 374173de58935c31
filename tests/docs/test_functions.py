"""The function that the documentation shows does what is said of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.functions import check_function
from headrace.functions.loading import load
from headrace.functions.outcomes import outcome
from tests.docs.snippets import SITE, snippets

PAGE = SITE / "howto" / "functions.md"
SHOWN = {each.title: each.text for each in snippets(PAGE) if each.title}


@pytest.fixture
def folder(tmp_path: Path):
    for name in ("rules.py", "test_rules.py"):
        (tmp_path / name).write_text(SHOWN[name], encoding="utf-8")
    yield tmp_path
    sys.modules.pop("rules", None)


def test_the_function_can_be_used(folder: Path):
    assert check_function("clean", "rules:hide_names", str(folder)) == ()


def test_its_tests_pass(folder: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_rules.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_its_dead_letter_is_the_one_that_is_shown(folder: Path):
    found = outcome(load("rules:hide_names", str(folder)), {"body": "hi"})

    assert f"{found}\n" == SHOWN["message"]
