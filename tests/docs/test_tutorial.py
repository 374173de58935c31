"""Whoever follows the tutorial word by word sees what it shows."""

import os
import sys
from pathlib import Path

import pytest

from tests.docs.snippets import SITE, snippets
from tests.docs.transcript import play

OURS = ("HEADRACE_", "KAFKA_", "XDG_RUNTIME_DIR")


@pytest.mark.kafka
@pytest.mark.mlserver
@pytest.mark.timeout(600)
def test_the_tutorial_shows_what_happens(tmp_path: Path):
    environ = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    environ |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "HEADRACE_UV": os.environ.get("HEADRACE_UV", ""),
    }
    folder = tmp_path / "work"
    for each in (folder, tmp_path / "runtime"):
        each.mkdir()

    play(list(snippets(SITE / "tutorial.md")), folder, environ)
