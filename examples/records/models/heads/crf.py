"""Tokens of a page, what a conditional random field sees of each, and the field itself."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pycrfsuite

OUTSIDE = "O"
TOKEN = re.compile(r"[^\W_]+(?:'[^\W\d_]+)?|[^\w\s]|_+")
CACHED = 20_000
"""Words whose features are remembered; pages repeat themselves."""

TOP = 10
"""Lines of a page that count as its head."""

_SHAPES = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "X" * 26 + "x" * 26 + "9" * 10,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a line: a run of letters and digits, or one sign.

    Attributes:
        line: Number of its line, from 0.
        start: Offset of its first character in the line.
        end: Offset after its last character.
        text: The characters themselves.
    """

    line: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """What tokens with one label say: a place in a line, and its label."""

    line: int
    start: int
    end: int
    label: str


def tokens(lines: Sequence[str]) -> list[Token]:
    """Return the tokens of a page in reading order."""
    return [
        Token(number, found.start(), found.end(), found.group())
        for number, line in enumerate(lines)
        for found in TOKEN.finditer(line)
    ]


def features(found: Sequence[Token], known: Iterable[tuple[int, int, str]] = ()) -> list[list[str]]:
    """Return what the field sees of each token: itself, its neighbours and its place.

    Args:
        found: The tokens.
        known: Begin, end and label of runs of tokens that are known phrases.
    """
    words = ["^", "^", *(token.text for token in found), "$", "$"]
    lower = [word.lower() for word in words]
    rows = [
        [
            *own(words[at]),
            *beside(words[at - 1], "-1"),
            *beside(words[at - 2], "-2"),
            *beside(words[at + 1], "+1"),
            *beside(words[at + 2], "+2"),
            f"-1,0={lower[at - 1]} {lower[at]}",
            f"-2,-1={lower[at - 2]} {lower[at - 1]}",
            *place,
        ]
        for at, place in enumerate(_places(found), start=2)
    ]
    for begin, end, label in known:
        rows[begin].append("known=B-" + label)
        for row in rows[begin + 1 : end]:
            row.append("known=I-" + label)
        for row in rows[end : end + 1]:
            row.append("known=after")
    return rows


def _places(found: Sequence[Token]) -> Iterator[list[str]]:
    """Yield where each token stands: how its line opens, how near the one before is."""
    opening = ""
    before: Token | None = None
    for token, after in zip(found, [*found[1:], None], strict=True):
        if before is None or before.line != token.line:
            opening, joint = "open=" + token.text.lower(), "first"
        else:
            joint = _joint(token.start - before.end)
        place = [opening, joint]
        if token.line < TOP:
            place.append("top")
        if after is None or after.line != token.line:
            place.append("last")
        yield place
        before = token


def _joint(gap: int) -> str:
    return "glued" if gap == 0 else "spaced" if gap == 1 else "wide"


@lru_cache(CACHED)
def own(word: str) -> tuple[str, ...]:
    """Return the features of a word by itself."""
    lower, shape = word.lower(), shaped(word)
    if len(word) == 1 and not word.isalnum():
        return ("w=" + word, "s=.")
    return (
        "w=" + lower,
        "s=" + shape,
        "p2=" + lower[:2],
        "p3=" + lower[:3],
        "p4=" + lower[:4],
        "e2=" + lower[-2:],
        "e3=" + lower[-3:],
        "e4=" + lower[-4:],
    )


@lru_cache(CACHED)
def beside(word: str, where: str) -> tuple[str, str]:
    """Return the features of a word as a neighbour."""
    return (where + "w=" + word.lower(), where + "s=" + shaped(word))


def shaped(word: str) -> str:
    """Return the kinds of characters of a word: `Xxxx+`, `99`, `XX`, `/`."""
    shape = word.translate(_SHAPES)
    return shape if len(shape) <= 4 else shape[:4] + "+"


class Field:
    """A trained field.

    Args:
        path: A model as CRFsuite writes it; labels are `O`, `B-<label>` and `I-<label>`.
    """

    def __init__(self, path: Path) -> None:
        self._tagger = pycrfsuite.Tagger()
        self._weights = path.read_bytes()  # the tagger reads from these, and keeps no reference
        self._tagger.open_inmemory(self._weights)
        self._lock = Lock()

    def spans(
        self, found: Sequence[Token], known: Iterable[tuple[int, int, str]] = ()
    ) -> list[Span]:
        """Return the labelled spans among a page's tokens, in reading order."""
        if not found:
            return []
        sequence = pycrfsuite.ItemSequence(features(found, known))
        with self._lock:
            labels = self._tagger.tag(sequence)
        return list(joined(found, labels))


def joined(found: Sequence[Token], labels: Sequence[str]) -> Iterator[Span]:
    """Yield a span per run of tokens with one label; none goes on over the end of its line."""
    span: Span | None = None
    for token, said in zip(found, labels, strict=True):
        begins, _, label = said.partition("-")
        if span and begins == "I" and (span.label, span.line) == (label, token.line):
            span = Span(span.line, span.start, token.end, label)
            continue
        if span:
            yield span
        span = Span(token.line, token.start, token.end, label) if said != OUTSIDE else None
    if span:
        yield span


def labels_of(found: Sequence[Token], true: Sequence[Span]) -> list[str]:
    """Return the label of each token if `true` is what should come out: for training."""
    places: dict[int, list[Span]] = {}
    for span in true:
        places.setdefault(span.line, []).append(span)
    labels: list[str] = []
    last: Span | None = None
    for token in found:
        over = (s for s in places.get(token.line, ()) if s.start < token.end > token.start < s.end)
        here = next(over, None)
        if here is None:
            labels.append(OUTSIDE)
        else:
            labels.append(("I-" if here is last else "B-") + here.label)
        last = here
    return labels
