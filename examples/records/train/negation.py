"""Trains and scores `negation`."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from corpus import MODELS
from fit import write_onnx
from heads.negation import WIDTH, Negation, cue, cues
from heads.surroundings import Surroundings
from mentions import Mention, conditions
from scores import Score, macro_f1

TAUGHT = 40_000
"""Mentions that are learned from, of all."""

LOST = 0.5
"""Share of the features that a second copy of each lacks: no single wording may decide."""

REACH = 10
"""Words before a mention that the baseline looks at: best on the train side, among 4 to 14."""


def train() -> None:
    """Fit on conditions of the train side, each also with half of its surroundings missing."""
    rng = np.random.default_rng(0)
    known = conditions("train")
    some = [known[at] for at in rng.permutation(len(known))[:TAUGHT]]
    rows = np.stack([cues(mention.context) for mention in some])
    thinned = rows * (rng.random(rows.shape, dtype=np.float32) > LOST)
    labels = [assertion(mention) for mention in some]
    fitted = MLPClassifier((48,), alpha=1e-3, max_iter=8, batch_size=256, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(np.concatenate([rows, thinned]), labels * 2)
    write_onnx("negation", fitted, WIDTH)


def score() -> Score:
    """Compare with cue words before the mention, as NegEx looks for them."""
    known = conditions("test")
    said, _ = Negation(MODELS / "negation")([[mention.context] for mention in known])
    true = [assertion(mention) for mention in known]
    return Score(
        model="negation",
        family="neural net (ONNX) over words around the mention",
        metric="macro F1, mentions",
        value=macro_f1([row[0] for row in said], true),
        baseline="nearest cue word before (NegEx, ConText)",
        baseline_value=macro_f1([by_cues(mention.context) for mention in known], true),
        rows=len(known),
    )


def assertion(mention: Mention) -> str:
    """Return what a page says of a condition."""
    if mention.truth["negated"]:
        return "absent"
    return "hypothetical" if mention.truth["hypothetical"] else "present"


def by_cues(context: str) -> str:
    """Return what the nearest cue before a mention says, up to a stop or a `but`.

    The cues are those that the model knows by class; `no change in` and the like are none.
    """
    said = cue(Surroundings.of(context).before[:REACH])
    return {"@denial": "absent", "@fear": "hypothetical"}.get(said, "present")
