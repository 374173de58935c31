"""What kind of document a page belongs to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import TEXT, Head, per_row
from heads.ngrams import Softmax, bag
from heads.titles import WIDTH, title_signs

TOP = 9
"""Lines with a text that the first view holds."""

START = 14
"""Characters of a line that say most: its heading, or what it lists."""

BUCKETS = 2**13
"""Buckets of each view of a page."""

SIZE = 3 * BUCKETS + WIDTH
"""Numbers that describe a page: n-grams of three views, and titles."""

Bag = tuple[NDArray[np.int64], NDArray[np.float32]]


class DocType(Head):
    """Softmax over titles and over n-grams of three views: top, starts of lines, all lines."""

    inputs = {"text": TEXT}
    outputs = {"label": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._softmax = Softmax(folder / "weights.npz")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the label of each text."""
        (texts,) = columns
        return [per_row(texts, lambda text: self._softmax.likeliest(*views(text)))]


def views(text: str) -> Bag:
    """Return the n-grams of a text, each view scaled to length one, and its titles.

    Returns:
        Where in a row of `SIZE` numbers, and the value of each; all others are 0.
    """
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    told = (
        ("\n".join(lines[:TOP]), 3, 6),
        ("\n".join(line[:START] for line in lines), 2, 5),
        (" ".join(lines), 3, 4),
    )
    buckets, values = [], []
    for number, (view, shortest, longest) in enumerate(told):
        found, counts = bag(view, shortest, longest, BUCKETS)
        buckets.append(found.astype(np.int64) + number * BUCKETS)
        values.append(counts)
    titles = title_signs(lines)
    titled = np.flatnonzero(titles)
    return (
        np.concatenate([*buckets, titled + 3 * BUCKETS]),
        np.concatenate([*values, titles[titled]]),
    )
