"""Writes the rows that the models of this folder are asked for: `python rows.py FOLDER`."""

import json
import random
import sys
from pathlib import Path

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "and", "runs")


def main(folder: Path) -> None:
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        "small": [{"text": " ".join(rng.choices(WORDS, k=3))} for _ in range(1024)],
        "large": [{"text": " ".join(rng.choices(WORDS, k=20_000))} for _ in range(32)],
        "wide": [{"vector": [rng.gauss(0, 1) for _ in range(1024)]} for _ in range(256)],
    }
    for name, documents in rows.items():
        lines = "".join(json.dumps(each) + "\n" for each in documents)
        (folder / f"{name}.jsonl").write_text(lines)


main(Path(sys.argv[1]))
