"""Fits the kinds of models that several heads share, and writes them as their heads read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from corpus import MODELS
from heads.ngrams import bag, save_softmax


def folder_of(model: str) -> Path:
    """Return the folder of a model, made if it is not there."""
    folder = MODELS / model
    folder.mkdir(exist_ok=True)
    return folder


def fit_linear(
    model: str,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    sizes: tuple[int, int] = (2, 4),
    buckets: int = 2**14,
    strength: float = 10.0,
) -> None:
    """Fit softmax over hashed n-grams and write it as `weights.npz` of a model.

    Rare labels weigh as much as frequent ones.
    """
    rows = as_rows([bag(text, *sizes, buckets) for text in texts], buckets)
    fitted = LogisticRegression(C=strength, max_iter=300, class_weight="balanced")
    fitted.fit(rows, list(labels))
    weights, bias = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        weights, bias = np.vstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    labels = [str(label) for label in fitted.classes_]
    path = folder_of(model) / "weights.npz"
    save_softmax(path, weights.T, bias, labels, sizes=np.array(sizes))


def as_rows(bags: Sequence[tuple[NDArray[Any], NDArray[np.float32]]], width: int) -> csr_matrix:
    """Return places and values of rows as a matrix [bags, width]."""
    ends = np.cumsum([0, *(len(found) for found, _ in bags)])
    found, values = (np.concatenate(each) for each in zip(*bags, strict=True))
    return csr_matrix((values, found, ends), shape=(len(bags), width))


def write_onnx(model: str, fitted: Any, width: int) -> None:
    """Write a fitted classifier as `model.onnx` of a model.

    Its input is `X` FP32 [n, width], its outputs `label` and `probabilities` FP32 [n, labels].
    """
    given = np.zeros((1, width), dtype=np.float32)
    written = to_onnx(fitted, given, options={id(fitted): {"zipmap": False}}, target_opset=18)
    domains = sorted(written.opset_import, key=lambda each: each.domain)
    del written.opset_import[:]
    written.opset_import.extend(domains)
    (folder_of(model) / "model.onnx").write_bytes(written.SerializeToString())
