"""Hashed character n-grams of a text, and linear models over them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PRIME = np.uint32(0x01000193)
_SEED = np.uint32(0x811C9DC5)


def hashed(text: str, shortest: int, longest: int, buckets: int) -> NDArray[np.uint32]:
    """Return the bucket of every n-gram of a text's UTF-8 bytes, in lower case, repeats included.

    Args:
        text: The text.
        shortest: Bytes of the shortest n-grams.
        longest: Bytes of the longest.
        buckets: How many buckets there are, a power of two.
    """
    raw = np.frombuffer(f" {text.lower()} ".encode(), dtype=np.uint8).astype(np.uint32)
    found = []
    codes = np.full(len(raw), _SEED, dtype=np.uint32)
    for size in range(1, longest + 1):
        codes = (codes[: len(raw) - size + 1] ^ raw[size - 1 :]) * _PRIME
        if size >= shortest:
            found.append((codes ^ (codes >> np.uint32(15))) & np.uint32(buckets - 1))
        if len(raw) <= size:
            break
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint32)


class Softmax:
    """The likeliest label of sparse rows.

    Args:
        path: An `.npz` with `weights` [width, labels], `bias` [labels] and `labels`.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as held:
            self._weights = held["weights"].astype(np.float32)
            self._bias = held["bias"].astype(np.float32)
            self._labels = [str(label) for label in held["labels"]]

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return len(self._weights)

    def likeliest(self, places: NDArray[Any], values: NDArray[np.float32]) -> str:
        """Return the label of a row that has some values in some places, and else zeros."""
        return self._labels[int((values @ self._weights[places] + self._bias).argmax())]


class LinearModel:
    """Softmax over hashed n-grams, each text scaled to length one.

    Args:
        path: What `Softmax` reads, and `sizes` (2): bytes of the shortest n-grams and the longest.
    """

    def __init__(self, path: Path) -> None:
        self._softmax = Softmax(path)
        with np.load(path, allow_pickle=False) as held:
            self._shortest, self._longest = (int(size) for size in held["sizes"])

    def label(self, text: str) -> str:
        """Return the likeliest label."""
        width = self._softmax.width
        return self._softmax.likeliest(*bag(text, self._shortest, self._longest, width))


def bag(
    text: str, shortest: int, longest: int, buckets: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return the buckets of a text's n-grams, each once, and their dampened counts."""
    found, counts = np.unique(hashed(text, shortest, longest, buckets), return_counts=True)
    return found, scaled(counts)


def scaled(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return dampened counts of n-grams as a vector of length one."""
    values = np.log1p(counts).astype(np.float32)
    return values / max(float(np.linalg.norm(values)), 1e-9)


def save_softmax(
    path: Path,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    labels: Sequence[str],
    **more: NDArray[Any],
) -> None:
    """Write what `Softmax` reads, in half precision, and whatever else its head needs."""
    np.savez_compressed(
        path,
        weights=weights.astype(np.float16),
        bias=bias.astype(np.float32),
        labels=np.array(labels),
        **more,
    )
