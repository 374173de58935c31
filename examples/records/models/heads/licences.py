"""Finds what may be credentials on a page, and describes where each stands."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.misread import Lexicon

LABELS = ("MD", "DO", "NP", "PA", "RN", "none")

_SHORT = {
    "MD": ("MD", "MBBS"),
    "DO": ("DO",),
    "NP": ("NP", "NPC", "APRN", "ARNP", "CRNP", "FNP", "FNPC", "FNPBC", "AGNP", "AGNPC", "DNP"),
    "PA": ("PA", "PAC", "MPAS", "RPA", "RPAC"),
    "RN": ("RN", "BSN", "RNBC", "CRN"),
    "none": ("LPN", "LVN", "CMA", "CNA", "RMA", "LCSW", "MSW", "PHARMD", "RD"),
}
_KNOWN = {short: label for label, shorts in _SHORT.items() for short in shorts}
_SECOND = {
    ("nurse", "practitioner"): "NP",
    ("physician", "assistant"): "PA",
    ("physician", "asst"): "PA",
    ("registered", "nurse"): "RN",
    ("medical", "assistant"): "none",
    ("social", "worker"): "none",
}
_LONG = Lexicon(
    {word: [word] for pair in _SECOND for word in pair}
    | {"scribe": ["scribe"], "asst": ["asst", "assist"]}
)
_LEADS = {
    "sign": ("signed", "signature", "esigned", "authenticated", "attested", "sign", "verified"),
    "electronic": ("electronically", "digitally", "electronic"),
    "dictated": ("dictated", "transcribed", "author", "draft", "unsigned"),
    "provider": ("provider", "clinician", "practitioner", "attending", "physician"),
    "seen": ("seen", "encounter", "visit", "examined", "evaluated"),
    "reviewed": ("reviewed", "discussed", "before", "intake", "triage", "vitals", "rooming"),
    "printed": ("printed", "faxed", "received", "sent", "reconciled"),
    "copy": ("cc", "copy", "pcp", "attn"),
    "refer": ("refer", "referred", "referral", "consult", "followed", "consulted", "cardiology"),
    "approved": ("approved", "finalized", "completed", "certified", "validated", "prepared"),
}
_CUES = Lexicon(_LEADS)
_DOTS = str.maketrans("", "", ".-~_|'*^")
_LIKE = str.maketrans("0Q1", "OOL")
_WORD = re.compile(r"[^\s,;:()\[\]/]+")
_ZIP = re.compile(r"\s+[\dOlIS]{5}\b")
_DOCTOR = re.compile(r"\b(?:[Dd]r|Mr|Mrs|Ms)\b[., ]+(?:[A-Z][\w.]+ )?[A-Z]\w+\W*$")
_NAME = re.compile(r"(?:^|\s)[A-Z][\w'|.]*\s+(?:[A-Z]\.?\s+)?[A-Z][\w'|-]+\s*[.,]?\s*$")

BOTTOM, TOP = 7, 9
"""Lines with a text, from the end and from the start, where authors are named."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a credential.

    Attributes:
        label: Which it is.
        line: Where it stands, from 0.
        signs: Its context [WIDTH].
    """

    label: str
    line: int
    signs: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Hit:
    label: str
    line: int
    start: int
    end: int
    sort: str


SORTS = ("exact", "fuzzy", "long")
WIDTH = len(SORTS) + 18 + 3 * len(_LEADS) + len(LABELS)
NONE_WIDTH = 6


def candidates(lines: Sequence[str]) -> list[Candidate]:
    """Return what may be a credential, in reading order."""
    full = [at for at, line in enumerate(lines) if line.strip()]
    place = {at: number for number, at in enumerate(full)}
    hits = [hit for at in full for hit in _hits(lines[at], at)]
    counts = Counter(hit.label for hit in hits)
    text = "\n".join(lines)
    found = []
    for number, hit in enumerate(hits):
        from_end = len(full) - place[hit.line]
        spots = [from_end <= 1, from_end <= 3, from_end <= BOTTOM, place[hit.line] < TOP]
        rank = [number == 0, number == len(hits) - 1, counts[hit.label] > 1]
        near = [
            lines[full[at]] if 0 <= at < len(full) else ""
            for at in (place[hit.line] - 1, place[hit.line] + 1)
        ]
        context = _context(lines[hit.line], hit, text, " ".join(near))
        sort = [hit.sort == each for each in SORTS]
        label = [hit.label == each for each in LABELS]
        row = np.array([*sort, *spots, *rank, *context, *label], dtype=np.float32)
        found.append(Candidate(hit.label, hit.line, row))
    return found


def page_signs(lines: Sequence[str], found: Sequence[Candidate]) -> NDArray[np.float32]:
    """Return what speaks for no credential at all [NONE_WIDTH]."""
    full = [at for at, line in enumerate(lines) if line.strip()]
    bottom, top = set(full[-BOTTOM:]), set(full[:TOP])
    held = {each.line for each in found}
    claims = [at for at in bottom if "sign" in _cues(lines[at])]
    alone = [at for at in claims if not held & {at - 1, at, at + 1}]
    return np.array(
        [1, not found, not held & bottom, not held & top, bool(alone), not claims],
        dtype=np.float32,
    )


def _context(line: str, hit: _Hit, text: str, near: str) -> list[bool]:
    left, right = line[: hit.start].rstrip(), line[hit.end :]
    named = _NAME.search(left) is not None
    last = _WORD.findall(left)[-1:]
    surname = last[0] if last and len(last[0]) > 2 else ""
    size = len(line.split())
    told, after, beside = _cues(left), _cues(right), _cues(near)
    return [
        left.endswith((",", ".")),
        named,
        bool(last) and last[0][0].isupper(),
        not right.strip(),
        _ZIP.match(right) is not None,
        _DOCTOR.search(left) is not None,
        bool(surname) and text.count(surname) > 1,
        size <= 5,
        size <= 9,
        size > 11,
        left.count(" ") < 3,
        *(lead in told for lead in _LEADS),
        *(lead in after for lead in _LEADS),
        *(lead in beside for lead in _LEADS),
    ]


def _cues(text: str) -> set[str | None]:
    return set(_CUES.meanings(text)) if text else set()


def _hits(line: str, at: int) -> list[_Hit]:
    words = [(word.group(), *word.span()) for word in _WORD.finditer(line)]
    found: list[_Hit] = []
    for number, (word, start, end) in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ("", end, end)
        comma = "," in line[max(start - 2, 0) : start] or line[max(start - 2, 0) : start] == ". "
        if found and found[-1].end >= end:
            continue
        if label := _short(word):
            found.append(_Hit(label, at, start, end, "exact"))
        elif len(word) < 4 and len(following[0]) < 4 and (label := _short(word + following[0])):
            found.append(_Hit(label, at, start, following[2], "fuzzy"))
        elif len(word) > 4 and word[0].isupper() and (label := _long(word, following[0])):
            ending = end if label == "scribe" else following[2]
            found.append(_Hit("none" if label == "scribe" else label, at, start, ending, "long"))
        elif comma and number and words[number - 1][0][:1].isupper() and (label := _close(word)):
            found.append(_Hit(label, at, start, end, "fuzzy"))
    return found


def _short(word: str) -> str | None:
    if len(word) > 9 or word.islower():
        return None
    key = word.translate(_DOTS)
    if sum(map(str.isupper, key)) * 2 < len(key):
        return None
    return _KNOWN.get(key.upper().translate(_LIKE))


def _long(word: str, following: str) -> str | None:
    first = _LONG.meaning(word)
    if first is None or first == "scribe":
        return first
    second = _LONG.meaning(following)
    return _SECOND.get((first, second)) if second else None


def _close(word: str) -> str | None:
    """Return the credential that one misread character away, the likeliest misreading first."""
    key = word.translate(_DOTS).upper().translate(_LIKE)
    if not 2 <= len(key) <= 6 or sum(map(str.isupper, word)) * 2 < len(key):
        return None
    best: tuple[float, str] | None = None
    for short, label in _KNOWN.items():
        if len(short) == len(key):
            cost = sum(_cost(a, b) for a, b in zip(short, key, strict=True))
        elif len(short) + 1 == len(key):
            cost = min(1.0 if key[:at] + key[at + 1 :] == short else 9.0 for at in range(len(key)))
        else:
            continue
        if cost <= 1 and (best is None or cost < best[0]):
            best = cost, label
    return best[1] if best else None


def _cost(a: str, b: str) -> float:
    if a == b:
        return 0.0
    return 0.5 if {a, b} <= {"D", "O", "C", "G"} else 1.0
