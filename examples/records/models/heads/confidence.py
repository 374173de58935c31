"""How far a code can be trusted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import MENTIONS, NUMBERS, Head, Tensor

SIGNALS = 8
"""Numbers about a finding, as the pipeline's `rules.signals` returns them."""


class Confidence(Head):
    """Logistic regression over the signals of each finding and their products, calibrated so.

    Of findings that are said with 0.8, 80 % are meant to be coded right. A row of zeros is none.
    """

    inputs = {"signals": Tensor("FP64", (MENTIONS, SIGNALS))}
    outputs = {"confidence": NUMBERS}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._weights, self._bias = held["weights"], float(held["bias"])

    def __call__(
        self, *columns: Sequence[Sequence[Sequence[float]]]
    ) -> Sequence[list[list[float]]]:
        """Return a probability for each finding, rounded to three digits."""
        signals = np.array(columns[0], dtype=np.float64).reshape(-1, SIGNALS)
        scores = crossed(signals) @ self._weights + self._bias
        said = np.where(signals.any(axis=1), 1 / (1 + np.exp(-scores)), 0.0)
        return [np.round(said, 3).reshape(-1, MENTIONS).tolist()]


def crossed(signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return signals [n, 8] with all products of two of them, [n, 44]."""
    first, second = np.triu_indices(SIGNALS)
    return np.hstack([signals, signals[:, first] * signals[:, second]])
