"""What was found so far, as files of JSON lines that are only added to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(history: Path, line: Mapping[str, Any]) -> None:
    """Add a line."""
    with history.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def lines(history: Path) -> list[dict[str, Any]]:
    """Return all lines; none of a file that is not there yet."""
    if not history.exists():
        return []
    return [json.loads(line) for line in history.read_text("utf-8").splitlines()]
