"""What is wrong with a pipeline file: problems with a stable code, a line and a way out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


class Severity(StrEnum):
    """How bad a problem is; only an error stops a pipeline."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


CODES: Mapping[str, str] = {
    "E001": "the text is not YAML",
    "E002": "a key stands twice in one mapping",
    "E003": "an environment variable is not set and has no default",
    "E004": "`${` does not begin a variable",
    "E005": "the file or its Python object cannot be loaded",
    "E006": "a YAML feature that pipeline files do not use",
    "E010": "a field is missing",
    "E011": "a field is not known",
    "E012": "a value has the wrong type",
    "E013": "a value is not allowed here or out of range",
    "E020": "part of the grammar, but not built yet",
    "E030": "steps feed each other in a ring",
    "E031": "a step names a model that is not declared",
    "E032": "a model names a server that is not declared",
    "E033": "a sink names a step that is not declared",
    "E034": "a step names a topic that the `sources` block does not declare",
    "E035": "a name that is probably a misspelt step",
    "E036": "a name stands for both a source and a step",
    "E037": "a route that its step does not have",
    "E038": "one name twice where once is enough",
    "E040": "characters or length that Kafka does not allow in a name",
    "E041": "a name that headrace keeps for its own topics",
    "E042": "a sink writes to a topic that the pipeline reads",
    "E043": "a Kafka property that headrace sets itself",
    "E044": "a URL that cannot be used here",
    "E045": "a model needs either a server or a URL",
    "E046": "settings of Kafka security that do not fit together",
    "E047": "several ways to log in to one model server",
    "E048": "a profile that the protocol of the URL does not have",
    "E049": "replicas of one model that speak different protocols",
    "E050": "a step that does several things",
    "E051": "a field that does not belong to this kind of step",
    "E052": "settings of a join where nothing joins, or that do not fit together",
    "E053": "a join names a parent that it does not have",
    "E054": "branches of different sources or splits meet in a join",
    "E055": "branches of a join write the same field",
    "E056": "a gather that does not fit its split",
    "E057": "a field is read that nothing before it writes",
    "E058": "routes in an order in which some can never be taken",
    "E059": "a condition that cannot be understood",
    "E060": "a function that cannot be named as module:callable",
    "E061": "steps of one stage that do not belong together",
    "E062": "records leave a stage and come back to it",
    "E063": "versions whose shares are not a whole",
    "E064": "fields that a split keeps are lost or overwritten before they are gathered",
    "E065": "a function that cannot be imported or called",
    "E070": "two test cases have the same name",
    "E071": "a test names a step or a model that the pipeline does not have",
    "E072": "a test names a topic that the pipeline does not read or write",
    "E073": "a rule of a scripted model that does not fit the model's tensors",
    "E074": "a rule of a scripted model that decides nothing, or never ends",
    "E075": "a test expects something that cannot come",
    "E080": "a model that is not what the pipeline says",
    "E081": "a model server that does not answer",
    "E082": "a Kafka that does not answer, or refuses",
    "E083": "a topic that does not exist",
    "E084": "a topic with other partitions than the source it belongs to",
    "E085": "a topic that does not take what may be written to it",
    "E086": "a cluster that does not keep as much offset metadata as headrace needs",
    "E087": "something that Kafka does not let this user do",
    "E088": "a derived or retry topic whose settings may lose records",
    "W050": "something is declared and never used",
    "W051": "a secret travels unencrypted",
    "W052": "TLS settings for a URL without TLS",
    "W053": "a field that is probably a misspelt one",
    "W054": "a function that may lose what a gather needs",
    "W055": "a function that drops every record",
    "W080": "a model that does not describe its tensors",
    "W085": "a sink that takes smaller records than the source gives",
    "W088": "a topic of headrace's own whose settings may lose records",
    "W089": "a topic with one copy though there are several brokers",
    "N060": "an order guarantee that may be weaker than it looks",
    "N061": "a function to which whole documents are carried",
    "N080": "something about the cluster that this user may not ask",
}
"""Every code and what it says. A code never changes its meaning and is never used again."""

_SEVERITIES = {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}


@dataclass(frozen=True, slots=True)
class Lint:
    """One problem of a pipeline.

    Attributes:
        code: Key of `CODES`.
        severity: Whether it stops the pipeline.
        where: Dotted path in the file, empty for the whole of it.
        line: Line in the file from 1; 0 where there are no lines, as in Python.
        message: What is wrong.
        hint: A way out, empty if none is known.
    """

    code: str
    severity: Severity
    where: str
    line: int
    message: str
    hint: str = ""

    def render(self, file: str) -> str:
        """Return the problem as one line of text that editors can jump to."""
        place = f"{file}:{self.line}" if self.line else ": ".join(filter(None, (file, self.where)))
        return f"{place}: {self.code} {self.message}" + (f"; {self.hint}" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the keys and the values of a file stand; empty for a pipeline built in Python."""

    keys: dict[Path, int] = field(default_factory=dict)
    values: dict[Path, int] = field(default_factory=dict)

    def key(self, path: Path) -> int:
        """Return the line of the key at `path`, or of the nearest thing around it."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, 0)

    def value(self, path: Path) -> int:
        """Return the line of the value at `path`, or of the nearest key around it."""
        return self.values.get(path, 0) or self.key(path)


# These speak of a key; every other code speaks of the value that stands there.
_ABOUT_KEYS = frozenset({"E002", "E010", "E011", "E020", "E071", "E072", "E073"})


class Report:
    """Collects the problems of one pipeline, each place and code once.

    A value with an unset variable is reported for that alone: what it would have been is unknown.

    Attributes:
        lines: Where everything stands.
    """

    def __init__(self, lines: Lines | None = None) -> None:
        self.lines = Lines() if lines is None else lines
        self._found: dict[tuple[str, Path, str], Lint] = {}
        self._unset: set[Path] = set()

    def add(self, code: str, path: Path, message: str, hint: str = "") -> None:
        """Add a problem at a path; the code decides how bad it is."""
        line = self.lines.key(path) if code in _ABOUT_KEYS else self.lines.value(path)
        self.add_at(line, code, path, message, hint)

    def add_at(self, line: int, code: str, path: Path, message: str, hint: str = "") -> None:
        """Add a problem whose line is known."""
        if code == "E003":
            self._unset.add(path)
        elif path in self._unset:
            return
        lint = Lint(code, _SEVERITIES[code[0]], dotted(path), line, message, hint)
        self._found.setdefault((code, path, message), lint)

    @property
    def lints(self) -> tuple[Lint, ...]:
        """Everything found, in the order of the file."""
        return in_order(self._found.values())


def in_order(lints: Iterable[Lint]) -> tuple[Lint, ...]:
    """Return problems in the order of the file."""
    return tuple(sorted(lints, key=lambda lint: (lint.line, lint.where)))


def dotted(path: Path) -> str:
    """Return a path as it is shown to people."""
    return ".".join(map(str, path))


def has_errors(lints: Iterable[Lint]) -> bool:
    """Return whether any of the problems stops the pipeline."""
    return any(lint.severity is Severity.ERROR for lint in lints)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint with the closest known name, or `otherwise` if none is close."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else otherwise


def rendered(lints: Iterable[Lint], file: str) -> str:
    """Return problems as text, one a line."""
    return "\n".join(lint.render(file) for lint in lints)


def listing(names: Iterable[str], nothing: str) -> str:
    """Return a hint that lists what there is, or `nothing`."""
    known = ", ".join(sorted(names))
    return f"there is: {known}" if known else nothing
