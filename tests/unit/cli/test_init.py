"""`headrace init` writes a pipeline that passes its own checks, and touches nothing of others."""

import json
import subprocess
from pathlib import Path

from headrace.cli.template_copy import TEMPLATE
from headrace.local.uv_environment import find_uv


def test_what_is_written_is_told_and_passes_lint(cli, tmp_path):
    ended = cli("init", tmp_path / "demo")

    assert ended.code == 0
    written = [Path(line) for line in ended.out.splitlines()]
    assert all(path.is_file() for path in written)
    assert "headrace up pipeline.yaml --input texts=texts.jsonl --until-idle" in ended.err
    assert cli("lint", tmp_path / "demo" / "pipeline.yaml").out == ""


def test_its_own_test_cases_pass(cli, tmp_path):
    cli("init", tmp_path / "demo")

    ended = cli("test", tmp_path / "demo" / "pipeline.yaml")

    assert ended.code == 0, ended.out + ended.err
    assert "2 passed, 0 failed" in ended.out + ended.err


def test_an_empty_folder_and_the_current_one_will_do(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    ended = cli("init")

    assert ended.code == 0
    assert (tmp_path / "pipeline.yaml").is_file()
    assert "cd " not in ended.err


def test_a_folder_with_something_in_it_is_left_alone(cli, tmp_path):
    for number in range(7):
        (tmp_path / f"f{number}").touch()

    ended = cli("init", tmp_path)

    assert ended.code == 2
    assert "it holds f0, f1, f2, f3, f4 and 2 more; name a new folder" in ended.err
    assert len(list(tmp_path.iterdir())) == 7


def test_a_file_in_place_of_the_folder_is_exit_2(cli, tmp_path):
    (tmp_path / "demo").touch()

    ended = cli("init", tmp_path / "demo")

    assert ended.code == 2
    assert "is a file" in ended.err


def test_a_folder_that_cannot_be_made_is_exit_2_with_the_reason(cli, tmp_path):
    (tmp_path / "file").touch()

    ended = cli("init", tmp_path / "file" / "demo")

    assert ended.code == 2
    assert "cannot be written to; name another" in ended.err
    assert "not a directory" in ended.err


def test_the_samples_are_what_the_pipeline_reads():
    lines = (TEMPLATE / "texts.jsonl").read_text().splitlines()

    assert all(json.loads(line)["text"] for line in lines)


def test_the_lock_of_the_models_is_current_and_names_no_registry_but_pypi():
    lock = (TEMPLATE / "models" / "uv.lock").read_text()

    subprocess.run(
        [find_uv(), "lock", "--check", "--offline", "--project", TEMPLATE / "models"],
        capture_output=True,
        check=True,
    )
    assert {part.split('"')[1] for part in lock.split("registry = ")[1:]} == {
        "https://pypi.org/simple"
    }
