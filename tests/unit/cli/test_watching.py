"""How a watched status looks; looking itself needs Kafka and is tested with it."""

import io
import json

from rich.console import Console

from headrace.cli import watching
from headrace.cli.survey import StepSeen, WorkerSeen
from headrace.errors import BrokerUnavailableError

STEP = StepSeen(
    step="translate",
    group="tweets.translate",
    workers=[WorkerSeen("0", "127.0.0.1:1", 8, "paused", "no [model]", 3, {})],
    rate=12.5,
    remaining=1200,
    in_flight=3,
    oldest_s=4.2,
    errors={},
    model="no [model]",
    stage="translate",
)


def drawn(seen) -> str:
    screen = io.StringIO()
    Console(file=screen, width=160).print(watching._drawn(seen))
    return screen.getvalue()


def test_a_terminal_gets_the_steps_and_the_workers_as_tables():
    text = drawn([STEP])

    assert "RATE/s" in text
    assert "1,200" in text
    assert text.count("no [model]") == 2


def test_a_broker_that_is_away_is_waited_for_on_a_terminal():
    assert drawn(BrokerUnavailableError("no answer")) == "waiting: no answer\n"


def test_without_a_terminal_blocks_follow_each_other(capsys):
    with watching._shown(as_json=False) as show:
        show([STEP])
        show(BrokerUnavailableError("no answer"))
        show([STEP])

    told = capsys.readouterr()
    first, second = told.out.removesuffix("\n\n").split("\n\nSTEP")
    assert first.removeprefix("STEP") == second
    assert told.err == "waiting: no answer\n"


def test_json_is_a_line_for_every_look(capsys):
    with watching._shown(as_json=True) as show:
        show([STEP])
        show([STEP])

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["steps"][0]["rate"] for each in told] == [12.5, 12.5]
