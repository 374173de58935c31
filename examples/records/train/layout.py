"""Trains and scores `layout`."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from corpus import MODELS, Page, pages
from fit import write_onnx
from heads.layout import WIDTH, Layout, pairs
from scores import Score, macro_f1
from turning import turned

EVERY = 4
"""One of so many upright pages is learned from: they are by far the most frequent."""

COMMON = frozenset(
    (
        "the and of with for to in is on at or no patient date el la de los con para le les des"
        " avec pour der die und mit von"
    ).split()
)
SHORT = 60


def train() -> None:
    """Fit on all pages that are not upright, and on some that are."""
    known = [
        page
        for number, page in enumerate(pages("train"))
        if page.truth["layout"] != "upright" or number % EVERY == 0
    ]
    rows = np.stack([pairs(page.text) for page in known])
    fitted = MLPClassifier((24,), alpha=1e-3, max_iter=80, random_state=0, early_stopping=True)
    write_onnx("layout", fitted.fit(rows, [page.truth["layout"] for page in known]), WIDTH)


def score() -> Score:
    """Compare with the length of the text and common words."""
    known = pages("test")
    true = [page.truth["layout"] for page in known]
    (said,) = Layout(MODELS / "layout")([page.text for page in known])
    return Score(
        model="layout",
        family="neural net over pairs of characters",
        metric="macro F1, pages",
        value=macro_f1(said, true),
        baseline="length, and common words either way up",
        baseline_value=macro_f1([by_words(page) for page in known], true),
        rows=len(true),
    )


def by_words(page: Page) -> str:
    """Return the layout by how long the text is and which way more common words occur."""
    text = page.text.lower()
    if len(text.strip()) < SHORT:
        return "blank"
    return "upright" if hits(text) >= hits(turned(page.text).lower()) else "upside_down"


def hits(text: str) -> int:
    """Return how many common words a text has."""
    return sum(word.strip(".,:;") in COMMON for word in text.split())
