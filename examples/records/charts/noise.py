"""What scanning does to text: recognition errors by quality."""

import math
from random import Random

RATES = {"clean": 0.0012, "fair": 0.009, "poor": 0.032}
STRAY = {"clean": 0.002, "fair": 0.03, "poor": 0.12}
MARKS = ("| ", "~ ", ". ", "' ", ": ", "- ", "_ ", "|", "~", ", ")

PAIRS = {"rn": "m", "cl": "d", "vv": "w", "li": "h", "ri": "n", "tt": "ft", "fi": "f1"}
LOOKS = {
    "l": "1Ii|",
    "1": "lI7",
    "I": "l1|",
    "O": "0QD",
    "0": "OoD",
    "o": "0ce",
    "S": "58",
    "5": "S6",
    "s": "5a",
    "B": "83",
    "8": "B3S",
    "m": ("rn", "nn", "in"),
    "d": ("cl", "o", "a"),
    "w": ("vv", "w"),
    "h": ("li", "b", "n"),
    "n": ("ri", "r", "u"),
    "e": "co",
    "c": "eo(",
    "a": "oes",
    "i": "l1j",
    "t": "fl+",
    "f": "tr",
    "g": "q9",
    "u": "nv",
    "r": "nt",
    "y": "vg",
    "D": "O0",
    "G": "6C",
    "6": "bG",
    "9": "g4",
    "2": "Z7",
    "Z": "2",
    "4": "A9",
    "7": "1?",
    "3": "8",
    ",": ".",
    ".": ", ",
    "-": "~_",
    "/": "1l",
    ":": ";.",
}


class Noise:
    """Recognition errors of one page, at a rate per character that its quality sets.

    Never inserts a newline, and never empties a text that had a character.
    """

    def __init__(self, rng: Random, quality: str) -> None:
        self._rng = rng
        self._log_keep = math.log(1.0 - RATES[quality])
        self._stray = STRAY[quality]
        self._left = self._gap()

    def _gap(self) -> int:
        return int(math.log(1.0 - self._rng.random()) / self._log_keep)

    def mark(self) -> str:
        """A stray mark for the start of a line; mostly none."""
        return self._rng.choice(MARKS) if self._rng.random() < self._stray else ""

    def spoil(self, text: str) -> str:
        """The text as recognised."""
        size = len(text)
        if self._left >= size:
            self._left -= size
            return text
        out = []
        at = 0
        while self._left < size - at:
            spot = at + self._left
            out.append(text[at:spot])
            new, used = self._error(text, spot)
            out.append(new)
            at = spot + used
            self._left = self._gap()
        out.append(text[at:])
        self._left -= max(size - at, 0)
        noisy = "".join(out)
        return noisy if noisy.strip() or not text.strip() else text

    def _error(self, text: str, spot: int) -> tuple[str, int]:
        """What stands for the character at `spot`, and how many characters it replaces."""
        char = text[spot]
        rng = self._rng
        inside = 0 < spot < len(text) - 1
        if char == " ":
            return ("" if inside and rng.random() < 0.6 else "  "), 1
        pair = text[spot : spot + 2]
        if pair in PAIRS and rng.random() < 0.7:
            return PAIRS[pair], 2
        roll = rng.random()
        if roll < 0.6 and char in LOOKS:
            new = rng.choice(LOOKS[char])
        elif roll < 0.75:
            new = ""
        elif roll < 0.85:
            new = char + char
        elif roll < 0.95 and inside:
            new = char + " "
        else:
            new = char.swapcase() if roll < 0.98 else rng.choice("~'|.*^")
        return new, 1
