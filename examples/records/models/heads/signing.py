"""What the last lines of a page say of its signature, as numbers."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.misread import Lexicon

WINDOW = 9
"""Lines with a text, from the end, in which a signature may stand."""

SHORT = 8
"""Words of the longest line that is about the signature only."""

_MEANINGS = {
    "signed": ("signed", "esigned", "esign", "cosigned", "countersigned", "signing", "sgd"),
    "signature": ("signature", "esignature", "sign", "signatures"),
    "electronic": ("electronically", "electronic", "digitally", "digital"),
    "authentic": (
        *("authenticated", "attested", "verified", "approved", "finalized", "validated"),
        *("certified", "authorized", "attestation", "authentication", "completed", "sealed"),
        *("confirmed", "endorsed", "locked", "authored", "accepted", "filed", "closed"),
        *("attest", "certify", "verify", "released", "acknowledged", "witnessed"),
    ),
    "dictated": ("dictated", "transcribed", "typed", "dictating", "dictation", "transcription"),
    "draft": ("draft", "preliminary", "unsigned", "unauthenticated", "unverified", "incomplete"),
    "waiting": (
        *("awaiting", "pending", "required", "needed", "missing", "requires", "outstanding"),
        *("await", "needs", "absent", "blank", "requested", "awaits", "lacking", "due"),
    ),
    "not": ("not", "without", "no", "never", "yet", "nor", "none", "be"),
    "file": ("file", "stamp"),
    "close": ("sincerely", "regards", "respectfully", "yours", "truly", "cordially"),
    "copy": ("cc",),
    "by": ("by",),
}
_LEXICON = Lexicon(_MEANINGS)
_CLAIMS = frozenset({"signed", "authentic", "electronic"})
_DOUBTS = frozenset({"draft", "waiting", "not"})

_SLASHES = re.compile(r"(?:^|\W)[/1l|(]\s?[eE]?[sS5]\s?[/1l|)]\s")
_RULED = re.compile(r"[_.~-]{6,}|(?:_ ?){4,}|[xX]_{3,}")
_DATE = re.compile(
    r"\d{1,4}[/1l.-]\d{1,2}[/1l.-]\d{2,4}|[A-Z][a-z]{2,8} \d{1,2},? \d{4}"
    r"|\d{1,2}-[A-Z][a-z]{2}-\d{4}"
)
_CAPITALS = re.compile(r"[A-Z][\w'|-]*\.?(?:\s+[A-Z][\w'|-]*\.?)+|[A-Z][\w'|-]+,\s?[A-Z][\w'|-]+")
_NO_NAMES = frozenset(
    ("date", "time", "page", "dob", "mrn", "provider", "physician", "author", "status", "dear")
)
_LICENCE = re.compile(r"[A-Z][\w'|-]+,?\s+(?:[A-Z][A-Z0]|[A-Z]\.[A-Z]\.|[A-Z]{2,5}-?[A-Z]{1,2})\b")
_AT_END = 5

FOR = (
    "claim",
    "claim_named",
    "claim_beside",
    "claim_dated",
    "electronic",
    "slashes",
    "slashes_named",
    "place_named",
    "on_file",
    "claims",
)
HINTS = ("licensed", "dated_end")
AGAINST = (
    "doubted",
    "denied",
    "ruled",
    "place_ruled",
    "place_bare",
    "draft",
    "waiting",
    "dictated",
    "silent",
)
MEANINGS = (*_MEANINGS, "slashes")
WIDTH = len(FOR) + len(HINTS) + len(AGAINST)


@dataclass(frozen=True, slots=True)
class _Line:
    said: frozenset[str | None]
    words: int
    is_denied: bool
    is_named: bool
    is_dated: bool
    is_ruled: bool
    has_slashes: bool
    is_licensed: bool

    @property
    def claims(self) -> bool:
        is_claim = (
            bool(self.said & _CLAIMS)
            or self.has_slashes
            or (self.is_place and (self.is_named or "file" in self.said))
        )
        return is_claim and not (self.said & _DOUBTS or self.is_ruled)

    @property
    def is_doubted(self) -> bool:
        return bool(self.said & (_CLAIMS | {"signature"}) and self.said & _DOUBTS)

    @property
    def is_place(self) -> bool:
        return "signature" in self.said


def signs(text: str, unknown: frozenset[str] = frozenset()) -> NDArray[np.float32]:
    """Return what of `FOR`, `HINTS` and `AGAINST` holds at the end of a text [WIDTH].

    Args:
        text: The text.
        unknown: Meanings that are not understood: to learn what is left where the words are new.
    """
    texts = [line for line in map(str.strip, text.split("\n")) if line][-WINDOW:]
    lines = [_read(line, unknown) for line in texts]
    return np.array([*_in_favour(lines), *_against(lines)], dtype=np.float32)


def _read(line: str, unknown: frozenset[str]) -> _Line:
    words = [None if word in unknown else word for word in _LEXICON.meanings(line)]
    return _Line(
        said=frozenset(words),
        words=len(words),
        is_denied=_is_denied(words),
        is_named=_is_name(line),
        is_dated=_DATE.search(line) is not None,
        is_ruled=_RULED.search(line) is not None,
        has_slashes="slashes" not in unknown and _SLASHES.search(line) is not None,
        is_licensed=_LICENCE.search(line) is not None,
    )


def _is_name(line: str) -> bool:
    """Tell whether two capitalised words that mean nothing else stand side by side."""
    for found in _CAPITALS.findall(line):
        words = re.split(r"[\s,.]+", found.strip("., "))
        names = [word for word in words if word.lower() not in _NO_NAMES]
        if sum(_LEXICON.meaning(word) is None for word in names) > 1:
            return True
    return False


def _in_favour(lines: list[_Line]) -> list[float]:
    sure = [(at, line) for at, line in enumerate(lines) if line.claims]
    named_places = [
        line
        for line in lines
        if line.is_place and line.is_named and not (line.is_ruled or line.is_doubted)
    ]
    return [
        bool(sure),
        any(line.is_named for _, line in sure),
        any(each.is_named for at, _ in sure for each in lines[max(at - 1, 0) : at + 2]),
        any(line.is_dated for _, line in sure),
        any("electronic" in line.said for _, line in sure),
        any(line.has_slashes for line in lines),
        any(line.has_slashes and line.is_named for line in lines),
        bool(named_places),
        any("file" in line.said and line.is_place for line in lines),
        min(len(sure), 3),
        any(map(_is_author, lines[-_AT_END:])),
        any(line.is_dated and line.is_named for line in lines[-_AT_END:]),
    ]


def _against(lines: list[_Line]) -> list[float]:
    said = frozenset(word for line in lines for word in line.said)
    short = frozenset(word for line in lines if line.words <= SHORT for word in line.said)
    places = [line for line in lines if line.is_place]
    is_silent = not (said & _CLAIMS or places or any(line.has_slashes for line in lines))
    return [
        any(line.is_doubted for line in lines),
        any(line.is_denied for line in lines),
        any(line.is_ruled for line in lines),
        any(line.is_ruled for line in places),
        any(not line.is_named and not line.claims for line in places),
        "draft" in short,
        "waiting" in short,
        "dictated" in short,
        is_silent,
    ]


def _is_author(line: _Line) -> bool:
    return line.is_licensed and "copy" not in line.said


def _is_denied(words: list[str | None]) -> bool:
    """Tell whether words before a claim take it back, as in `not yet electronically signed`."""
    return any(
        meaning in _CLAIMS | {"signature"} and {"not", "waiting"} & set(words[max(at - 3, 0) : at])
        for at, meaning in enumerate(words)
    )
