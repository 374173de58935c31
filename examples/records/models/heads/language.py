"""Which language a page is written in."""

from collections.abc import Sequence
from pathlib import Path

from heads.base import TEXT, Head, per_row
from heads.ngrams import LinearModel


class Language(Head):
    """Softmax over character n-grams: `en`, `es`, `fr` or `de`."""

    inputs = {"text": TEXT}
    outputs = {"label": TEXT}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = LinearModel(folder / "weights.npz")

    def __call__(self, *columns: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the label of each text."""
        (texts,) = columns
        return [per_row(texts, self._model.label)]
