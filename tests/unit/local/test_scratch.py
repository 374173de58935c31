"""Temporary folders go with their makers, however those end."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from headrace.local.scratch import ScratchDir

_MAKER = """
from headrace.local.scratch import ScratchDir
import time
made = ScratchDir("test")
(made.path / "data").write_text("x")
print(made.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_temp(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_remove_takes_everything_away():
    made = ScratchDir("test")
    (made.path / "data").write_text("x")

    made.remove()

    assert not made.path.exists()


def test_the_folder_of_a_living_maker_stays_and_that_of_a_killed_one_goes():
    with subprocess.Popen(
        [sys.executable, "-c", _MAKER], stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        folder = Path(maker.stdout.readline().strip())
        ScratchDir("test").remove()
        while_alive = folder.exists()
        maker.kill()
        maker.wait()

    ScratchDir("test").remove()

    assert while_alive
    assert not folder.exists()


def test_a_folder_that_nobody_owned_yet_is_left_alone(tmp_path):
    half_made = tmp_path / "headrace-kafka-x"
    half_made.mkdir()

    ScratchDir("test").remove()

    assert half_made.exists()
