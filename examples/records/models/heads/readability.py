"""Signs of misread characters, as numbers."""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.misread import Neighbours

_LEAST = 5

_IN_WORDS = tuple(
    re.compile(pattern)
    for pattern in (
        r"[A-Za-z]\d[A-Za-z]|[a-z]{2}\d|\d[a-z]{3}",
        r"[|~^]|(?<=[a-z])[(+\\*'!?.](?=[a-z])|[+](?=[a-z])",
        r"(?<=\S)  (?=\S)",
        r"[a-z][A-Z]",
        r"(?<![\w'./-])[b-hj-zB-HJ-Z](?![\w'./:)-])",
        r"[a-z]{2}[;.,][a-z]{2}|[a-z]\. +[a-z]",
        r"([a-z])\1\1|([aiuvwxyjkqh])\2",
        r"\d[A-Za-z|?]\d|\d \d|[/:]\d{3}\b",
    )
)
_STRAY = re.compile(r"^\s*(?:[|~.',_:] ?(?=\s*\w)|[|~.',_:-]$)", re.MULTILINE)
_WORD = re.compile(r"[^\s,;:/()\[\]\"]{4,}")


class Readability:
    """Turns a text into `WIDTH` numbers.

    A word that is not known but looks like one that is was most likely misread; a word that looks
    like none says nothing.

    Args:
        path: An `.npz` with `words`, known words in lower case.
    """

    WIDTH = len(_IN_WORDS) + 3

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as held:
            self.words = [str(word) for word in held["words"]]
        self.know(self.words)

    def know(self, words: Sequence[str]) -> None:
        """Take these as the only known words."""
        self._known = frozenset(words)
        self._near = Neighbours(words, ending=2)
        self._is_miss = lru_cache(maxsize=50_000)(self._looks_misread)

    def __call__(self, text: str) -> NDArray[np.float32]:
        """Return the signs of a text, a share of its size each."""
        size = max(len(text.split()), 1)
        lines = max(sum(map(bool, text.split("\n"))), 1)
        hits = [sum(1 for _ in pattern.finditer(text)) / size for pattern in _IN_WORDS]
        stray = sum(1 for _ in _STRAY.finditer(text)) / lines
        words = _WORD.findall(text)
        known = sum(word.lower().strip(".") in self._known for word in words)
        missed = sum(map(self._is_miss, words))
        share = missed / max(known + missed, 1)
        return np.array([*hits, stray, share, missed / size], dtype=np.float32)

    def _looks_misread(self, word: str) -> bool:
        """Whether a word is not known, but would be with one other character before its end."""
        word = word.lower().strip(".")
        if len(word) < _LEAST or word in self._known or word[:-1] in self._known:
            return False
        return self._near.nearest(word) is not None
