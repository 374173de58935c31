"""Whether a condition is somebody else's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from heads.base import NUMBERS, TEXTS, Head
from heads.surroundings import Surroundings, slot

WIDTH = 4096


class Family(Head):
    """Logistic regression over words of the line, their side and the section."""

    inputs = {"contexts": TEXTS}
    outputs = {"scores": NUMBERS}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._weights = held["weights"].astype(np.float64)
            self._bias = float(held["bias"])

    def __call__(self, *columns: Sequence[Sequence[str]]) -> Sequence[list[list[float]]]:
        """Return a probability for each context, rounded to three digits; 0 for an empty one."""
        (pages,) = columns
        return [[[self._score(context) for context in page] for page in pages]]

    def _score(self, context: str) -> float:
        if not context:
            return 0.0
        score = self._bias + sum(self._weights[at] for at in set(hints(context)))
        return round(1 / (1 + float(np.exp(-score))), 3)


def hints(context: str) -> Iterator[int]:
    """Yield the slots of words on either side, of neighbours, and of the section."""
    found = Surroundings.of(context)
    yield slot(f"section {found.section}", WIDTH)
    for where, word in found.near(20):
        yield slot(f"{where[:-1]} {word}", WIDTH)
        yield slot(f"{where} {word} {found.section == 'family'}", WIDTH)
    kinds = list(found.classes)
    for where, kind in kinds:
        yield slot(f"{where} {kind}", WIDTH)
        yield slot(f"{where[:-1]} {kind}", WIDTH)
    order = " ".join(kind for where, kind in kinds[:4] if where[0] == "<")
    yield slot(f"order {order}", WIDTH)
    for first, second in zip(found.before[:8], found.before[1:9], strict=False):
        yield slot(f"< {second} {first}", WIDTH)
