"""Rules that look at more than one place of a pipeline: names, rings, topics."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.spec.lint import Path, Report, did_you_mean, listing
from headrace.spec.references import Reference, reference
from headrace.spec.spelling import is_almost


@dataclass(frozen=True, slots=True)
class Names:
    """Who names whom in a pipeline; of a part that is malformed, what can be read.

    Attributes:
        parents: Step to what it reads.
        routes: Step to the labels of its routes.
        splits: Step that gathers to the split it names.
        is_split: Steps that split.
        stages: Step to its stage, for those that name one.
        models: Step to the model it calls.
        servers: Model to the server it names, empty for one with a URL.
        declared: Names of the declared servers.
        sources: Source to topic; None where there is no block.
        sinks: Sink's topic to the steps it reads.
    """

    parents: Mapping[str, tuple[str, ...]]
    routes: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, str]
    is_split: frozenset[str]
    stages: Mapping[str, str]
    models: Mapping[str, str]
    servers: Mapping[str, str]
    declared: frozenset[str]
    sources: Mapping[str, str] | None
    sinks: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, data: Any) -> "Names":
        """Read the names of a pipeline that need not be valid."""
        data = data if isinstance(data, Mapping) else {}
        steps = _block(data, "steps")
        sources = {name: _text(part, "topic") for name, part in _block(data, "sources").items()}
        return cls(
            parents={name: _texts(_field(part, "from")) for name, part in steps.items()},
            routes={name: tuple(_block(part, "routes")) for name, part in steps.items()},
            splits={
                name: _text(_field(_field(part, "gather"), "split")) for name, part in steps.items()
            },
            is_split=frozenset(name for name, part in steps.items() if _field(part, "split")),
            stages={name: _text(_field(part, "stage")) for name, part in steps.items()},
            models={name: _text(_field(part, "model")) for name, part in steps.items()},
            servers={name: _text(part, "server") for name, part in _block(data, "models").items()},
            declared=frozenset(_block(data, "servers")),
            sources=sources if "sources" in data else None,
            sinks={topic: _texts(part, "from") for topic, part in _block(data, "sinks").items()},
        )

    def refer(self, name: str) -> Reference:
        """Return what a `from` names."""
        return reference(name, self.parents, self.sources or ())

    def steps_read(self) -> Mapping[str, tuple[str, ...]]:
        """Return per step the steps that it reads, whatever their routes."""
        return {
            step: tuple(filter(None, (self.refer(each).step for each in parents)))
            for step, parents in self.parents.items()
        }


def check_names(names: Names, report: Report) -> None:
    """Report every name that leads nowhere, and everything that leads in a ring."""
    _check_parents(names, report)
    _check_rings(names, report)
    _check_models(names, report)
    _check_gathers(names, report)
    _check_stages(names, report)
    _check_sinks(names, report)


def _check_parents(names: Names, report: Report) -> None:
    for step in names.parents:
        if names.sources is not None and step in names.sources:
            report.add(
                "E036", ("steps", step), f"'{step}' is both a source and a step", "rename one"
            )
    for step, parents in names.parents.items():
        for parent in parents:
            path = ("steps", step, "from")
            found = names.refer(parent)
            if found.label:
                _check_label(f"step '{step}'", found, names, path, report)
            elif not found.step and parent not in (names.sources or {}):
                _check_topic(step, parent, names, report)


def _check_label(who: str, found: Reference, names: Names, path: Path, report: Report) -> None:
    labels = names.routes[found.step]
    if found.label not in labels:
        text = f"{who} reads '{found.label}' of '{found.step}', which has no such route"
        nothing = f"'{found.step}' has no routes; for a topic of that name, declare it in `sources`"
        hint = did_you_mean(found.label, labels, listing(labels, nothing))
        report.add("E037", path, text, hint)


def _check_topic(step: str, parent: str, names: Names, report: Report) -> None:
    path: Path = ("steps", step, "from")
    if names.sources is not None:
        known = [*names.sources, *_ways(names)]
        hint = did_you_mean(parent, known, listing(known, f"add {parent} to sources"))
        report.add("E034", path, f"step '{step}' reads '{parent}', which no source declares", hint)
        return
    near = [name for name in _ways(names) if is_almost(parent, name)]
    if near:
        text = f"step '{step}' reads '{parent}', which is almost the step '{near[0]}'"
        hint = f"did you mean '{near[0]}'? For a topic, write sources: {{{parent}: {parent}}}"
        report.add("E035", path, text, hint)


def _ways(names: Names) -> Iterator[str]:
    """Yield everything that a step or a sink may read but sources."""
    for step, labels in names.routes.items():
        yield step
        yield from (f"{step}.{label}" for label in labels)


def _check_rings(names: Names, report: Report) -> None:
    for ring in rings(names.steps_read()):
        text = (
            f"step '{ring[0]}' reads itself"
            if len(ring) == 1
            else f"steps read each other in a ring: {' <- '.join((*ring, ring[0]))}"
        )
        hint = "for a topic of that name, declare it under `sources` and rename the step"
        report.add("E030", ("steps", ring[0], "from"), text, hint if len(ring) == 1 else "")


def _check_models(names: Names, report: Report) -> None:
    for step, model in names.models.items():
        if model and model not in names.servers:
            hint = did_you_mean(
                model, names.servers, listing(names.servers, "declare it under models")
            )
            report.add(
                "E031",
                ("steps", step, "model"),
                f"step '{step}' calls unknown model '{model}'",
                hint,
            )
    for model, server in names.servers.items():
        if server and server not in names.declared:
            hint = did_you_mean(
                server, names.declared, listing(names.declared, "declare it under servers")
            )
            text = f"model '{model}' is on unknown server '{server}'"
            report.add("E032", ("models", model, "server"), text, hint)


def _check_gathers(names: Names, report: Report) -> None:
    for step, split in names.splits.items():
        path = ("steps", step, "gather", "split")
        if not split or split in names.is_split:
            continue
        hint = did_you_mean(split, names.is_split, listing(names.is_split, "add a split step"))
        kind = "no split" if split in names.parents else "no step"
        report.add("E056", path, f"step '{step}' gathers '{split}', which is {kind}", hint)


def _check_stages(names: Names, report: Report) -> None:
    for step, stage in names.stages.items():
        if stage in names.parents and names.stages[stage] != stage:
            text = f"step '{step}' is in stage '{stage}', but step '{stage}' is in one of its own"
            report.add(
                "E061", ("steps", step, "stage"), text, "their consumer groups need two names"
            )


def _check_sinks(names: Names, report: Report) -> None:
    read = set(topics_read(names))
    for topic, parents in names.sinks.items():
        if topic in read:
            text = f"sink '{topic}' writes to a topic that the pipeline reads: it would never end"
            report.add("E042", ("sinks", topic), text, "write to another topic")
        path = ("sinks", topic, "from")
        for parent in dict.fromkeys(parents):
            found = names.refer(parent)
            if found.label:
                _check_label(f"sink '{topic}'", found, names, path, report)
            elif not found.step:
                known = list(_ways(names))
                hint = did_you_mean(parent, known, listing(known, "declare the step"))
                text = f"sink '{topic}' takes from unknown step '{parent}'"
                report.add("E033", path, text, hint)
            if parents.count(parent) > 1:
                text = f"sink '{topic}' takes from '{parent}' twice"
                report.add("E038", path, text, "once is enough")


def check_unused(names: Names, report: Report) -> None:
    """Report what is declared in vain; worth saying only where every name leads somewhere."""
    parents = {parent for group in names.parents.values() for parent in group}
    read = {names.refer(name) for group in names.sinks.values() for name in group}
    read |= {names.refer(name) for name in parents}
    used = {
        "sources": parents,
        "models": set(names.models.values()),
        "servers": set(names.servers.values()),
        "steps": {each.step for each in read},
    }
    declared = {
        "sources": names.sources or (),
        "models": names.servers,
        "servers": names.declared,
        "steps": names.parents,
    }
    for block, members in declared.items():
        for name in sorted(set(members) - used[block]):
            report.add("W050", (block, name), f"'{name}' of {block} is never used")
    for step, labels in names.routes.items():
        for label in labels:
            if not read & {Reference(step), Reference(step, label)}:
                text = f"route '{label}' of step '{step}' is never used: its records end there"
                report.add("W050", ("steps", step, "routes", label), text)


def topics_read(names: Names) -> Iterator[str]:
    """Return the topics that the steps read."""
    sources = names.sources or {}
    for parents in names.parents.values():
        yield from (sources.get(name, name) for name in parents if not names.refer(name).step)


def rings(parents: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return every ring of steps once, each from its first step in the file's order."""
    found: dict[frozenset[str], tuple[str, ...]] = {}
    finished: set[str] = set()
    for start in parents:
        _follow(start, parents, finished, found)
    return list(found.values())


def _follow(
    start: str,
    parents: Mapping[str, Iterable[str]],
    finished: set[str],
    found: dict[frozenset[str], tuple[str, ...]],
) -> None:
    # An explicit stack: a file may hold more steps in a row than Python may recurse.
    trail = {start: iter(parents[start])} if start not in finished else {}
    while trail:
        step, left = next(reversed(trail.items()))
        parent = next(left, None)
        if parent is None:
            trail.pop(step)
            finished.add(step)
        elif parent in trail:
            ring = list(trail)[list(trail).index(parent) :]
            found.setdefault(frozenset(ring), tuple(ring))
        elif parent in parents and parent not in finished:
            trail[parent] = iter(parents[parent])


def _block(data: Any, key: str) -> Mapping[str, Any]:
    value = _field(data, key)
    return value if isinstance(value, Mapping) else {}


def _field(part: Any, key: str) -> Any:
    return part.get(key) if isinstance(part, Mapping) else None


def _text(part: Any, key: str = "") -> str:
    value = _field(part, key) if isinstance(part, Mapping) else part
    return value if isinstance(value, str) else ""


def _texts(part: Any, key: str = "") -> tuple[str, ...]:
    value = _field(part, key) if isinstance(part, Mapping) else part
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
