"""Words as a scanner's engine may have misread them."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_WORD = re.compile(r"[^\W_](?:[^\W_]|[|'!])*")
_LOOKS = str.maketrans("0158|!", "olsbll", "'")
_PAIRS = (("rn", "m"), ("nn", "m"), ("vv", "w"), ("cl", "d"), ("i", "l"))


class Neighbours:
    """Finds the known word from which a word differs by one character at most.

    Args:
        words: The known words.
        ending: Characters at the end of a word that have to be right.
    """

    def __init__(self, words: Iterable[str], ending: int = 0) -> None:
        self._ending = ending
        self._words = {word: word for word in words}
        self._replaced = {form: word for word in self._words for form in self._replacing(word)}
        self._lacking = {form: word for word in self._words for form in self._leaving_out(word)}

    def nearest(self, word: str) -> str | None:
        """Return the known word, or nothing where none is so near."""
        if word in self._words:
            return word
        if word in self._lacking:
            return self._lacking[word]
        for form in self._replacing(word):
            if form in self._replaced:
                return self._replaced[form]
        return next((form for form in self._leaving_out(word) if form in self._words), None)

    def _replacing(self, word: str) -> list[str]:
        return [f"{word[:at]}?{word[at + 1 :]}" for at in range(len(word) - self._ending)]

    def _leaving_out(self, word: str) -> list[str]:
        return [word[:at] + word[at + 1 :] for at in range(len(word) - self._ending)]


class Lexicon:
    """Says what a word means, forgiving one wrong, missing or added character.

    Args:
        meanings: The words of each meaning.
        least: Letters of the shortest word that may be misread; a shorter one is taken as it
            stands.
    """

    def __init__(self, meanings: Mapping[str, Iterable[str]], least: int = 5) -> None:
        self._meanings = {folded(word): each for each, words in meanings.items() for word in words}
        self._long = Neighbours(word for word in self._meanings if len(word) >= least)
        self._least = least
        self._known = lru_cache(maxsize=20_000)(self._look_up)

    def meaning(self, word: str) -> str | None:
        """Return what a word means, or nothing for a word that is not known."""
        return self._known(word)

    def _look_up(self, word: str) -> str | None:
        known = folded(word)
        if known in self._meanings:
            return self._meanings[known]
        near = self._long.nearest(known) if len(known) >= self._least - 1 else None
        return self._meanings[near] if near else None

    def meanings(self, line: str) -> list[str | None]:
        """Return what each word of a line means."""
        return [self._known(word) for word in _WORD.findall(line)]


def folded(word: str) -> str:
    """Return a word in lower case, with characters that look alike made the same."""
    word = word.lower().translate(_LOOKS)
    for pair, single in _PAIRS:
        word = word.replace(pair, single)
    return word
