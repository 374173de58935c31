"""Log lines: for people on a terminal, as JSON with stable event names elsewhere."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from headrace.core.plain_text import plain
from headrace.errors import ConfigError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("text", "json")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_WORDS = ("password", "token", "secret", "authorization", "credential")
_HIDDEN = "***"


class TextFormatter(logging.Formatter):
    """One line a person reads: time, level, message, then what goes with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = extras(record)
        fields.pop("event", None)
        told = "".join(f"  {key}={value}" for key, value in fields.items() if value != "")
        line = f"{time} {record.levelname.lower():<8} {record.getMessage()}{told}"
        # What a server or a record said must not look like a line of ours.
        return plain(line).replace("\n", "\n  | ") + plain(_traceback(self, record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `event` is its stable name."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        fields = extras(record)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": fields.pop("event", "log"),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if trace := _traceback(self, record):
            line["exception"] = trace.strip()
        return json.dumps(line, default=str)


def configure(environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Send every log record of the process to a stream, stderr by default.

    `HEADRACE_LOG_LEVEL` names the lowest level shown (info), `HEADRACE_LOG_FORMAT` is `text` or
    `json`; without it a terminal gets text, anything else JSON.

    Raises:
        ConfigError: One of the two has another value.
    """
    stream = sys.stderr if stream is None else stream
    level = _one_of(environ, "HEADRACE_LOG_LEVEL", "INFO", LEVELS)
    usual = "text" if stream.isatty() else "json"
    shape = _one_of(environ, "HEADRACE_LOG_FORMAT", usual, FORMATS)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if shape == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # Their own lines say what ours say, without an event name.
    for noisy in ("asyncio", "uvicorn.error", "grpc"):
        logging.getLogger(noisy).setLevel("WARNING")


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave in `extra`, secrets hidden."""
    return {
        key: _HIDDEN if any(word in key.lower() for word in _SECRET_WORDS) else value
        for key, value in vars(record).items()
        if key not in _STANDARD
    }


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info else ""


def _one_of(environ: Mapping[str, str], name: str, usual: str, known: tuple[str, ...]) -> str:
    value = environ.get(name) or usual
    for each in known:
        if value.lower() == each.lower():
            return each
    raise ConfigError(f"{name}={value!r} is not known; use one of {', '.join(known).lower()}")
