"""A classifier stored as ONNX."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class OnnxModel:
    """Runs a classifier on one thread, so that models side by side do not fight for cores.

    Args:
        path: A model with the input `X` FP32 [n, width] and the outputs `label`,
            `probabilities` [n, labels].
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, rows: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
        """Return the label of each row, and the probabilities [n, labels]."""
        labels, probabilities = self._session.run(["label", "probabilities"], {"X": rows})
        return [str(label) for label in labels], probabilities
