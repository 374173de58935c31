"""Fits the conditional random fields and writes them as their heads read them."""

from collections.abc import Iterable, Sequence
from random import Random

import pycrfsuite

from fit import folder_of
from heads.crf import Span, Token, features, labels_of, tokens
from heads.phrases import Phrases

UNSPELLED, ALONE, UNKNOWN = 0.15, 0.4, 0.25
"""Share of words whose spelling is hidden in training, or what is around them; of phrases, too.

Else a field learns the few wordings of the training pages, and trusts in nothing else.
"""

SPELLING = ("w=", "p2=", "p3=", "p4=", "e2=", "e3=", "e4=", "-1,0=")
AROUND = ("-1", "-2", "+1", "+2", "open=")


def fit_field(
    model: str,
    examples: Iterable[tuple[Sequence[str], Sequence[Span]]],
    phrases: Phrases | None = None,
    *,
    sparse: float = 1.0,
    smooth: float = 0.02,
    rounds: int = 60,
    rarest: int = 3,
) -> None:
    """Fit a field to pages (their lines and true spans), written as `weights.crfsuite` of a model.

    Args:
        model: Its name.
        examples: Lines and true spans of each page.
        phrases: Phrases that the field may know of.
        sparse: Weight of the penalty that makes features vanish (L1).
        smooth: Weight of the penalty that keeps weights small (L2).
        rounds: Most steps of the optimizer.
        rarest: How often a feature has to occur.
    """
    chance = Random(1)
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params(
        {
            "c1": sparse,
            "c2": smooth,
            "max_iterations": rounds,
            "feature.minfreq": rarest,
            "feature.possible_transitions": True,
        }
    )
    for lines, spans in examples:
        if found := tokens(lines):
            trainer.append(_dimmed(found, phrases, chance), labels_of(found, spans))
    trainer.train(str(folder_of(model) / "weights.crfsuite"))


def _dimmed(found: Sequence[Token], phrases: Phrases | None, chance: Random) -> list[list[str]]:
    known = phrases.matches([token.text for token in found]) if phrases else []
    rows = features(found, [each for each in known if chance.random() >= UNKNOWN])
    return [_row(row, chance.random()) for row in rows]


def _row(row: list[str], roll: float) -> list[str]:
    hidden = SPELLING if roll < UNSPELLED else AROUND if roll < UNSPELLED + ALONE else ()
    return [each for each in row if not each.startswith(hidden)] if hidden else row
