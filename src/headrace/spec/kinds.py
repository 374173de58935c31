"""Rules about one step: its kind, what belongs to it, its join and its routes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.steps import ELSE
from headrace.spec.lint import Report, did_you_mean, listing

KINDS: Final = ("model", "function", "split", "gather")
_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "inputs": ("model",),
    "outputs": ("model",),
    "reads": ("function",),
    "writes": ("function",),
    "batch": ("model", "function"),
    "retry": ("model", "function"),
    "when": ("model", "function", "split"),
}
"""Fields that only some kinds have."""
_INSTEAD: Final = {
    ("inputs", "function"): "a function says what it `reads`",
    ("outputs", "function"): "a function says what it `writes`",
    ("when", "gather"): "put the gate on a step before or after it",
}
_OF_A_JOIN: Final = ("join", "optional", "on_missing", "prefer", "timeout", "late_after")
_OF_A_GATHER: Final = frozenset({"on_missing", "timeout", "late_after"})


def check_kinds(data: Any, report: Report) -> None:
    """Report steps that do no one thing, or say what does not belong to what they do."""
    steps = data.get("steps") if isinstance(data, Mapping) else None
    for name, step in steps.items() if isinstance(steps, Mapping) else ():
        if isinstance(step, Mapping):
            said = {field: value for field, value in step.items() if value not in (None, [])}
            _check_kind(name, said, report)
            _check_join(name, said, report)
            _check_routes(name, said, report)


def _check_kind(name: str, step: Mapping[str, Any], report: Report) -> None:
    path = ("steps", name)
    kinds = [kind for kind in KINDS if kind in step]
    if not kinds:
        hint = "or 'function', 'split' or 'gather'"
        report.add("E010", (*path, "model"), f"step '{name}' needs 'model'", hint)
        return
    if len(kinds) > 1:
        text = f"step '{name}' has {' and '.join(map(repr, kinds))}: a step does one thing"
        report.add("E050", path, text, "make a step of each")
        return
    if kinds == ["model"]:
        for field in ("inputs", "outputs"):
            if field not in step:
                report.add("E010", (*path, field), f"step '{name}' needs '{field}'")
    for field, owners in _OF.items():
        if step.get(field) and kinds[0] not in owners:
            text = f"'{field}' of step '{name}' does not belong to a {kinds[0]}"
            hint = _INSTEAD.get((field, kinds[0]), f"it is for a {' or a '.join(owners)}")
            report.add("E051", (*path, field), text, hint)


def _check_join(name: str, step: Mapping[str, Any], report: Report) -> None:
    path = ("steps", name)
    parents = _texts(step.get("from"))
    for parent in dict.fromkeys(each for each in parents if parents.count(each) > 1):
        report.add(
            "E038", (*path, "from"), f"step '{name}' reads '{parent}' twice", "once is enough"
        )
    if len(parents) < 2:
        _check_no_join(name, step, report)
        return
    optional, prefer = _texts(step.get("optional")), _texts(step.get("prefer"))
    for field, named in (("optional", optional), ("prefer", prefer)):
        if named and step.get("join") == "first":
            text = f"step '{name}': '{field}' has no meaning with 'join: first'"
            hint = "it takes the first parent in listed order that has a result"
            report.add("E052", (*path, field), text, hint)
        for parent in named:
            if parent not in parents:
                text = f"'{field}' of step '{name}' names '{parent}', which it does not read"
                report.add(
                    "E053",
                    (*path, field),
                    text,
                    did_you_mean(parent, parents, listing(parents, "")),
                )
    if set(parents) <= set(optional):
        text = f"step '{name}': all parents are optional, so nothing would have to come"
        report.add("E052", (*path, "optional"), text, "leave one of them out")


def _check_no_join(name: str, step: Mapping[str, Any], report: Report) -> None:
    for field in _OF_A_JOIN:
        if field in step:
            is_gathers = "gather" in step and field in _OF_A_GATHER
            hint = "move it under `gather`" if is_gathers else "a join reads several steps"
            text = f"'{field}' of step '{name}' is for a join, and the step reads one parent"
            report.add("E052", ("steps", name, field), text, hint)


def _check_routes(name: str, step: Mapping[str, Any], report: Report) -> None:
    routes = step.get("routes")
    if not isinstance(routes, Mapping):
        return
    labels = list(routes)
    for label in labels[:-1]:
        if routes[label] == ELSE:
            text = f"step '{name}': '{label}' takes everything else, so it must be the last route"
            report.add(
                "E058", ("steps", name, "routes", label), text, f"move it behind '{labels[-1]}'"
            )


def _texts(part: Any) -> list[str]:
    parts: Sequence[Any] = part if isinstance(part, list) else [part]
    return [each for each in parts if isinstance(each, str)]
