import resource
import subprocess
import sys

import click
import pytest

from headrace.cli import options
from headrace.cli.exits import Exit, exit_for
from headrace.cli.main import VERBS, headrace
from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    InferenceUnavailableError,
    InvariantError,
    LocalError,
    MissingTopicsError,
    SpecError,
)


def commands() -> list[click.Command]:
    context = click.Context(headrace)
    found = []
    for verb in VERBS:
        command = headrace.get_command(context, verb)
        assert command is not None
        found += command.commands.values() if isinstance(command, click.Group) else [command]
    return found


def test_help_lists_every_verb_and_the_exit_codes(cli):
    ended = cli("--help")

    assert ended.code == 0
    assert all(f"  {verb} " in ended.out for verb in VERBS)
    assert "3 broker" in ended.out


def test_verbs_of_later_versions_are_not_listed(cli):
    listed = cli("--help").out

    later = {"gateway", "console", "export"}
    assert not later & set(listed.split("Commands:")[1].split())


@pytest.mark.parametrize("command", commands(), ids=lambda each: each.name)
def test_every_option_names_its_environment_variable(command):
    context = click.Context(command)
    options = [each for each in command.params if isinstance(each, click.Option)]

    for option in options:
        record = option.get_help_record(context)
        assert record is not None
        assert "env var: " in record[1], record


@pytest.mark.parametrize("command", commands(), ids=lambda each: each.name)
def test_every_verb_can_show_tracebacks(command):
    assert "-v" in [name for each in command.params for name in each.opts]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["fly"], "no such command 'fly'; there is: up, run"),
        (["lnt"], "no such command 'lnt'; did you mean 'lint'?"),
        (["topics", "drop"], "no such command 'drop'; there is: apply, delete, plan"),
        (["dlq", "reply"], "did you mean 'replay'?"),
    ],
)
def test_an_unknown_verb_is_exit_2_with_those_that_there_are(cli, given, said):
    ended = cli(*given)

    assert ended.code == 2
    assert said in ended.err


def test_an_unknown_option_is_exit_2_with_the_closest(cli):
    ended = cli("up", "x.yaml", "--worker", "3")

    assert ended.code == 2
    assert "--workers" in ended.err


def test_a_missing_argument_is_exit_2(cli):
    ended = cli("run")

    assert ended.code == 2
    assert "FILE" in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError("x"), 2),
        (MissingTopicsError("x"), 2),
        (BrokerUnavailableError("x"), 3),
        (BrokerError("x"), 1),
        (InferenceUnavailableError("x"), 4),
        (LocalError("x"), 1),
        (InvariantError("x"), 1),
        (KeyboardInterrupt(), 130),
        (OSError("x"), 1),
    ],
)
def test_an_error_has_its_exit_code(error, code):
    assert exit_for(error) == code


def test_an_error_of_the_system_is_told_in_words():
    assert options._words(OSError(13, "Permission denied", "/x")) == "/x: permission denied"
    assert options._words(OSError("odd")) == "odd"


def test_exit_codes_are_those_of_the_contract():
    assert {each.value for each in Exit} == {0, 1, 2, 3, 4, 130}


def test_help_does_not_import_what_verbs_work_with():
    code = (
        "import sys, headrace.cli.main as m; m.run(['--help']);"
        "heavy = {'pydantic', 'confluent_kafka', 'grpc', 'uvicorn', 'asyncio', 'msgspec', 'rich'};"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stderr.strip() == "set()"


def test_help_costs_less_than_a_third_of_a_second():
    """In CPU time: the clock on the wall also counts what else the machine does."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "headrace", "--help"], capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) <= 0.3


def test_python_m_headrace_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("headrace ")
