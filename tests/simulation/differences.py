"""What distinguishes what came out from what had to."""

from collections import Counter
from typing import Any


def different(expected: Counter[Any], found: Counter[Any]) -> str:
    """Return what is missing and what is too much, one a line; empty where nothing is."""
    lines = [f"missing {count} x {each}\n" for each, count in (expected - found).items()]
    lines += [f"too much {count} x {each}\n" for each, count in (found - expected).items()]
    return "".join(lines)
