"""Which section of a note each line belongs to."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from heads.base import TEXT, Head, per_row

BUCKETS = 2**12
EMPTY = "other"
"""The label of lines without text."""

HEADINGS = {
    "family": "family fhx fh",
    "exam": "exam examination objective physical vitals pe o",
    "labs": "labs lab laboratory results data",
    "medications": "medications medication meds prescriptions rx",
    "assessment": "assessment impression diagnoses diagnosis dx problems a",
    "plan": "plan recommendations recommendation p",
    "other": "social allergies allergy immunizations notes",
    "history": "history hpi subjective pmh hx complaint illness s",
}
"""Words that head a section, more telling sections first."""

HEADING = 3
"""Words of a line in which such a word may make it a heading."""

_HEADED = {word: label for label, words in HEADINGS.items() for word in words.split()}
_RANK = {label: rank for rank, label in enumerate(HEADINGS)}

WORD = re.compile(r"[^\W\d_]+")
_SIGNS = re.compile(r"[:#/%()\[\]_|,]")


class Sections(Head):
    """A hidden Markov model: a state per label for the first line of a section, one for the rest.

    Lines are what the states emit: naive Bayes over words and traits of the line. Lines without
    text emit nothing; what follows them more often begins a section.
    """

    inputs = {"text": TEXT}
    outputs = {"labels": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._labels = [str(label) for label in held["labels"]]
            self._emission = held["emission"].astype(np.float32)
            self._start = held["start"].astype(np.float32)
            self._moves = held["moves"].astype(np.float32)

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the labels of each text's lines, joined as the lines are."""
        (texts,) = columns
        return [per_row(texts, self._answer)]

    def _answer(self, text: str) -> str:
        lines = text.split("\n")
        labels = [EMPTY] * len(lines)
        written = [number for number, line in enumerate(lines) if line.strip()]
        if written:
            gaps = [after - before > 1 for before, after in pairwise(written)]
            states = viterbi(
                self._start, self._moves, self._emitted([lines[at] for at in written]), gaps
            )
            for number, state in zip(written, states, strict=True):
                labels[number] = self._labels[state // 2]
        return "\n".join(labels)

    def _emitted(self, lines: Sequence[str]) -> NDArray[np.float32]:
        seen = [traits(line) for line in lines]
        starts = np.cumsum([0, *map(len, seen[:-1])])
        rows = self._emission[np.concatenate(seen)]
        return np.add.reduceat(rows, starts, axis=0)


def traits(line: str) -> list[int]:
    """Return the buckets of a line's words, pairs of words, and looks; at least one."""
    words = [word.lower() for word in WORD.findall(line)]
    said = [*words, *(word[:4] + "*" for word in words)]
    said += [f"{one} {two}" for one, two in pairwise(words)]
    said += ["^" + word for word in words[:1]]
    said += ["^^" + " ".join(words[:2])] if len(words) > 1 else []
    said += {"sign " + sign for sign in _SIGNS.findall(line)}
    said.append(looks(line.strip(), words))
    said += [f"head {headed(words)}"] * 3
    return [crc32(each.encode()) % BUCKETS for each in said]


def headed(words: Sequence[str]) -> str:
    """Return the section that the first of a line's words head, or nothing.

    Args:
        words: In lower case, without signs.
    """
    labels = [_HEADED[word] for word in words[:HEADING] if word in _HEADED]
    return min(labels, key=_RANK.__getitem__, default="")


def looks(line: str, words: Sequence[str]) -> str:
    """Return in a word how a line looks: its length, its letters, its end, whether it counts."""
    size = "short" if len(words) < 4 else "middle" if len(words) < 8 else "long"
    case = "upper" if line.isupper() else "title" if line.istitle() else "mixed"
    end = line[-1:] if line[-1:] in ":.," else ""
    return f"looks {size} {case} {end} {line[:1].isdigit()}"


def viterbi(
    start: NDArray[np.float32],
    moves: NDArray[np.float32],
    emitted: NDArray[np.float32],
    gaps: Sequence[bool],
) -> list[int]:
    """Return the likeliest states.

    Args:
        start: Log probability of each state to be first, [states].
        moves: Log probabilities from a state to the next, [2, states, states]; first without an
            empty line in between, then with.
        emitted: Log likelihood of each line in each state, [lines, states].
        gaps: Whether there is an empty line before each line but the first.
    """
    best, came = start + emitted[0], []
    for line, gap in zip(emitted[1:], gaps, strict=True):
        through = best[:, None] + moves[int(gap)]
        came.append(through.argmax(axis=0))
        best = through.max(axis=0) + line
    states = [int(best.argmax())]
    for back in reversed(came):
        states.append(int(back[states[-1]]))
    return states[::-1]
