"""Which way up a page lay on the scanner."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import TEXT, Head, per_row
from heads.ngrams import hashed
from heads.onnx_model import OnnxModel

BUCKETS = 256
WIDTH = BUCKETS + 1


class Layout(Head):
    """A neural net over pairs of characters: `upright`, `upside_down` or `blank`."""

    inputs = {"text": TEXT}
    outputs = {"label": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = OnnxModel(folder / "model.onnx")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the label of each text."""
        (texts,) = columns
        labels, _ = self._model(np.stack(per_row(texts, pairs)))
        return [labels]


def pairs(text: str) -> NDArray[np.float32]:
    """Return how often pairs of characters occur, and how long the text is [WIDTH].

    Frequencies are square roots of shares, so that their squares add up to one.
    """
    counts = np.bincount(hashed(text, 2, 2, BUCKETS), minlength=BUCKETS)
    shares = np.sqrt(counts / max(counts.sum(), 1))
    return np.append(shares, np.log1p(len(text)) / 10).astype(np.float32)
