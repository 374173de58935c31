"""Whether a page was signed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heads.base import NUMBER, TEXT, Head, Tensor, per_row
from heads.signing import signs


class Signature(Head):
    """Logistic regression over the words, names, dates and blanks at the end of a page.

    `signed` is whether someone signed, `score` how likely it is.
    """

    inputs = {"text": TEXT}
    outputs = {"signed": Tensor("BOOL"), "score": NUMBER}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._weights = held["weights"].astype(np.float64)
            self._bias = float(held["bias"])

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[bool | float]]:
        """Return whether each text is signed, and how likely."""
        (texts,) = columns
        scores: list[float] = per_row(texts, self._score)
        return [[score > 0.5 for score in scores], scores]

    def _score(self, text: str) -> float:
        return float(1 / (1 + np.exp(-(signs(text) @ self._weights + self._bias))))
