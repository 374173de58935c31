"""What becomes of a chart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heads.base import NUMBER, TEXT, Head, Tensor
from heads.onnx_model import OnnxModel

TRAITS = 12
"""Numbers about a chart, as the pipeline's `rules.traits` returns them."""


class Decision(Head):
    """Gradient boosting over a chart's traits: `submit`, `review` or `nothing`."""

    inputs = {"traits": Tensor("FP64", (TRAITS,))}
    outputs = {"label": TEXT, "certainty": NUMBER}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = OnnxModel(folder / "model.onnx")

    def __call__(self, *columns: Sequence[Sequence[float]]) -> Sequence[list[str] | list[float]]:
        """Return the label of each chart and its probability, rounded to three digits."""
        labels, probabilities = self._model(np.array(columns[0], dtype=np.float32))
        return [labels, [round(float(row.max()), 3) for row in probabilities]]
