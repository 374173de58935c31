"""Trains and scores `sections`."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from corpus import MODELS, Page, clinical
from fit import folder_of
from heads.sections import BUCKETS, EMPTY, WORD, Sections, headed, traits
from scores import Score, accuracy

BLIND = 0.5
"""Share of the evenly spread: a word that no line showed speaks for no state."""

TEMPER = 0.5
"""Exponent of counts: what one wording shows a thousand times is not a thousand times as sure."""

DAMPED = 0.4
"""How much a line's words count beside the order of sections: they do not come independently."""

CLOSING = {"signed", "signature", "sincerely", "authenticated"}
"""Words of the baseline's own that head the end of a page."""


def train() -> None:
    """Count what lines show and how sections follow each other, on all clinical pages."""
    pages = clinical("train")
    labels = sorted({label for page in pages for label in page.truth["sections"]})
    size = 2 * len(labels)
    emitted = np.zeros((BUCKETS, size))
    start, moves = np.full(size, 1.0), np.full((2, size, size), 0.5)
    for page in pages:
        last = -1
        for line, state, gap in states(page, labels):
            np.add.at(emitted[:, state], traits(line), 1.0)
            if last < 0:
                start[state] += 1
            else:
                moves[int(gap), last, state] += 1
            last = state
    np.savez_compressed(
        folder_of("sections") / "weights.npz",
        labels=np.array(labels),
        emission=(DAMPED * _blurred(emitted**TEMPER)).astype(np.float16),
        start=_log(start, 0).astype(np.float32),
        moves=_log(moves, 2).astype(np.float32),
    )


def states(page: Page, labels: Sequence[str]) -> Iterable[tuple[str, int, bool]]:
    """Yield text, state and whether a gap comes before, of each line that has text.

    A label's states are twice its number for the first line of a section, and one more after.
    """
    last, was_gap = "", False
    for line, label in zip(page.lines, page.truth["sections"], strict=True):
        if not line.strip():
            was_gap = True
            continue
        yield line, 2 * labels.index(label) + (label == last), was_gap
        last, was_gap = label, False


def score() -> Score:
    """Compare with the last heading, line by line."""
    pages = clinical("test")
    (answers,) = Sections(MODELS / "sections")([page.upright for page in pages])
    said = [
        label
        for page, text in zip(pages, answers, strict=True)
        for label in kept(page, text.split("\n"))
    ]
    ruled = [label for page in pages for label in kept(page, by_headings(page.lines))]
    true = [label for page in pages for label in kept(page, page.truth["sections"])]
    return Score(
        model="sections",
        family="hidden Markov model over naive Bayes",
        metric="accuracy of lines",
        value=accuracy(said, true),
        baseline="last heading",
        baseline_value=accuracy(ruled, true),
        rows=len(true),
    )


def kept(page: Page, labels: Sequence[str]) -> list[str]:
    """Return the labels of the lines that have a text."""
    return [label for line, label in zip(page.lines, labels, strict=True) if line.strip()]


def by_headings(lines: Iterable[str]) -> list[str]:
    """Return the label of the last heading above each line: the baseline."""
    label, labels = "header", []
    for line in lines:
        words = [word.lower() for word in WORD.findall(line)]
        label = "signature" if CLOSING & set(words) else headed(words) or label
        labels.append(label if line.strip() else EMPTY)
    return labels


def _blurred(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = counts / np.maximum(counts.sum(axis=0), 1.0)
    return np.log((1 - BLIND) * shares + BLIND / BUCKETS)


def _log(counts: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.log(counts / counts.sum(axis=axis, keepdims=True))
