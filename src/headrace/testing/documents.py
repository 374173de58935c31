"""Documents as the interpreter handles them: copied all the time, nothing shared."""

import json
from copy import deepcopy
from typing import Any

from headrace.core.fields import projection
from headrace.core.paths import getter, setter
from headrace.core.steps import Fields
from headrace.errors import DocumentError


def projected(document: Any, fields: Fields) -> Any:
    """Return a copy of a document with nothing but some paths; None stands for all of it."""
    return deepcopy(projection(fields)(document))


def canonical(document: Any) -> str:
    """Return a document as JSON that is equal for equal documents.

    The message of a hole is left out: it may say how often the model was asked.
    """
    return json.dumps(_without_messages(document), sort_keys=True)


def _without_messages(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_messages(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"failed"} and isinstance(value["failed"], dict):
        value = {"failed": {**value["failed"], "message": ""}}
    return {name: _without_messages(each) for name, each in value.items()}


def copy_path(path: str, source: Any, target: Any) -> None:
    """Copy what stands at a path, if anything does."""
    try:
        value = getter(path)(source)
    except DocumentError:
        return
    setter(path)(target, deepcopy(value))
