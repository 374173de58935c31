"""Trains and scores `deid`."""

import re
from collections.abc import Iterable

from corpus import MODELS, readable
from fit_crf import fit_field, true_spans
from heads.crf import Span
from heads.deid import Deid
from scores import Score, span_f1

EVERY = 9
"""One page in so many is learned from."""

MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
NAME = r"[A-Z][A-Za-z'-]+(?:,? [A-Z][A-Za-z'-]*\.?){0,2}"
RULES = (
    r"\b\d{4}-\d\d-\d\d\b",
    r"\b\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d\d)\b",
    rf"\b{MONTH}\.? \d{{1,2}},? \d{{4}}\b",
    rf"\b\d{{1,2}}-{MONTH}-\d{{4}}\b",
    r"(?:\b1-)?(?:\(\d{3}\) ?|\b\d{3}[-.])\d{3}[-.]\d{4}\b",
    r"\b\d{6,}\b|\b[A-Z]{1,3}-?\d{6,}\b|\b\d\d-\d{6}\b",
    r"\b\d+ (?:[A-Z][a-z]+ )+(?:St|Ave|Rd|Blvd|Dr|Ln|Ct|Way|Street|Avenue|Road)\b[^\n]*?\d{5}\b",
)
NAMED = (
    rf"\b(?:Dr|Mr|Mrs|Ms)\.? ({NAME})",
    rf"\b(?:[Pp]atient|PATIENT NAME|[Nn]ame|Pt)(?: [Nn]ame)?:? +({NAME})",
    rf"\b(?:[Ss]igned|[Aa]uthenticated|[Dd]ictated)(?: electronically)?(?: by|:) +({NAME})",
    rf"({NAME}),? (?:MD|M\.D\.|DO|D\.O\.|NP|APRN|PA|PA-C|RN|R\.N\.)(?=\W|$)",
)


def train() -> None:
    """Fit on some of the readable pages."""
    fit_field("deid", readable("train")[::EVERY], "phi")


def score() -> Score:
    """Compare with patterns of dates, numbers and titled names, character by character."""
    pages = readable("test")
    head = Deid(MODELS / "deid")
    true = [characters(true_spans(page, "phi")) for page in pages]
    said = [characters(head.spans(page.upright)) for page in pages]
    ruled = [characters(by_rules(page.lines)) for page in pages]
    return Score(
        model="deid",
        family="conditional random field",
        metric="F1 of masked characters, pages",
        value=span_f1(said, true),
        baseline="patterns and titles",
        baseline_value=span_f1(ruled, true),
        rows=len(pages),
    )


def characters(spans: Iterable[Span]) -> set[tuple[int, int]]:
    """Return line and offset of every character of some spans."""
    return {(span.line, at) for span in spans for at in range(span.start, span.end)}


def by_rules(lines: Iterable[str]) -> list[Span]:
    """Return what patterns find: the baseline."""
    found = []
    for number, line in enumerate(lines):
        for rule in RULES:
            found += [Span(number, *hit.span(), "number") for hit in re.finditer(rule, line)]
        for rule in NAMED:
            found += [Span(number, *hit.span(1), "name") for hit in re.finditer(rule, line)]
    return found
