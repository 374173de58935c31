"""Trains models and scores them: `python all.py [--score-only] [MODEL ...]`; without names all."""

import argparse
import importlib
import sys
import time
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent
sys.path[:0] = [str(EXAMPLE), str(EXAMPLE / "models")]

import scores  # noqa: E402  the modules below find the example and its heads by the path above

ORDER = (
    *("layout", "language", "quality", "doc_type", "signature", "credentials"),
    *("sections", "deid", "entities", "dates"),
    *("negation", "family", "icd10", "hcc"),
    *("confidence", "decision"),
)
"""Modules in the order in which they may use each other's models."""


def main() -> int:
    """Train and score, and tell how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(ORDER))
    parser.add_argument("--score-only", action="store_true", help="keep the weights that are there")
    asked = parser.parse_args()
    if unknown := set(asked.models) - set(ORDER):
        parser.error(f"unknown {', '.join(sorted(unknown))}; there are {', '.join(ORDER)}")
    for name in ORDER:
        if asked.models and name not in asked.models:
            continue
        module, began = importlib.import_module(name), time.monotonic()
        if not asked.score_only:
            module.train()
        score = module.score()
        scores.keep([score])
        print(
            f"{name}: {score.metric} {score.value:.3f}, {score.baseline} {score.baseline_value:.3f}"
            f" ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
