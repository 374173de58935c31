"""The records of random pipelines, and what their models, functions and conditions say."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from headrace.core.steps import ModelStep
from headrace.errors import DocumentError, InvalidInputError
from tests.simulation import marks

# Records


def document(rng: random.Random) -> dict[str, Any]:
    """Return a random document; few have faults, and lists are short and often empty."""
    made: dict[str, Any] = {
        "text": _text(rng),
        "note": _text(rng),
        "n": rng.randint(0, 9),
        "meta": {"lang": rng.choice(["en", "es"]), "size": rng.randint(0, 9)},
        "items": [_item(rng) for _ in range(rng.choice([0, 1, 2, 2, 3]))],
    }
    if rng.random() < 0.06:
        del made[rng.choice(list(made))]
    if rng.random() < 0.03:
        made["items"] = "no list"
    return made


def value(rng: random.Random) -> bytes | None:
    """Return a random value: a document as JSON, or rarely nothing or no JSON."""
    kind = rng.random()
    if kind < 0.05:
        return None
    return b"not json" if kind < 0.08 else json.dumps(document(rng)).encode()


def _item(rng: random.Random) -> dict[str, Any]:
    subs = [{"word": _text(rng)} for _ in range(rng.choice([0, 1, 2]))]
    return {"word": _text(rng), "weight": rng.randint(0, 9), "subs": subs}


def _text(rng: random.Random) -> str:
    return rng.choice(["!", "?", "", "", "", "", "", "", "", ""]) + "".join(
        rng.choice("abcdef") for _ in range(rng.randint(1, 6))
    )


# Models and conditions


def is_poison(model: str, row: Sequence[Any]) -> bool:
    """Whether a model rejects a row."""
    first = str(row[0])
    return first.startswith({"upper": "!", "length": "\0", "pair": "?"}[model])


def answer(model: str, row: Sequence[Any]) -> Sequence[Any]:
    """Return what a model says to a row, one value per output."""
    texts = [e if isinstance(e, str) else json.dumps(e, sort_keys=True) for e in row]
    match model:
        case "upper":
            return [texts[0].upper()]
        case "length":
            return [len(texts[0])]
    return ["".join(texts), "".join(reversed(texts[0]))]


def answered(step: ModelStep, row: Sequence[Any]) -> Sequence[Any]:
    """Stand for every model, as the interpreter asks it.

    Raises:
        InvalidInputError: The model rejects the row.
    """
    if is_poison(step.model.name, row):
        raise InvalidInputError(f"rejected {row[0]!r}")
    return answer(step.model.name, row)


_CONDITION = re.compile(r"(?:size\((?P<sized>[\w.]+)\)|(?P<path>[\w.]+)) (?P<rest>[%>].*)")


def condition(text: str) -> Callable[[Any], bool]:
    """Compile a condition as `pipeline` writes them, without CEL."""
    found = _CONDITION.fullmatch(text)
    assert found, text
    path, rest = found["sized"] or found["path"], found["rest"]

    def holds(document: Any) -> bool:
        value = document
        for name in path.split("."):
            if not isinstance(value, dict) or name not in value:
                raise DocumentError(f"no {path}")
            value = value[name]
        if isinstance(value, str) is not bool(found["sized"]):
            raise DocumentError(f"{path} is {value!r}")
        number = len(value) if found["sized"] else value
        match rest.split():
            case ["%", modulus, "==", wanted]:
                return bool(number % int(modulus) == int(wanted))
            case [">", bound]:
                return bool(number > int(bound))
        raise AssertionError(text)

    return holds


FUNCTIONS = {f"marks:{name}": function for name, function in marks.FUNCTIONS.items()}
