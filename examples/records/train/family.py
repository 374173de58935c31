"""Trains and scores `family`."""

from itertools import takewhile

import numpy as np
from scipy.sparse import lil_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from corpus import MODELS
from fit import folder_of
from heads.family import WIDTH, Family, hints
from heads.surroundings import CLASS_OF, STOPS, Surroundings
from mentions import conditions
from scores import Score


def train() -> None:
    """Fit on every condition of the train side."""
    known = conditions("train")
    rows = lil_matrix((len(known), WIDTH), dtype=np.float32)
    for number, mention in enumerate(known):
        for at in set(hints(mention.context)):
            rows[number, at] = 1
    fitted = LogisticRegression(C=1.0, max_iter=500)
    fitted.fit(rows.tocsr(), [mention.truth["family"] for mention in known])
    np.savez_compressed(
        folder_of("family") / "weights.npz",
        weights=fitted.coef_[0].astype(np.float16),
        bias=fitted.intercept_[0],
    )


def score() -> Score:
    """Compare with a relative in the sentence, of several rules the best on the train side."""
    known = conditions("test")
    true = [mention.truth["family"] for mention in known]
    (said,) = Family(MODELS / "family")([[mention.context] for mention in known])
    return Score(
        model="family",
        family="logistic regression over words and section",
        metric="F1, mentions",
        value=float(f1_score(true, [row[0] >= 0.5 for row in said])),
        baseline="a relative in the same sentence",
        baseline_value=float(f1_score(true, [by_word(mention.context) for mention in known])),
        rows=len(known),
    )


def by_word(context: str) -> bool:
    """Tell whether a relative, or the family, stands in the sentence of a mention."""
    found = Surroundings.of(context)
    return any(
        CLASS_OF.get(word) in {"@relative", "@family"}
        for side in (found.before, found.behind)
        for word in takewhile(lambda word: word not in STOPS, side)
    )
