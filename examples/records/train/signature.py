"""Trains and scores `signature`."""

import re
from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from corpus import MODELS, Page, clinical
from fit import folder_of
from heads.signature import Signature
from heads.signing import AGAINST, FOR, HINTS, MEANINGS, signs
from scores import Score, macro_f1

LAST = 8
DOUBT = re.compile(r"not signed|unsigned|_{4}|awaiting|required|dictated")
UNKNOWN = 0.5
"""Share of meanings that are not understood in the second reading of a page."""

DAMPING = 100.0
PRIOR, HINT = 2.0, 0.5
"""Where a weight is drawn to: what tells much, and what only hints."""


def train() -> None:
    """Fit on every clinical page."""
    pages = clinical("train")
    weights, bias = fitted(*examples(pages))
    np.savez_compressed(
        folder_of("signature") / "weights.npz", weights=weights.astype(np.float32), bias=bias
    )


def score() -> Score:
    """Compare with words that say that a signature is lacking."""
    pages = clinical("test")
    true = [page.truth["signed"] for page in pages]
    said, _ = Signature(MODELS / "signature")([page.upright for page in pages])
    return Score(
        model="signature",
        family="logistic regression over the last lines",
        metric="macro F1, pages",
        value=macro_f1(said, true),
        baseline=f"no word of doubt in the last {LAST} lines",
        baseline_value=macro_f1([by_word(page) for page in pages], true),
        rows=len(true),
    )


def examples(pages: Sequence[Page]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows of signs and what is true: each page as it is, and with words not understood."""
    random, rows = Random(0), []
    for page in pages:
        unknown = frozenset(each for each in MEANINGS if random.random() < UNKNOWN)
        rows += [signs(page.upright), signs(page.upright, unknown)]
    return np.stack(rows), np.repeat([page.truth["signed"] for page in pages], 2)


def fitted(rows: NDArray[np.float32], is_signed: NDArray[np.bool_]) -> tuple[NDArray, float]:
    """Return weights and bias.

    The few wordings of the training pages say little about some signs, so a weight is drawn to
    what one would expect, and what is in `FOR` or `HINTS` never speaks against a signature, nor
    the other way round. The rare answer counts for more than its share, though not for as much
    as the other.
    """
    prior = np.array([PRIOR] * len(FOR) + [HINT] * len(HINTS) + [-PRIOR] * len(AGAINST))
    targets = np.where(is_signed, 1.0, -1.0)
    shares = np.where(is_signed, 0.5 / is_signed.mean(), 0.5 / (~is_signed).mean()) ** 0.5

    def loss(known: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = targets * (rows @ known[:-1] + known[-1])
        slopes = -shares * targets / (1 + np.exp(np.clip(margins, -30, 30)))
        off = known[:-1] - prior
        value = (shares * np.logaddexp(0, -margins)).sum() + DAMPING * off @ off / 2
        pull = np.append(rows.T @ slopes + DAMPING * off, slopes.sum())
        return float(value), pull

    bounds = [(0, None)] * len(FOR + HINTS) + [(None, 0)] * len(AGAINST) + [(None, None)]
    start = np.zeros(rows.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x[:-1], float(found.x[-1])


def by_word(page: Page) -> bool:
    """Return whether nothing in the last lines says that a signature is lacking."""
    return DOUBT.search("\n".join(page.lines[-LAST:]).lower()) is None
