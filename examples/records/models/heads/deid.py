"""Which words of a page would tell who the patient is."""

from collections.abc import Sequence
from pathlib import Path

from heads.base import TEXT, Head, per_row
from heads.crf import Field, Span, tokens


class Deid(Head):
    """A conditional random field; names, dates, phones, ids and addresses are masked."""

    inputs = {"text": TEXT}
    outputs = {"masked": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._field = Field(folder / "weights.crfsuite")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return each text with `[NAME]`, `[DATE]`, ... in place of what was found."""
        (texts,) = columns
        return [per_row(texts, self._masked)]

    def spans(self, text: str) -> list[Span]:
        """Return what is masked, in reading order."""
        return self._field.spans(tokens(text.split("\n")))

    def _masked(self, text: str) -> str:
        lines = text.split("\n")
        for span in reversed(self.spans(text)):
            line = lines[span.line]
            lines[span.line] = f"{line[: span.start]}[{span.label.upper()}]{line[span.end :]}"
        return "\n".join(lines)
