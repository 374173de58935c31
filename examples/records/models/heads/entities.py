"""Which conditions and drugs a page mentions, and where."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from heads.base import TEXT, TEXTS, Head, UnreadableError, filled, per_row
from heads.crf import Field, Span, tokens
from heads.phrases import Phrases

LONGEST_LINE = 500
"""Tokens of the longest line that is read, if nothing else is said."""


class Entities(Head):
    """A conditional random field over the tokens of a page, which also sees known phrases.

    An entry is `line|start|end|text`: where the mention stands (offsets count characters of the
    line), and its text, which may itself contain `|`.

    Args:
        folder: Where its weights lie.
        longest_line: Tokens of the longest line that is read: a longer one is no line of a page.
    """

    inputs = {"text": TEXT}
    outputs = {"conditions": TEXTS, "drugs": TEXTS}

    def __init__(self, folder: Path, longest_line: int = LONGEST_LINE) -> None:
        super().__init__(folder)
        self._longest_line = longest_line
        self._field = Field(folder / "weights.crfsuite")
        self._phrases = Phrases.read(folder / "phrases.tsv")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[Sequence[str]]]:
        """Return conditions and drugs of each text, in reading order."""
        (texts,) = columns
        found = per_row(texts, self._entries)
        return [[filled(row[kind], "") for row in found] for kind in ("condition", "drug")]

    def spans(self, text: str) -> list[Span]:
        """Return the mentions of a text; their labels are `condition` and `drug`.

        Raises:
            UnreadableError: A line has too many tokens.
        """
        found = tokens(text.split("\n"))
        for line, count in Counter(token.line for token in found).items():
            if count > self._longest_line:
                raise UnreadableError(
                    f"line {line} has {count} tokens, at most {self._longest_line} are read"
                )
        return self._field.spans(found, self._phrases.matches([token.text for token in found]))

    def _entries(self, text: str) -> dict[str, list[str]]:
        lines = text.split("\n")
        entries: dict[str, list[str]] = {"condition": [], "drug": []}
        for span in self.spans(text):
            said = lines[span.line][span.start : span.end]
            entries[span.label].append(f"{span.line}|{span.start}|{span.end}|{said}")
        return entries
