"""Known phrases, found among the words of a page whatever a scanner made of their letters."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

CACHED = 20_000
_ALIKE = str.maketrans({"1": "l", "i": "l", "|": "l", "0": "o", "5": "s", "8": "b", "9": "g"})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


@lru_cache(CACHED)
def folded(word: str) -> str:
    """Return a word with letters that scanners confuse made one; digits alone stay as they are."""
    if word.isdigit():
        return word
    word = word.lower().translate(_ALIKE)
    for pair, single in _PAIRS:
        word = word.replace(pair, single)
    return word


def plain(text: str) -> str:
    """Return words, letters that scanners confuse made one, with a blank between two."""
    return " ".join(folded(word) for word in text.split())


class Phrases:
    """Finds the longest known phrases.

    Args:
        known: Label and words of each phrase.
    """

    def __init__(self, known: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        self._sizes: dict[str, list[int]] = {}
        for label, words in known:
            key = tuple(map(folded, words))
            self._known[key] = label
            sizes = self._sizes.setdefault(key[0], [])
            if len(key) not in sizes:
                sizes.append(len(key))
                sizes.sort(reverse=True)

    @classmethod
    def read(cls, path: Path) -> "Phrases":
        """Read what `write` wrote."""
        rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
        return cls((label, words.split(" ")) for label, words in rows)

    def write(self, path: Path) -> None:
        """Write a line per phrase, sorted: label, tabulator, words."""
        lines = sorted(f"{label}\t{' '.join(words)}\n" for words, label in self._known.items())
        path.write_text("".join(lines), "utf-8")

    def matches(self, words: Sequence[str]) -> list[tuple[int, int, str]]:
        """Return begin, end and label of each phrase among words; none overlap."""
        keys = [folded(word) for word in words]
        found, at = [], 0
        while at < len(keys):
            for size in self._sizes.get(keys[at], ()):
                label = self._known.get(tuple(keys[at : at + size]))
                if label is not None:
                    found.append((at, at + size, label))
                    at += size
                    break
            else:
                at += 1
        return found
