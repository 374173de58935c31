"""What runs found: one line of JSON each, appended when a run ends."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compare.matrix import Case, Competitor

HISTORY = Path(__file__).with_name("results.jsonl")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case in a round.

    Attributes:
        case: The case.
        round: The round, from 1.
        seconds: How long the window of a run was to be.
        metrics: What was measured.
        error: Why nothing was, else empty.
        noise: Share of the machine's CPU that others used meanwhile.
        date: When it ended, UTC.
        machine: What it ran on.
        versions: Versions of what took part.
        command: How the competitor was started.
    """

    case: Case
    round: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    noise: float = 0.0
    date: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""

    @property
    def key(self) -> tuple[Case, int]:
        """What a resumed benchmark knows it by."""
        return self.case, self.round

    def as_line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of_line(cls, line: str) -> "Result":
        """Read it from a line of JSON."""
        found: dict[str, Any] = json.loads(line)
        case = found.pop("case")
        competitor = Competitor(**case.pop("competitor"))
        return cls(case=Case(competitor=competitor, **case), **found)


def known(history: Path) -> dict[tuple[Case, int], Result]:
    """Return the results of a file by key; the last line of a key counts."""
    if not history.exists():
        return {}
    lines = history.read_text(encoding="utf-8").splitlines()
    return {result.key: result for result in map(Result.of_line, lines)}


def append(history: Path, result: Result) -> None:
    """Add a result to a file."""
    with history.open("a", encoding="utf-8") as file:
        file.write(result.as_line())


def missing(
    cases: Iterable[Case],
    rounds: int,
    done: Mapping[tuple[Case, int], Result],
    *,
    is_again: bool = False,
) -> list[tuple[Case, int]]:
    """Return what is still to run, round after round.

    Args:
        cases: The runs of a round, in order.
        rounds: How many rounds.
        done: What is known already.
        is_again: Whether runs that ended in an error are run again.
    """
    finished = {key for key, result in done.items() if not (is_again and result.error)}
    keys = [(case, number) for number in range(1, rounds + 1) for case in cases]
    return [key for key in keys if key not in finished]
