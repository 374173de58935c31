"""The player of transcripts sees what differs."""

import os
from pathlib import Path

import pytest

from tests.docs.snippets import Snippet
from tests.docs.transcript import DifferentOutputError, play


def console(text: str, title: str = "") -> Snippet:
    return Snippet("page.md", 1, "console", title, text)


def played(*snippets: Snippet, folder: Path) -> None:
    play(snippets, folder, os.environ)


def test_commands_run_in_order_and_the_folder_stays(tmp_path: Path):
    page = console("$ mkdir a && cd a\n$ basename $PWD\na\n$ echo one \\\n  two\none two\n")

    played(page, folder=tmp_path)


@pytest.mark.parametrize("shown", ["12 of ...\n", "...\n", "... records\n"])
def test_dots_stand_for_what_varies(shown: str, tmp_path: Path):
    played(console(f"$ echo 12 of 14 records\n{shown}"), folder=tmp_path)


@pytest.mark.parametrize("shown", ["", "13\n", "12\n13\n", "1\n", "12 ...\n"])
def test_other_output_is_told(shown: str, tmp_path: Path):
    with pytest.raises(DifferentOutputError, match=r"page\.md:1"):
        played(console(f"$ echo 12\n{shown}"), folder=tmp_path)


def test_a_command_goes_on_in_its_terminal_until_it_is_interrupted(tmp_path: Path):
    (tmp_path / "log").write_text("one\n")

    played(
        console("$ tail -f log\none\n", "first"),
        console("$ echo two >> log\n", "second"),
        console("two\n", "first"),
        console("^C\n", "first"),
        console("$ echo free again\nfree again\n", "first"),
        folder=tmp_path,
    )


def test_blocks_named_after_files_are_written(tmp_path: Path):
    file = Snippet("page.md", 1, "yaml", "pipeline.yaml", "pipeline: tweets\n")

    played(file, console("$ cat pipeline.yaml\npipeline: tweets\n"), folder=tmp_path)
