"""Spoils pages and lines the way upstream systems do, to see what a pipeline makes of them."""

import json
from collections.abc import Callable
from random import Random

TOO_LONG = 40_000
MANY_WORDS = 600


def _no_text(page: dict) -> None:
    del page["text"]


def _not_text(page: dict) -> None:
    page["text"] = page["text"].split("\n")


def _too_long(page: dict) -> None:
    text = page["text"]
    page["text"] = "\n".join([text] * (TOO_LONG // len(text) + 2))


def _unbroken(page: dict) -> None:
    words = page["text"].split()
    page["text"] = " ".join(words * (MANY_WORDS // len(words) + 1))


POISONS: dict[str, Callable[[dict], None]] = {
    "no_text": _no_text,
    "not_text": _not_text,
    "too_long": _too_long,
    "unbroken": _unbroken,
}


def spoil(rng: Random, document: dict, truth: dict, kind: str) -> bool:
    """Spoil one page of the chart, in place; `kind` is one of `POISONS`.

    The page's truth gets `poison` and otherwise keeps telling of the page before it was
    spoiled. `unbroken` takes an upright progress note, the others any page that is not blank.

    Returns:
        Whether the chart had a page fit for it; if not, nothing was changed.
    """
    fit = [
        at
        for at, page in enumerate(truth["pages"])
        if page["layout"] != "blank"
        and (kind != "unbroken" or (page["kind"], page["layout"]) == ("progress_note", "upright"))
    ]
    if not fit:
        return False
    at = rng.choice(fit)
    POISONS[kind](document["pages"][at])
    truth["pages"][at]["poison"] = kind
    return True


def broken(number: int, document: dict) -> str:
    """A line that is no chart: cut-off JSON for even numbers, `pages` without a list for odd."""
    if number % 2 == 0:
        line = json.dumps(document, ensure_ascii=False)
        return line[: len(line) * 2 // 3]
    return json.dumps({**document, "pages": "see attachment"}, ensure_ascii=False)
