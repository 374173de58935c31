"""Whether a page says that a condition is there."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import NUMBERS, TEXTS, Head
from heads.onnx_model import OnnxModel
from heads.surroundings import CLASS_OF, STOPS, Surroundings, slot

WIDTH = 1024
REACH = 14
"""Words on either side that are looked at."""


class Negation(Head):
    """A neural net over words around each mention: `present`, `absent` or `hypothetical`."""

    inputs = {"contexts": TEXTS}
    outputs = {"assertions": TEXTS, "certainties": NUMBERS}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = OnnxModel(folder / "model.onnx")

    def __call__(self, *columns: Sequence[Sequence[str]]) -> Sequence[list[list]]:
        """Return label and probability of each context; an empty one has neither."""
        (pages,) = columns
        known = [context for page in pages for context in page if context]
        said: list[tuple[str, float]] = []
        if known:
            labels, probabilities = self._model(np.stack([cues(context) for context in known]))
            certain = np.round(probabilities.max(axis=1).astype(float), 3)
            said = list(zip(labels, certain.tolist(), strict=True))
        told = iter(said)
        answers = [[next(told) if context else ("", 0.0) for context in page] for page in pages]
        return [[[answer[at] for answer in page] for page in answers] for at in (0, 1)]


def cues(context: str) -> NDArray[np.float32]:
    """Return hashed features of the words around a mention [WIDTH].

    A word that has a class stands for its class alone, so that a cue seldom seen says as much as
    a frequent one.
    """
    row = np.zeros(WIDTH, dtype=np.float32)
    row[[slot(feature, WIDTH) for feature in _features(Surroundings.of(context))]] = 1
    return row


def _features(found: Surroundings) -> Iterator[str]:
    yield f"section {found.section}"
    for where, word in found.near(REACH):
        if word not in CLASS_OF:
            yield f"{where} {word}"
            yield f"{where[:-1]} {word}"
    for where, kind in found.classes:
        yield f"{where} {kind}"
        yield f"{where[:-1]} {kind}"
    for side, told in (("<", found.before), (">", found.behind)):
        names = [CLASS_OF.get(word, word) for word in told[:7]]
        for first, second in pairwise(names):
            yield f"{side} {first} {second}"
    yield f"nearest {next((kind for where, kind in found.classes if where[0] == '<'), '')}"
    before, behind = cue(found.before), cue(found.behind)
    yield f"scope {before}"
    yield f"back {behind}"
    yield f"both {before} {behind}"


def cue(words: Sequence[str]) -> str:
    """Return the class of the nearest cue up to the end of a sentence or clause, or why none.

    Args:
        words: The words of one side, the nearest first.
    """
    for at, word in enumerate(words):
        kind = CLASS_OF.get(word)
        if word in STOPS or kind == "@contrast":
            return "stop" if word in STOPS else "contrast"
        if kind in {"@denial", "@fear"}:
            follows = words[at - 1] if at else ""
            is_none = CLASS_OF.get(follows) == "@doubt" and follows != "longer"
            return f"{kind} undone" if is_none else str(kind)
    return "none"
