"""Held-out scores beside a named baseline: kept in scores.json, shown in the README."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "scores.json"
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- scores -->", "<!-- /scores -->"


@dataclass(frozen=True, slots=True)
class Score:
    """How good a model is on charts and templates that it never saw.

    Attributes:
        model: Its name on the server.
        family: What it is, in a few words.
        metric: What was measured.
        value: The model's.
        baseline: What it has to beat, in a few words.
        baseline_value: The baseline's on the same rows.
        rows: How many rows (pages, mentions, lines) were scored.
        is_better_low: Whether a smaller value is the better one.
    """

    model: str
    family: str
    metric: str
    value: float
    baseline: str
    baseline_value: float
    rows: int
    is_better_low: bool = False

    @property
    def beats(self) -> bool:
        """Whether the model is better than its baseline."""
        gain = self.value - self.baseline_value
        return gain < 0 if self.is_better_low else gain > 0


def keep(scores: Iterable[Score]) -> None:
    """Put scores into the file, and the table of all into the README if it has a place."""
    held = json.loads(FILE.read_text()) if FILE.exists() else {}
    held |= {each.model: asdict(each) for each in scores}
    FILE.write_text(json.dumps(held, indent=2, sort_keys=True) + "\n")
    if not README.exists() or BEGIN not in (text := README.read_text()):
        return
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = as_table([Score(**each) for each in held.values()])
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def as_table(scores: Iterable[Score]) -> str:
    """Return a Markdown table."""
    lines = [
        "| model | what it is | metric | held out | baseline | its score | beaten |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in sorted(scores, key=lambda score: score.model):
        beaten = "yes" if each.beats else "**no**"
        lines.append(
            f"| `{each.model}` | {each.family} | {each.metric}, {each.rows:,} | {each.value:.3f}"
            f" | {each.baseline} | {each.baseline_value:.3f} | {beaten} |"
        )
    return "\n".join(lines)


def accuracy(said: Sequence[Any], true: Sequence[Any]) -> float:
    """Return the share of rows that are right."""
    return sum(a == b for a, b in zip(said, true, strict=True)) / max(len(true), 1)


def macro_f1(said: Sequence[Any], true: Sequence[Any]) -> float:
    """Return the mean F1 over the labels that occur in the truth."""
    pairs = list(zip(said, true, strict=True))
    found = []
    for label in sorted(set(true), key=str):
        hits = sum(a == b == label for a, b in pairs)
        told, there = sum(a == label for a, _ in pairs), sum(b == label for _, b in pairs)
        found.append(2 * hits / max(told + there, 1))
    return sum(found) / max(len(found), 1)


def span_f1(said: Sequence[set[Any]], true: Sequence[set[Any]]) -> float:
    """Return the F1 of exact matches over all rows."""
    hits = sum(len(a & b) for a, b in zip(said, true, strict=True))
    return 2 * hits / max(sum(map(len, said)) + sum(map(len, true)), 1)
