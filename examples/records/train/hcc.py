"""Trains and scores `hcc`."""

import random
from pathlib import Path

import numpy as np
import simple_icd_10_cm

from corpus import MODELS
from fit import fit_linear, folder_of
from heads.hcc import NONE, Hcc
from heads.icd10 import categories
from heads.phrases import plain
from icd10 import by_words
from mentions import conditions
from names import leaves, phrases
from scores import Score, macro_f1

EVERY = 25
"""One of so many codes without a category is learned from."""

REPEATED = 12
"""How often a phrase of the train side counts, beside the descriptions of ICD-10-CM."""

SMALL = 0.3
"""Share of the weights, the smallest, that are dropped."""


def train() -> None:
    """Fit on descriptions of codes, and on what the train side calls them, letters lost."""
    rng = random.Random(0)
    rows = [
        (name, label)
        for number, (name, label) in enumerate(names())
        if label != NONE or number % EVERY == 0
    ]
    for code, called in phrases().items():
        label = categories().get(code, NONE)
        rows += [(spoiled(name, rng), label) for name in called for _ in range(REPEATED)]
    texts, labels = zip(*rows, strict=True)
    fit_linear("hcc", [plain(text) for text in texts], labels, sizes=(2, 4), buckets=2**11)
    slim(folder_of("hcc") / "weights.npz")


def score() -> Score:
    """Compare with the category of the code whose name has most words in common.

    That is a harder rule than a table of the category that each word mostly speaks for.
    """
    known = conditions("test")
    true = [categories().get(mention.truth["code"], NONE) for mention in known]
    (said,) = Hcc(MODELS / "hcc")([[mention.text] for mention in known])
    codes = by_words([mention.text for mention in known])
    return Score(
        model="hcc",
        family="softmax over character n-grams",
        metric="macro F1, mentions",
        value=macro_f1([row[0] for row in said], true),
        baseline="category of the name with most words in common",
        baseline_value=macro_f1([categories().get(code, NONE) for code in codes], true),
        rows=len(known),
    )


def slim(path: Path) -> None:
    """Drop the weights that hardly count: the file is in git."""
    with np.load(path, allow_pickle=False) as held:
        arrays = dict(held)
    weights = arrays["weights"]
    weights[np.abs(weights) < np.quantile(np.abs(weights), SMALL)] = 0
    np.savez_compressed(path, **arrays)


def names() -> list[tuple[str, str]]:
    """Return the description of every code, and its category."""
    found = categories()
    return [(simple_icd_10_cm.get_description(code), found.get(code, NONE)) for code in leaves()]


def spoiled(text: str, rng: random.Random) -> str:
    """Return a phrase with a letter lost or changed, now and then."""
    if rng.random() < 0.5:
        return text
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(["", "e", "o", "1", " "]) + text[at + 1 :]
