"""Trains and scores `decision`, on what the models before it really say."""

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

import rules
from chain import Part, coded, decide
from corpus import MODELS
from fit import write_onnx
from heads.confidence import Confidence
from heads.decision import TRAITS
from scores import Score, macro_f1


def train() -> None:
    """Fit on the charts of the sample."""
    charts, labels = confident("sample")
    traits = np.array([rules.summary(chart)["traits"] for chart in charts], dtype=np.float32)
    fitted = GradientBoostingClassifier(
        n_estimators=60, max_depth=3, learning_rate=0.1, subsample=0.8, random_state=0
    ).fit(traits, labels)
    write_onnx("decision", fitted, TRAITS)


def score() -> Score:
    """Compare with the rule that a person would write down."""
    charts, labels = confident("test")
    return Score(
        model="decision",
        family="gradient boosting (ONNX) over traits of the chart",
        metric="macro F1 of charts",
        value=macro_f1(decide(charts), labels),
        baseline="rule over counts of codes and unsigned pages",
        baseline_value=macro_f1([by_rule(chart) for chart in charts], labels),
        rows=len(charts),
    )


def confident(part: Part) -> tuple[list[dict], list[str]]:
    """Return the charts with their codes, and the decision that is right for each."""
    head = Confidence(MODELS / "confidence")
    charts = []
    for chart, truth in coded(part):
        pages = []
        for page in chart["pages"]:
            known = dict(page)
            if "signals" in known:
                ((known["confidence"],),) = head([known["signals"]])
                known |= rules.codes(known)
            pages.append(known)
        charts.append(({**chart, "pages": pages}, truth["decision"]))
    return [chart for chart, _ in charts], [label for _, label in charts]


def by_rule(chart: dict) -> str:
    """Decide by the counts of codes, and of pages with codes that lack what makes them count."""
    codes, _, _, _, _, _, unsigned, uncredited, poor, *_ = rules.summary(chart)["traits"]
    if not codes:
        return "nothing"
    return "review" if unsigned or uncredited or poor else "submit"
