"""Turns what pydantic refuses into lints: closest names, parts not built, no secrets."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.spec.connections import Spec
from headrace.spec.lint import Path, Report, did_you_mean, dotted, listing
from headrace.spec.models import PipelineSpec
from headrace.spec.rules import Names

_SINGULAR = {
    "sources": "source",
    "servers": "server",
    "models": "model",
    "steps": "step",
    "sinks": "sink",
    "cases": "case",
}
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_SECRET_PLACES = frozenset(
    {"token", "client_secret", "headers", "password", "key_password", "properties"}
)
_SAYS_IT_ALL = frozenset({"E020", "E040", "E041", "E074"})


def report_refusals(
    error: ValidationError, data: Any, report: Report, root: type[Spec] = PipelineSpec
) -> None:
    """Add every refusal of `data`, which was to be a `root`, to the report."""
    for detail in error.errors(include_url=False):
        path = _locate(data, detail["loc"])
        if detail["type"] == "extra_forbidden":
            _unknown_field(path, report, root)
        elif detail["type"] == "missing":
            _missing_field(path, report, root)
        elif detail["type"] == "too_short" and detail["input"]:
            # Its parts were refused one by one already.
            continue
        else:
            _bad_value(detail, path, report, root)


def describe(path: Path, root: type[Spec] = PipelineSpec) -> str:
    """Return a path as words: `step 'translate'`, `'batch' of step 'translate'`, `case 2`."""
    if not path:
        return root.whole
    singular = _SINGULAR.get(str(path[0]))
    if singular is None or len(path) == 1:
        return f"'{dotted(path)}'"
    owner = f"{singular} {path[1] + 1 if isinstance(path[1], int) else repr(path[1])}"
    return f"'{dotted(path[2:])}' of {owner}" if path[2:] else owner


def _locate(data: Any, loc: Sequence[str | int]) -> Path:
    """Keep of pydantic's location what leads somewhere in the data, and a missing last field."""
    if loc[:1] == ("sources",) and "sources" not in data:
        return _step_that_reads(str(loc[1]), data)
    path: list[str | int] = []
    for part in loc:
        if _leads(data, part):
            data = data[part]
        elif part == loc[-1] and part != "[key]" and isinstance(data, Mapping):
            data = None
        else:
            continue
        path.append(part)
    return tuple(path)


def _step_that_reads(topic: str, data: Any) -> Path:
    steps = (step for step, parents in Names.of(data).parents.items() if topic in parents)
    return ("steps", next(steps), "from")


def _leads(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, list) and isinstance(part, int)


def _unknown_field(path: Path, report: Report, root: type[Spec]) -> None:
    owner = spec_at(path[:-1], root)
    field = str(path[-1])
    if field in owner.not_built:
        report.add("E020", path, f"not built yet: '{field}' ({describe(path[:-1], root)})")
        return
    known = [info.alias or name for name, info in owner.model_fields.items()]
    hint = did_you_mean(field, known, listing(known, ""))
    report.add("E011", path, f"unknown field '{field}' in {describe(path[:-1], root)}", hint)


def _missing_field(path: Path, report: Report, root: type[Spec]) -> None:
    report.add("E010", path, f"{describe(path[:-1], root)} needs '{path[-1]}'")


def _bad_value(detail: ErrorDetails, path: Path, report: Report, root: type[Spec]) -> None:
    ctx = detail.get("ctx", {})
    what = describe(path, root)
    if detail["type"] == "headrace":
        place = "" if ctx["code"] in _SAYS_IT_ALL else f"{what}: "
        report.add(ctx["code"], path, place + ctx["message"], ctx["hint"])
        return
    got = "" if _SECRET_PLACES & set(path) else _show(detail["input"])
    if expected := _EXPECTED.get(detail["type"]):
        is_bare = expected == "text" and isinstance(detail["input"], int | float)
        hint = "put it in quotes" if is_bare else ""
        report.add("E012", path, f"{what} expects {expected}{got}", hint)
        return
    report.add("E013", path, f"{what}{got}: {_reason(detail)}")


def _reason(detail: ErrorDetails) -> str:
    ctx = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error":
            return f"must be {ctx['expected']}"
        case "too_short" | "string_too_short":
            return "must not be empty"
    text = detail["msg"].removeprefix("Input should be ")
    return f"must be {text}" if text != detail["msg"] else text


def _show(value: object) -> str:
    if isinstance(value, str):
        return f", not '{value[:40]}'"
    if value is None or isinstance(value, int | float):
        return f", not {json.dumps(value)[:40]}"
    name = type(value).__name__
    return f", not a {'mapping' if name == 'dict' else name}"


def spec_at(path: Path, root: type[Spec] = PipelineSpec) -> type[Spec]:
    """Return the type that describes the mapping at a path below a `root`."""
    spec = root
    parts = iter(part for part in path if not isinstance(part, int))
    for part in parts:
        annotation = next(
            info.annotation
            for name, info in spec.model_fields.items()
            if part == (info.alias or name)
        )
        spec = next(_specs_in(annotation))
        if _is_mapping(annotation):
            next(parts, None)
    return spec


def _is_mapping(annotation: Any) -> bool:
    """Whether a field holds a mapping of specs, in whatever it is wrapped."""
    return get_origin(annotation) is dict or any(
        get_origin(each) is dict or _is_mapping(each)
        for each in get_args(annotation)
        if not isinstance(each, type)
    )


def _specs_in(annotation: Any) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for argument in get_args(annotation):
        yield from _specs_in(argument)
