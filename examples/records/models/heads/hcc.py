"""Which risk category words mean, asked without a code."""

from collections.abc import Sequence
from pathlib import Path

from heads.base import TEXTS, Head
from heads.ngrams import LinearModel
from heads.phrases import plain

NONE = "none"


class Hcc(Head):
    """Softmax over character n-grams: a CMS-HCC category (`HCC 37`), or `none`.

    It knows nothing of what `icd10` says, and so is a second opinion.
    """

    inputs = {"terms": TEXTS}
    outputs = {"categories": TEXTS}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = LinearModel(folder / "weights.npz")

    def __call__(self, *columns: Sequence[Sequence[str]]) -> Sequence[list[list[str]]]:
        """Return the category of each term, an empty one for an empty term."""
        (pages,) = columns
        return [[[self._model.label(plain(t)) if t else "" for t in page] for page in pages]]
