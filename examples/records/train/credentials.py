"""Trains and scores `credentials`."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from corpus import MODELS, Page, clinical
from fit import folder_of
from heads.credentials import Credentials
from heads.licences import NONE_WIDTH, WIDTH, candidates, page_signs
from scores import Score, macro_f1

DAMPING = 0.5
PLAIN = re.compile(
    r"\b(?:(?P<MD>MD|M\.D\.)|(?P<DO>DO|D\.O\.)"
    r"|(?P<NP>(?:F|AG|D)?NP(?:-?B?C)?|APRN|ARNP|CRNP|Nurse Practitioner)"
    r"|(?P<PA>PA(?:-C)?|Physician Ass(?:istan)?t)|(?P<RN>RN|R\.N\.|Registered Nurse)"
    r"|(?P<none>LPN|CMA|Medical Assistant|Scribe|Social Worker))(?!\w)"
)


def train() -> None:
    """Fit the scorer so that candidates that say what is true outweigh all others."""
    candidate, none = fitted(clinical("train"))
    np.savez_compressed(folder_of("credentials") / "weights.npz", candidate=candidate, none=none)


def score() -> Score:
    """Compare with the last plain credential of the page."""
    pages = clinical("test")
    true = [page.truth["credential"] for page in pages]
    (said,) = Credentials(MODELS / "credentials")([page.upright for page in pages])
    return Score(
        model="credentials",
        family="linear scorer of candidates",
        metric="macro F1, pages",
        value=macro_f1(said, true),
        baseline="last plain match",
        baseline_value=macro_f1([by_last(page) for page in pages], true),
        rows=len(true),
    )


def fitted(pages: Sequence[Page]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights of the candidates' signs and of the page's.

    The likelihood of a page is the share of `exp(score)` that the candidates with the true
    label have, the page's own option counting as `none`.
    """
    rows, owner, is_right = [], [], []
    for number, page in enumerate(pages):
        found, true = candidates(page.lines), page.truth["credential"]
        own = np.concatenate([np.zeros(WIDTH), page_signs(page.lines, found)])
        rows += [own, *(np.concatenate([each.signs, np.zeros(NONE_WIDTH)]) for each in found)]
        owner += [number] * (len(found) + 1)
        is_right += [true == "none", *(each.label == true for each in found)]
    signs, pages_of, right = np.array(rows), np.array(owner), np.array(is_right)
    can_be_right = np.bincount(pages_of, weights=right) > 0
    kept = can_be_right[pages_of]
    signs, pages_of, right = signs[kept], pages_of[kept], right[kept]
    width = WIDTH + NONE_WIDTH

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        raised = np.exp(np.clip(signs @ weights, -30, 30))
        total = np.bincount(pages_of, weights=raised)[pages_of]
        rightly = np.bincount(pages_of, weights=raised * right)[pages_of]
        every, true = raised / total, raised * right / rightly
        first = np.append(True, pages_of[1:] != pages_of[:-1])
        value = -np.log(rightly[first] / total[first]).sum() + DAMPING * weights @ weights / 2
        return float(value), signs.T @ (every - true) + DAMPING * weights

    found = minimize(loss, np.zeros(width), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:WIDTH].astype(np.float32), found.x[WIDTH:].astype(np.float32)


def by_last(page: Page) -> str:
    """Return the last credential of the page that is written as it should be."""
    hits = [hit.lastgroup for hit in PLAIN.finditer(page.upright)]
    return str(hits[-1]) if hits else "none"
