"""Trains and scores `entities`."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from corpus import MODELS, Page, clinical
from fit import folder_of
from fit_crf import fit_field, true_spans
from heads.crf import Span, tokens
from heads.entities import Entities
from heads.phrases import Phrases
from scores import Score, span_f1

EVERY = 5
"""One page in so many is learned from."""

OFTEN = 5
"""How often the training pages mention a phrase that counts as known."""


def train() -> None:
    """Fit on some of the clinical pages, with the phrases of all of them."""
    pages = clinical("train")
    phrases = Phrases(frequent(pages))
    phrases.write(folder_of("entities") / "phrases.tsv")
    fit_field("entities", pages[::EVERY], "mentions", phrases)


def frequent(pages: Iterable[Page]) -> list[tuple[str, tuple[str, ...]]]:
    """Return label and words of what pages mention often: what a scanner spoiled is rare."""
    counts = Counter(
        (each["kind"], tuple(token.text.lower() for token in tokens([each["text"]])))
        for page in pages
        for each in page.truth["mentions"]
    )
    return sorted(each for each, count in counts.items() if count >= OFTEN)


def score() -> Score:
    """Compare with looking up every phrase of the training pages."""
    pages = clinical("test")
    head, lookup = Entities(MODELS / "entities"), Lookup(clinical("train"))
    true = [set(true_spans(page, "mentions")) for page in pages]
    return Score(
        model="entities",
        family="conditional random field",
        metric="F1 of exact mentions, pages",
        value=span_f1([set(head.spans(page.upright)) for page in pages], true),
        baseline="longest known phrase",
        baseline_value=span_f1([lookup.spans(page.lines) for page in pages], true),
        rows=len(pages),
    )


class Lookup:
    """The baseline: every phrase that the training pages mention, longest first.

    Args:
        pages: Pages with their truth.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self._kinds = {
            each["text"].lower(): each["kind"] for page in pages for each in page.truth["mentions"]
        }
        longest_first = sorted(self._kinds, key=len, reverse=True)
        known = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(rf"(?<!\w)(?:{known})(?!\w)")

    def spans(self, lines: Iterable[str]) -> set[Span]:
        """Return the phrases that stand in some lines."""
        return {
            Span(number, *hit.span(), self._kinds[hit.group()])
            for number, line in enumerate(lines)
            for hit in self._pattern.finditer(line.lower())
        }
