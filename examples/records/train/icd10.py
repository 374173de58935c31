"""Builds and scores `icd10`."""

import numpy as np

from corpus import MODELS
from fit import folder_of
from heads.icd10 import BUCKETS, Icd10, Names, Vector
from mentions import conditions
from names import described, phrases
from scores import Score, accuracy

UNHEARD = 0.8
"""What a likeness to a code counts that charts of the train side never mean."""


SHARPNESS, PULL, STEP, STEPS = 15.0, 0.3, 0.02, 40
"""Of the fit. Chosen, as is `UNHEARD`, on phrases of the train side that were held out."""


def train() -> None:
    """Write down every name of every code, and what each n-gram counts."""
    called = phrases()
    rows = [
        (code, 1.0 if code in called else UNHEARD, name)
        for code, names in sorted(described().items())
        for name in dict.fromkeys([*called.get(code, ()), *names])
    ]
    folder = folder_of("icd10")
    lines = "".join(f"{code}\t{weight}\t{name}\n" for code, weight, name in rows)
    (folder / "names.tsv").write_text(lines, encoding="utf-8")
    weights = learnt(rows, called).astype(np.float16)
    np.savez_compressed(folder / "weights.npz", weights=weights)


def learnt(rows: list[tuple[str, float, str]], called: dict[str, list[str]]) -> Vector:
    """Return what each n-gram of a mention counts [BUCKETS], about one.

    Fitted so that a phrase finds other names of its code: softmax over names, its own left out.
    """
    names, weights = Names(rows), np.ones(BUCKETS, dtype=np.float32)
    codes, texts = np.array([row[0] for row in rows]), np.array([row[2] for row in rows])
    asked = []
    for code, some in called.items():
        for phrase in some:
            buckets, values = names.vector(phrase)
            others = np.flatnonzero((codes != code) | (texts != phrase))
            shares = names.shares(buckets, values)[:, others]
            is_right = codes[others] == code
            near = np.argsort(shares.sum(axis=0))[::-1][:40]
            kept = np.union1d(near, np.flatnonzero(is_right))
            asked.append((buckets, shares[:, kept], is_right[kept]))
    for _ in range(STEPS):
        slope = np.zeros(BUCKETS, dtype=np.float32)
        for buckets, shares, is_right in asked:
            raised = np.exp(SHARPNESS * (weights[buckets] @ shares))
            said = raised / raised.sum()
            wanted = said * is_right / max(float(said[is_right].sum()), 1e-9)
            slope[buckets] += SHARPNESS * (shares @ (wanted - said))
        weights += STEP * (slope / len(asked) * 1000 - PULL * (weights - 1))
        weights = weights.clip(0.1, 3.0)
    return weights


def score() -> Score:
    """Compare with the share of words that a name has in common with the mention."""
    known = conditions("test")
    true = [mention.truth["code"] for mention in known]
    head = Icd10(MODELS / "icd10")
    return Score(
        model="icd10",
        family="retrieval over learnt weights of character n-grams",
        metric="accuracy, mentions",
        value=accuracy([head.answer(mention.text)[0] for mention in known], true),
        baseline="most words in common with a name",
        baseline_value=accuracy(by_words([mention.text for mention in known]), true),
        rows=len(known),
    )


def by_words(terms: list[str]) -> list[str]:
    """Return the code of the name with the largest share of words in common, shorter ones first."""
    called, found = phrases(), {}
    names = sorted(
        (
            (code, frozenset(name.lower().split()))
            for code, some in described().items()
            for name in (*some, *called.get(code, ()))
        ),
        key=lambda each: len(each[1]),
    )
    for term in set(terms):
        words = frozenset(term.lower().split())
        found[term] = max(names, key=lambda each: len(words & each[1]) / len(words | each[1]))[0]
    return [found[term] for term in terms]
