"""Conditions of clinical pages, as the models behind `entities` see them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from contexts import context
from corpus import Split, clinical

WRONG_SECTIONS = 0.1
"""Share of training mentions whose section is another one: `sections` errs, too."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A condition, its context, and what is true of it."""

    text: str
    context: str
    truth: dict[str, Any]


@cache
def conditions(split: Split) -> list[Mention]:
    """Return every condition that clinical pages of a side mention."""
    return list(_conditions(split))


def _conditions(split: Split) -> Iterator[Mention]:
    rng = random.Random(0)
    labels = ["history", "family", "exam", "assessment", "plan", "other"]
    for page in clinical(split):
        for truth in page.truth["mentions"]:
            if truth["kind"] != "condition":
                continue
            section = page.truth["sections"][truth["line"]]
            if split == "train" and rng.random() < WRONG_SECTIONS:
                section = rng.choice(labels)
            around = context(page.lines, section, truth["line"], truth["start"], truth["end"])
            yield Mention(truth["text"], around, truth)
