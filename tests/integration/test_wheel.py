"""What is published works where nothing but it is installed."""

import subprocess
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]


def run(*command: object) -> str:
    ended = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=110, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def headrace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, installed from a wheel into an environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    tool = uv.find_uv_bin()
    run(tool, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    run(tool, "venv", "--quiet", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(tool, "pip", "install", "--quiet", "--python", python, wheel)
    return python.with_name("headrace")


def test_the_wheel_installs_and_tells_its_verbs(headrace: Path):
    assert "broker" in run(headrace, "--help")
    assert run(headrace, "--version").startswith("headrace ")


def test_the_wheel_holds_what_init_writes(headrace: Path, tmp_path: Path):
    run(headrace, "init", tmp_path / "mine")

    run(headrace, "lint", tmp_path / "mine" / "pipeline.yaml")
    assert "ok  " in run(headrace, "test", tmp_path / "mine" / "pipeline.yaml")
