"""Progress on a terminal, and where there is none."""

import io
import sys
from collections.abc import Callable

import pytest

from headrace.cli import progress as progress_module
from headrace.cli.progress import Progress, counted


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """To be called in the test: pytest puts its own stderr back after the fixtures."""

    def opened() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm-256color")
        return screen

    return opened


def test_without_a_terminal_every_step_is_a_plain_line(capsys):
    with Progress() as progress, progress.step("Kafka") as tell:
        tell("downloading")
        progress.say("Kafka started")

    assert capsys.readouterr() == ("", "downloading\nKafka started\n")


def test_without_a_terminal_a_count_is_a_line_every_two_seconds_if_it_moved(capsys, monkeypatch):
    now = iter([0.0, *(second / 2 for second in range(1, 13))])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(now))

    with Progress() as progress, progress.count("records sent") as count:
        for done in (1, 2, 3, 4, 4, 4, 4, 4, 4, 5, 6, 7):
            count(done, None)

    assert capsys.readouterr().err == "4 records sent\n5 records sent\n"


def test_on_a_terminal_what_goes_on_is_drawn_and_what_was_said_stays(open_terminal):
    terminal = open_terminal()

    with Progress() as progress:
        with progress.step("Kafka") as tell:
            tell("downloading [43 MB]")
        with progress.count("records done") as count:
            count(1200, 5000)
        progress.say("Kafka started [ok]")

    text = terminal.getvalue()
    assert "downloading [43 MB]" in text
    assert "1,200 of 5,000 records done" in text
    assert "Kafka started [ok]\n" in text


def test_a_step_that_is_over_can_still_tell(open_terminal):
    terminal = open_terminal()

    with Progress() as progress:
        with progress.step("model server") as tell:
            pass
        tell("starting it again")

    assert "starting it again\n" in terminal.getvalue()


def test_the_terminal_is_given_back_twice_without_harm(open_terminal):
    terminal = open_terminal()

    with Progress() as progress:
        progress.close()

    assert "\x1b[?25h" in terminal.getvalue()


def test_data_for_stdout_is_not_taken_by_the_drawing(open_terminal, capsys):
    terminal = open_terminal()

    with Progress():
        sys.stdout.write("data")

    assert capsys.readouterr().out == "data"
    assert "data" not in terminal.getvalue()


@pytest.mark.parametrize(("total", "said"), [(None, "1,200 x"), (5000, "1,200 of 5,000 x")])
def test_a_count_as_words(total, said):
    assert counted(1200, total, "x") == said
