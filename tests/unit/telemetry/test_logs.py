import io
import json
import logging
from collections.abc import Iterator

import pytest

from headrace.errors import ConfigError
from headrace.telemetry.logs import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def logged(environ: dict[str, str], stream: io.StringIO, **extra: object) -> str:
    configure(environ, stream)
    logging.getLogger("headrace.worker").info("partitions %s", "assigned", extra=extra)
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_a_line_is_json_with_its_event():
    line = logged({}, io.StringIO(), event="assigned", epoch=3)

    told = json.loads(line)
    assert told["event"] == "assigned"
    assert told["message"] == "partitions assigned"
    assert told["level"] == "info"
    assert told["logger"] == "headrace.worker"
    assert told["epoch"] == 3
    assert told["time"].endswith("+00:00")


def test_on_a_terminal_a_line_is_for_people():
    line = logged({}, Terminal(), event="assigned", epoch=3)

    assert line.endswith("info     partitions assigned  epoch=3\n")
    assert "event" not in line


def test_the_format_can_be_chosen():
    assert json.loads(logged({"HEADRACE_LOG_FORMAT": "json"}, Terminal(), event="x"))


def test_the_level_can_be_chosen():
    assert logged({"HEADRACE_LOG_LEVEL": "warning"}, io.StringIO(), event="x") == ""


@pytest.mark.parametrize("name", ["HEADRACE_LOG_LEVEL", "HEADRACE_LOG_FORMAT"])
def test_an_unknown_choice_is_an_error_that_lists_the_known(name: str):
    with pytest.raises(ConfigError, match=f"{name}='nix' is not known; use one of "):
        configure({name: "nix"}, io.StringIO())


def test_secrets_are_hidden():
    line = logged({}, io.StringIO(), event="x", token="t0p", sasl_password="s3cret")

    assert "t0p" not in line
    assert "s3cret" not in line
    assert json.loads(line)["token"] == "***"


def test_an_exception_comes_with_its_traceback():
    stream = io.StringIO()
    configure({}, stream)

    try:
        int("broken")
    except ValueError:
        logging.getLogger("headrace").exception("failed", extra={"event": "failed"})

    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_a_value_that_json_does_not_know_is_told_as_text():
    line = logged({}, io.StringIO(), event="x", partitions={1})

    assert json.loads(line)["partitions"] == "{1}"


def test_configuring_twice_does_not_double_lines():
    configure({}, io.StringIO())

    assert logged({}, io.StringIO(), event="x").count("\n") == 1
