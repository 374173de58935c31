"""Trains and scores `dates`."""

import re
from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from corpus import MODELS, clinical
from fit import write_onnx
from heads.dates import Dates, features
from heads.days import days
from scores import Score, accuracy

BIRTH = re.compile(r"birth|born|\bd\.?o\.?b\b", re.IGNORECASE)


def train() -> None:
    """Fit on the days of clinical pages: one is that of service, or none."""
    rows, labels = [], []
    for page in clinical("train"):
        named = list(days(page.lines))
        if named:
            rows.append(features(page.lines, named))
            labels += [int(each.day.isoformat() == page.truth["date_of_service"]) for each in named]
    given = np.concatenate(rows)
    fitted = GradientBoostingClassifier(
        n_estimators=100, max_depth=4, subsample=0.5, max_features=0.3, random_state=1
    )
    fitted.fit(given, labels)
    write_onnx("dates", fitted, given.shape[1])


def score() -> Score:
    """Compare with the first day that is no birthday."""
    pages = clinical("test")
    true = [page.truth["date_of_service"] or "" for page in pages]
    said, _ = Dates(MODELS / "dates")([page.upright for page in pages])
    return Score(
        model="dates",
        family="gradient boosting over the days named",
        metric="accuracy of pages",
        value=accuracy(said, true),
        baseline="first day that is no birthday",
        baseline_value=accuracy([by_place(page.lines) for page in pages], true),
        rows=len(pages),
    )


def by_place(lines: Sequence[str]) -> str:
    """Return the first day that no word of birth stands before: the baseline."""
    end = (0, 0)
    for each in days(lines):
        before = lines[each.line][end[1] if end[0] == each.line else 0 : each.start]
        if not BIRTH.search(before):
            return each.day.isoformat()
        end = (each.line, each.end)
    return ""
