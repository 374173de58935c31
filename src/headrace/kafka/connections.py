"""Whether a client of the Kafka library lost a connection since it was made."""

from collections.abc import Mapping
from typing import Any

from headrace.kafka.properties import LOGGER

_DEBUG = 7
_LEAST = {"0": 50, "1": 50, "2": 50, "3": 40, "4": 30, "5": 30, "6": 20, "7": 10}
"""Syslog's levels in Python's. A notice counts as a warning: it comes as INFO does."""


class ConnectionWatch:
    """Stands as a client's `logger` and hears what only the debug log of librdkafka tells.

    A lost connection reaches no callback if the client gets over it, and its error log leaves out
    what it said within the last 30 s. The changes of a connection's state are always told.

    Attributes:
        was_lost: Whether a connection that stood went down; known after the client was polled.
    """

    def __init__(self) -> None:
        self.was_lost = False
        self._least = 0

    def properties(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return a client's properties with this watch as its logger."""
        least = _LEAST.get(str(properties.get("log_level", _DEBUG)))
        if least is None:
            return dict(properties)  # for the client to refuse
        self._least = least
        contexts = {*str(properties.get("debug", "")).split(","), "broker"} - {""}
        return {
            **properties,
            "debug": ",".join(sorted(contexts)),
            "log_level": _DEBUG,
            "logger": self,
        }

    def log(self, level: int, form: str, facility: str, client: str, text: str) -> None:
        """Take a line of the client's log; one below the level that was asked for ends here."""
        if facility == "STATE" and text.endswith(("UP -> DOWN", "REAUTH -> DOWN")):
            # Bootstrap connections only ask where the cluster is, and are given up after that.
            self.was_lost = self.was_lost or "/bootstrap:" not in text
        if level >= self._least:
            LOGGER.log(level, form, facility, client, text)
