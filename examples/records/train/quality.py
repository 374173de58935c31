"""Trains and scores `quality`."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier

from corpus import MODELS, Page, clinical, readable
from fit import folder_of, write_onnx
from heads.quality import Quality
from heads.readability import Readability
from scores import Score, macro_f1

ODD = re.compile(r"[|~^*?\\+]|[A-Za-z]\d[A-Za-z]|[a-z]{2}\d|\d[a-z]{2}|[a-z][A-Z]|\w[.,'][a-z]")
EVERY = 2
PARTS = 12
KNOWN = 0.6
LEVELS = ("clean", "fair", "poor")


def train() -> None:
    """Learn first the words of clean pages, then what misreading looks like."""
    pages = readable("train")[::EVERY]
    path = folder_of("quality") / "words.npz"
    save_words(path, [page.upright for page in pages if page.truth["quality"] == "clean"])
    rows, labels = features(path, pages)
    fitted = GradientBoostingClassifier(
        n_estimators=100, max_depth=2, subsample=0.5, max_features=4, random_state=0
    )
    write_onnx("quality", fitted.fit(rows, labels), Readability.WIDTH)


def score() -> Score:
    """Compare with thresholds on the share of words with odd characters."""
    pages = clinical("test")
    true = [page.truth["quality"] for page in pages]
    (said,) = Quality(MODELS / "quality")([page.upright for page in pages])
    limits = thresholds(clinical("train"))
    return Score(
        model="quality",
        family="gradient boosting over signs of misreading",
        metric="macro F1, pages",
        value=macro_f1(said, true),
        baseline="share of words with odd characters",
        baseline_value=macro_f1([by_share(page, limits) for page in pages], true),
        rows=len(true),
    )


def save_words(path: Path, texts: Sequence[str]) -> None:
    """Write what `Readability` reads: words that clean texts have more than a few times."""
    counts = Counter(word for text in texts for word in re.findall(r"[a-z]{5,}", text.lower()))
    often = max(len(texts) // 500, 3)
    words = sorted(word for word, count in counts.items() if count >= often)
    np.savez_compressed(path, words=np.array(words))


def features(path: Path, pages: Sequence[Page]) -> tuple[NDArray[np.float32], list[str]]:
    """Return a row of signs per page, and the labels.

    Other templates have other words, so each part of the pages is read by somebody who knows
    only some of the words.
    """
    signs, random = Readability(path), Random(0)
    words, rows = signs.words, []
    for part in range(PARTS):
        signs.know(random.sample(words, int(len(words) * KNOWN)))
        rows += [signs(page.upright) for page in pages[part::PARTS]]
    labels = [page.truth["quality"] for part in range(PARTS) for page in pages[part::PARTS]]
    return np.stack(rows), labels


def share(page: Page) -> float:
    """Return the share of words with odd characters."""
    words = page.upright.split()
    return sum(ODD.search(word) is not None for word in words) / max(len(words), 1)


def thresholds(pages: Sequence[Page]) -> tuple[float, float]:
    """Return the two shares that split the levels best."""
    shares = np.array([share(page) for page in pages])
    levels = np.array([LEVELS.index(page.truth["quality"]) for page in pages])
    grid = np.quantile(shares, np.linspace(0.02, 0.98, 25))
    pairs = [(low, high) for low in grid for high in grid if low < high]
    best = max(
        pairs,
        key=lambda pair: macro_f1(
            ((shares > pair[0]).astype(int) + (shares > pair[1])).tolist(), levels.tolist()
        ),
    )
    return float(best[0]), float(best[1])


def by_share(page: Page, limits: tuple[float, float]) -> str:
    """Return the level of a page by two thresholds."""
    return LEVELS[sum(share(page) > limit for limit in limits)]
