"""Writes synthetic charts and their truth as JSON Lines; no real patients are in them."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TextIO

import charts
from charts import poison


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--charts", type=int, default=200, help="how many charts (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same charts (default 7)")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--poison", type=int, default=14, help="pages to spoil (default 14)")
    parser.add_argument("--broken", type=int, default=2, help="lines that are no chart (default 2)")
    parser.add_argument("--out", type=Path, default=Path("charts.jsonl"))
    parser.add_argument("--truth", type=Path, default=Path("truth.jsonl"))
    chosen = parser.parse_args(arguments)
    if chosen.charts < 1:
        parser.error(f"--charts must be at least 1, not {chosen.charts}")
    if not 0 <= chosen.poison <= chosen.charts:
        parser.error(
            f"--poison must be between 0 and --charts ({chosen.charts}), not {chosen.poison}: "
            "each spoiled page is in another chart"
        )
    if chosen.broken < 0:
        parser.error(f"--broken must be at least 0, not {chosen.broken}")
    if chosen.out.resolve() == chosen.truth.resolve():
        parser.error(f"--out and --truth are the same file: {chosen.out}")
    for path in (chosen.out, chosen.truth):
        if not path.resolve().parent.is_dir():
            parser.error(f"no such folder: {path.resolve().parent}")
        if path.is_dir():
            parser.error(f"is a folder, not a file: {path}")
    return chosen


def write(chosen: argparse.Namespace, out: TextIO, truths: TextIO) -> Counter:
    """Write the lines; the truth has one for each chart, none for a broken line.

    Returns:
        How many charts, pages, decisions, poisons and broken lines were written.
    """
    rng = Random(f"poison-{chosen.seed}-{chosen.split}")  # noqa: S311 - synthetic data
    kinds = [list(poison.POISONS)[at % len(poison.POISONS)] for at in range(chosen.poison)]
    targets = sorted(rng.sample(range(chosen.charts), chosen.poison))
    gaps = Counter(rng.randrange(chosen.charts) for _ in range(chosen.broken))
    told: Counter = Counter()
    for number in range(chosen.charts):
        document, truth = charts.make(number, seed=chosen.seed, split=chosen.split)
        if targets and targets[0] <= number and poison.spoil(rng, document, truth, kinds[0]):
            told[f"poison {kinds.pop(0)}"] += 1
            targets.pop(0)
        out.write(json.dumps(document, ensure_ascii=False) + "\n")
        truths.write(json.dumps(truth, ensure_ascii=False) + "\n")
        told["charts"] += 1
        told["pages"] += len(document["pages"])
        told[truth["decision"]] += 1
        for _ in range(gaps[number]):
            other = chosen.charts + told["broken"]
            extra, _ = charts.make(other, seed=chosen.seed, split=chosen.split)
            out.write(poison.broken(told["broken"], extra) + "\n")
            told["broken"] += 1
    told["poison left out"] = len(kinds)
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files and tell what is in them."""
    chosen = options(arguments)
    try:
        with ExitStack() as files:
            out = files.enter_context(chosen.out.open("w", encoding="utf-8"))
            truths = files.enter_context(chosen.truth.open("w", encoding="utf-8"))
            told = write(chosen, out, truths)
    except OSError as error:
        print(f"make_charts: cannot write: {error}", file=sys.stderr)
        return 1
    decisions = ", ".join(f"{word} {told[word]}" for word in ("submit", "review", "nothing"))
    print(f"{chosen.out}: {told['charts']} charts, {told['pages']} pages", file=sys.stderr)
    print(f"{chosen.truth}: {decisions}", file=sys.stderr)
    for word, count in sorted(told.items()):
        if count and word.startswith(("poison", "broken")):
            print(f"  {word}: {count}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
