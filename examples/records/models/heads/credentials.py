"""Which credential the one who wrote a page has."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heads.base import TEXT, Head, per_row
from heads.licences import Candidate, candidates, page_signs


class Credentials(Head):
    """Weighs every credential on a page, and none at all: `MD`, `DO`, `NP`, `PA`, `RN` or `none`.

    A linear scorer over the context of each candidate; the scores of candidates that say the
    same are added up as those of a softmax are.
    """

    inputs = {"text": TEXT}
    outputs = {"label": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._candidate = held["candidate"].astype(np.float32)
            self._none = held["none"].astype(np.float32)

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the label of each text."""
        (texts,) = columns
        return [per_row(texts, self._label)]

    def _label(self, text: str) -> str:
        lines = text.split("\n")
        found = candidates(lines)
        weights = {"none": float(np.exp(page_signs(lines, found) @ self._none))}
        for each in found:
            weight = float(np.exp(self._score(each)))
            weights[each.label] = weights.get(each.label, 0.0) + weight
        return max(weights, key=lambda label: weights[label])

    def _score(self, candidate: Candidate) -> float:
        return float(np.clip(candidate.signs @ self._candidate, -30, 30))
