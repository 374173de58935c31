"""Trains and scores `confidence`, on what the models before it really say."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from chain import Part, coded
from corpus import MODELS
from fit import folder_of
from heads.confidence import SIGNALS, Confidence, crossed
from rules import MENTIONS
from scores import Score


def train() -> None:
    """Fit on every finding of the sample."""
    signals, right = findings("sample")
    fitted = LogisticRegression(C=1.0, max_iter=2000).fit(crossed(signals), right)
    np.savez(
        folder_of("confidence") / "weights.npz", weights=fitted.coef_[0], bias=fitted.intercept_[0]
    )


def score() -> Score:
    """Compare the mean squared error of the probability with that of the score alone, scaled."""
    signals, right = findings("test")
    rows = -(-len(signals) // MENTIONS)
    padded = np.zeros((rows * MENTIONS, SIGNALS))
    padded[: len(signals)] = signals
    (said,) = Confidence(MODELS / "confidence")(padded.reshape(rows, MENTIONS, SIGNALS).tolist())
    confidence = np.array(said).reshape(-1)[: len(signals)]
    known, known_right = findings("sample")
    alone = LogisticRegression().fit(known[:, :1], known_right)
    return Score(
        model="confidence",
        family="logistic regression over signals of other models",
        metric="Brier score of findings (low is good)",
        value=float(np.mean((confidence - right) ** 2)),
        baseline="score of `icd10` alone, scaled",
        baseline_value=float(np.mean((alone.predict_proba(signals[:, :1])[:, 1] - right) ** 2)),
        rows=len(signals),
        is_better_low=True,
    )


def findings(part: Part) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the signals [n, 8] of all findings, and whether each is coded right [n]."""
    signals, right = [], []
    for chart, _ in coded(part):
        for page in chart["pages"]:
            if "signals" not in page:
                continue
            told = zip(page["findings"], page["signals"], page["icd10"], strict=False)
            for finding, row, code in told:
                signals.append(row)
                right.append(float(is_right(finding, code, page["truth"])))
    return np.array(signals), np.array(right)


def is_right(finding: dict, code: str, truth: dict) -> bool:
    """Tell whether the patient has what a finding says, under this code."""
    return any(
        each["line"] == finding["line"]
        and each.get("code") == code
        and not (each["negated"] or each["family"] or each["hypothetical"])
        and (each["text"] in finding["text"] or finding["text"] in each["text"])
        for each in truth["mentions"]
    )
