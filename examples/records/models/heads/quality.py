"""How well a page was recognised."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import TEXT, Head, per_row
from heads.onnx_model import OnnxModel
from heads.readability import Readability


class Quality(Head):
    """Gradient boosting over signs of misread characters: `clean`, `fair` or `poor`."""

    inputs = {"text": TEXT}
    outputs = {"label": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._signs = Readability(folder / "words.npz")
        self._model = OnnxModel(folder / "model.onnx")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the label of each text."""
        (texts,) = columns
        rows: list[NDArray[np.float32]] = per_row(texts, self._signs)
        labels, _ = self._model(np.stack(rows))
        return [labels]
