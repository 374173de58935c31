"""Trains and scores `doc_type`."""

import re
from collections.abc import Sequence

from sklearn.linear_model import LogisticRegression

from corpus import MODELS, Page, readable
from fit import as_rows, folder_of
from heads.doc_type import SIZE, DocType, views
from heads.ngrams import save_softmax
from scores import Score, macro_f1

HEADINGS = {
    "cover_sheet": r"cover (?:sheet|page)|\bfax\b.*\bcover|records request|transmittal",
    "progress_note": r"progress note|office visit|follow-?up|clinic note|visit note|soap|wellness",
    "discharge_summary": r"discharge (?:summary|note|report)|hospital(?:ization)? (?:course|summ)",
    "lab_report": r"laborator|\blab (?:report|results)|reference range|specimen",
    "medication_list": r"medication (?:list|summ|recon)|(?:current|active) medications|pharmacy",
    "referral": r"referral|consultation request|request for consult|\brefer(?:red|ring)",
}
TITLED, MANY = 12, 6
LISTED = {
    "lab_report": re.compile(r"(?:mg/dl|[um]/l|g/dl|ng/ml|k/ul)\b.*\d"),
    "medication_list": re.compile(r"\b(?:mg|mcg|units?)\b.*(?:daily|bid|tid|prn|q\d+h|night)"),
}
PATTERNS = {label: re.compile(pattern) for label, pattern in HEADINGS.items()}


def train() -> None:
    """Fit on every readable page."""
    pages = readable("train")
    fitted = LogisticRegression(C=10.0, max_iter=200, class_weight="balanced")
    fitted.fit(as_rows([views(page.upright) for page in pages], SIZE), kinds(pages))
    labels = [str(label) for label in fitted.classes_]
    path = folder_of("doc-type") / "weights.npz"
    save_softmax(path, fitted.coef_.T, fitted.intercept_, labels)


def score() -> Score:
    """Compare with the first keyword of a heading."""
    pages = readable("test")
    true = kinds(pages)
    (said,) = DocType(MODELS / "doc-type")([page.upright for page in pages])
    return Score(
        model="doc-type",
        family="softmax over titles and n-grams of three views",
        metric="macro F1, pages",
        value=macro_f1(said, true),
        baseline="first keyword of a heading, or what lines list",
        baseline_value=macro_f1([by_heading(page) for page in pages], true),
        rows=len(true),
    )


def kinds(pages: Sequence[Page]) -> list[str]:
    """Return the labels."""
    return [page.truth["kind"] for page in pages]


def by_heading(page: Page) -> str:
    """Return the kind whose keyword comes first in the top lines, or else what the lines list."""
    text = "\n".join(page.lines[:TITLED]).lower()
    hits = {label: hit.start() for label, each in PATTERNS.items() if (hit := each.search(text))}
    if hits:
        return min(hits, key=lambda label: hits[label])
    whole = page.upright.lower()
    for label, each in LISTED.items():
        if len(each.findall(whole)) >= MANY:
            return label
    return "discharge_summary" if "discharge" in whole else "progress_note"
