"""Trains and scores `language`."""

from corpus import MODELS, Split, pages
from fit import fit_linear
from heads.language import Language
from scores import Score, macro_f1

COMMON = {
    "en": {"the", "and", "of", "with", "for"},
    "es": {"el", "la", "los", "con", "para", "del"},
    "fr": {"le", "les", "des", "avec", "pour", "du"},
    "de": {"der", "die", "und", "mit", "von", "den"},
}


PIECE = 3
"""Lines of a piece: a rare language has few pages, but many pieces."""


def train() -> None:
    """Fit on pieces of pages, upside-down ones turned back, few of the frequent language."""
    texts, labels = zip(*pieces("train", english_every=10), strict=True)
    fit_linear("language", texts, labels, sizes=(1, 3), buckets=2**13)


def score() -> Score:
    """Compare with counting common words. Of whole pages both know the language nearly always."""
    texts, true = zip(*pieces("test"), strict=True)
    (said,) = Language(MODELS / "language")(texts)
    return Score(
        model="language",
        family="softmax over character n-grams",
        metric=f"macro F1 of pieces of {PIECE} lines",
        value=macro_f1(said, true),
        baseline="most common words",
        baseline_value=macro_f1([by_words(text) for text in texts], true),
        rows=len(true),
    )


def pieces(split: Split, english_every: int = 1) -> list[tuple[str, str]]:
    """Return text and language of every piece of the pages that have a text."""
    known = [page for page in pages(split) if page.truth["layout"] != "blank"]
    found = [
        ("\n".join(page.lines[at : at + PIECE]), page.truth["language"])
        for number, page in enumerate(known)
        for at in range(0, len(page.lines), PIECE)
        if page.truth["language"] != "en" or (number + at) % english_every == 0
    ]
    return [(text, label) for text, label in found if any(map(str.isalpha, text))]


def by_words(text: str) -> str:
    """Return the language of which most common words occur."""
    words = text.lower().split()
    return max(COMMON, key=lambda label: sum(word in COMMON[label] for word in words))
