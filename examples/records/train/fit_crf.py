"""Fits the conditional random fields and writes them as their heads read them."""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal, TypeAlias

import pycrfsuite

from corpus import Page
from fit import folder_of
from heads.crf import Span, Token, features, labels_of, tokens
from heads.phrases import Phrases

UNSPELLED, ALONE, UNKNOWN = 0.15, 0.4, 0.25
"""Share of words whose spelling is hidden in training, or what is around them; of phrases, too.

Else a field learns the few wordings of the training pages, and trusts in nothing else.
"""

SPARSE, SMOOTH = 1.0, 0.02
"""Weights of the penalties that make features vanish (L1), and that keep weights small (L2)."""

ROUNDS, RAREST = 60, 3
"""Most steps of the optimizer, and how often a feature has to occur."""

Spans: TypeAlias = Literal["mentions", "phi"]

SPELLING = ("w=", "p2=", "p3=", "p4=", "e2=", "e3=", "e4=", "-1,0=")
AROUND = ("-1", "-2", "+1", "+2", "open=")


def fit_field(
    model: str,
    pages: Iterable[Page],
    kind: Spans,
    phrases: Phrases | None = None,
) -> None:
    """Fit a field to pages, written as `weights.crfsuite` of a model.

    Args:
        model: Its name.
        pages: What it learns from.
        kind: What of their truth it is to find.
        phrases: Phrases that the field may know of.
    """
    chance = Random(1)
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params(
        {
            "c1": SPARSE,
            "c2": SMOOTH,
            "max_iterations": ROUNDS,
            "feature.minfreq": RAREST,
            "feature.possible_transitions": True,
        }
    )
    for page in pages:
        if found := tokens(page.lines):
            spans = true_spans(page, kind)
            trainer.append(_dimmed(found, phrases, chance), labels_of(found, spans))
    trainer.train(str(folder_of(model) / "weights.crfsuite"))


def true_spans(page: Page, kind: Spans) -> list[Span]:
    """Return what a page's truth says of mentions, or of what has to be masked."""
    return [
        Span(each["line"], each["start"], each["end"], each["kind"]) for each in page.truth[kind]
    ]


def _dimmed(found: Sequence[Token], phrases: Phrases | None, chance: Random) -> list[list[str]]:
    known = phrases.matches([token.text for token in found]) if phrases else []
    rows = features(found, [each for each in known if chance.random() >= UNKNOWN])
    return [_row(row, chance.random()) for row in rows]


def _row(row: list[str], roll: float) -> list[str]:
    hidden = SPELLING if roll < UNSPELLED else AROUND if roll < UNSPELLED + ALONE else ()
    return [each for each in row if not each.startswith(hidden)] if hidden else row
