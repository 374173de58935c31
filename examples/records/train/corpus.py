"""Pages to learn from and to be scored on. Other charts, and other templates, on either side."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import charts
from charts.plan import CLINICAL

EXAMPLE = Path(__file__).parent.parent
MODELS = EXAMPLE / "models"

CHARTS = {"train": 900, "test": 300}
SEED = 1

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page and what is true of it.

    Attributes:
        text: As the scanner's engine gave it.
        upright: The same, turned back where the page was upside down.
        truth: Its entry of the truth.
    """

    text: str
    upright: str
    truth: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """The lines that offsets of the truth count."""
        return self.upright.split("\n")


@cache
def whole_charts(split: Split) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the charts of a side, each with its truth."""
    return [charts.make(number, seed=SEED, split=split) for number in range(CHARTS[split])]


@cache
def pages(split: Split) -> list[Page]:
    """Return every page of a side."""
    return list(_pages(split))


@cache
def readable(split: Split) -> list[Page]:
    """Return the pages in English that have a text: what most models see."""
    return [
        page
        for page in pages(split)
        if page.truth["layout"] != "blank" and page.truth["language"] == "en"
    ]


@cache
def clinical(split: Split) -> list[Page]:
    """Return the readable pages of the kinds that go on to be coded."""
    return [page for page in readable(split) if page.truth["kind"] in CLINICAL]


def _pages(split: Split) -> Iterator[Page]:
    for chart, truth in whole_charts(split):
        for page, known in zip(chart["pages"], truth["pages"], strict=True):
            text = page["text"]
            is_turned = known["layout"] == "upside_down"
            yield Page(text, charts.turned(text) if is_turned else text, known)
