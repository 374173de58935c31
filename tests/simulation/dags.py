"""Random pipelines, the records for them, and what their models, functions and gates say."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.core.topology import Topology
from headrace.spec.compile import compile_pipeline
from headrace.spec.lint import Report
from headrace.spec.loader import check_data
from tests.simulation import marks

FOLDER = Path(__file__).parent
ANY = "*"
MODELS = ("upper", "length", "pair")


@dataclass(frozen=True)
class Stream:
    """What can be read of a pipeline under construction.

    Attributes:
        ref: How `from` names it.
        source: The source that its records come from.
        splits: The splits around it, outermost first.
        texts: Paths that hold texts, mostly.
        numbers: Paths that hold numbers, mostly.
        lists: Paths that hold lists, and their kind.
        objects: Paths that hold anything else.
        passed: The steps whose writing its documents show.
    """

    ref: str
    source: str
    splits: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    lists: tuple[tuple[str, str], ...] = ()
    objects: tuple[str, ...] = ()
    passed: frozenset[str] = frozenset()

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths."""
        return (*self.texts, *self.numbers, *dict(self.lists), *self.objects)


ELEMENTS: Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[tuple[str, str]]]] = {
    "items": (("word",), ("weight",), (("subs", "subs"),)),
    "subs": (("word",), (), ()),
    "gathered": ((), (), ()),
}
"""Kind of list to what an element holds: texts, numbers, lists."""


@dataclass
class Draft:
    """A pipeline under construction."""

    rng: random.Random
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    writes: dict[str, set[str]] = field(default_factory=dict)
    kept: dict[str, Stream] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def fresh(self) -> str:
        """Return a field's name that is not used yet, at times inside an object."""
        self.count += 1
        return self.rng.choice(["f{}", "f{}", "out.f{}"]).format(self.count)

    def some(self, paths: Iterable[str], most: int, least: int = 0) -> list[str]:
        """Return a few of the paths, none twice."""
        there = sorted(set(paths))
        count = min(len(there), self.rng.randint(least, most))
        return self.rng.sample(there, count)


def pipeline(rng: random.Random, most_steps: int = 8) -> dict[str, Any]:
    """Return a random pipeline as the data of a pipeline file."""
    draft = Draft(rng)
    sources = [f"in{number}" for number in range(rng.choice([1, 1, 1, 2]))]
    for name in sources:
        draft.streams.append(
            Stream(
                name, name, (), ("text", "note", "meta.lang"), ("n", "meta.size"), (("items",) * 2,)
            )
        )
    for number in range(rng.randint(rng.choice([1, most_steps // 2]), most_steps)):
        _add_step(draft, f"s{number}")
    _read_all(draft, sources)
    _fuse(draft)
    read = [name for name in sources if _is_read(draft, name)]
    ordering = rng.choice(["key", "partition", "none"])
    return _file(rng, draft.steps, read, _models(draft), _sinks(draft), ordering)


def impatient(rng: random.Random) -> dict[str, Any]:
    """Return a pipeline that ends in a join or gather which does not wait for ever."""
    model = {"model": "upper", "inputs": {"a": "text"}}
    waiting = {"timeout": rng.choice(["500ms", "2s"]), "late_after": "60s"}
    last: dict[str, Any] = {"from": ["left", "right"], **model, "outputs": {"both": "x"}}
    steps: dict[str, Any] = {
        "left": {"from": "in0", **model, "outputs": {"a": "x"}},
        "right": {"from": "in0", **model, "outputs": {"b": "x"}},
        "last": {**last, **waiting},
    }
    if rng.random() < 0.5:
        steps = {
            "parts": {"from": "in0", "split": {"each": "items", "as": "item", "keep": ["n"]}},
            "left": {
                "from": "parts",
                "model": "upper",
                "inputs": {"a": "item.word"},
                "outputs": {"a": "x"},
            },
            "last": {"from": "left", "gather": {"split": "parts", "into": "all", **waiting}},
        }
    ordering = rng.choice(["key", "partition", "none"])
    return _file(rng, steps, ["in0"], ["upper"], {"out0": "last"}, ordering)


def unfused(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same pipeline with every step in a stage of its own."""
    steps = {
        name: {key: part for key, part in step.items() if key != "stage"}
        for name, step in data["steps"].items()
    }
    return {**data, "steps": steps}


def fused(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same pipeline with all steps that come from one source in one stage."""
    roots: dict[str, str] = {}
    steps = {}
    for name, step in data["steps"].items():
        first = _listed(step["from"])[0].split(".")[0]
        roots[name] = roots.get(first, first)
        steps[name] = {**step, "stage": f"all_{roots[name]}"}
    return {**data, "steps": steps}


def compiled(data: Mapping[str, Any]) -> Topology:
    """Compile the data of a pipeline file.

    Raises:
        SpecError: The pipeline is wrong, which one of ours never is.
    """
    return compile_pipeline(check_data(data, Report(), "random.yaml").unwrap(), FOLDER)


def _file(
    rng: random.Random,
    steps: Mapping[str, Any],
    sources: Iterable[str],
    models: Iterable[str],
    sinks: Mapping[str, Any],
    ordering: str,
) -> dict[str, Any]:
    return {
        "pipeline": "p",
        "sources": {name: name for name in sources},
        "models": {name: _served(rng) for name in models},
        "defaults": {
            "ordering": ordering,
            "batch": {"max_size": rng.choice([1, 3, 8]), "max_wait": "5ms"},
            "retry": {"max_attempts": 20, "first_delay": "100ms", "max_delay": "1s"},
        },
        "steps": steps,
        "sinks": sinks,
    }


def _served(rng: random.Random) -> dict[str, Any]:
    shares = {"versions": {"1": 70, "2": 30}} if rng.random() < 0.15 else {}
    return {"url": "grpc://localhost:1", **shares}


# Steps


def _add_step(draft: Draft, name: str) -> None:
    rng = draft.rng
    parents, step = _parents(draft)
    merged = _merged(parents, step.get("join") == "first", name)
    kinds: list[Callable[[Draft, str, Stream, dict[str, Any]], Stream]] = [_function]
    if merged.texts or merged.numbers:
        kinds += [_model, _model]
    if merged.lists and len(merged.splits) < 2:
        kinds += [_split, _split]
    if merged.splits:
        kinds += [_gather] * (5 if len(draft.steps) > 3 else 2)
    if rng.random() < 0.3:
        step["ordering"] = rng.choice(["key", "partition", "none"])
    if rng.random() < 0.1:
        step["tombstones"] = rng.choice(["drop", "dead_letter"])
    make = rng.choice(kinds)
    if rng.random() < 0.15 and make is not _gather and (merged.texts or merged.numbers):
        step["when"] = _condition(draft, merged)
    made = make(draft, name, merged, step)
    draft.steps[name] = step
    draft.roots[name] = made.source
    has_routes = rng.random() < 0.25 and (made.numbers or made.texts)
    if has_routes and _route(draft, name, made, step):
        return
    draft.streams.append(made)


def _route(draft: Draft, name: str, made: Stream, step: dict[str, Any]) -> bool:
    """Give a step routes, and say whether it is read by them alone."""
    rng = draft.rng
    labels = ["a", "b", "c"][: rng.randint(1, 3)]
    conditions = [_condition(draft, made) for _ in labels]
    if rng.random() < 0.6:
        conditions[-1] = "else"
    step["routes"] = dict(zip(labels, conditions, strict=True))
    draft.streams += [replace(made, ref=f"{name}.{label}") for label in labels]
    return rng.random() < 0.6


def _parents(draft: Draft) -> tuple[list[Stream], dict[str, Any]]:
    """Return what a step reads, and how it says so."""
    rng = draft.rng
    first = rng.choice(draft.streams[-4:] if rng.random() < 0.75 else draft.streams)
    others = [
        each
        for each in draft.streams
        if (each.source, each.splits) == (first.source, first.splits) and each.ref != first.ref
    ]
    if not others or rng.random() < (0.7 if first.ref == first.source else 0.3):
        return [first], {"from": first.ref}
    parents = [first, *rng.sample(others, min(len(others), rng.randint(1, 2)))]
    rng.shuffle(parents)
    step: dict[str, Any] = {}
    if rng.random() < 0.4:
        step["join"] = "first"
    else:
        clean = _without_conflicts(draft, parents)
        preferable = [each for each in parents if _settles(draft, each, parents)]
        if len(clean) < len(parents) and preferable and rng.random() < 0.5:
            step["prefer"] = rng.choice(preferable).ref
        else:
            parents = clean
        if len(parents) == 1:
            return parents, {"from": parents[0].ref}
        closed = [each.ref for each in parents if not _is_open(draft, each, parents)]
        optional = draft.some(closed, len(parents) - 1)
        if optional and "prefer" not in step and rng.random() < 0.6:
            step["optional"] = optional
            step["on_missing"] = rng.choice(["dead_letter", "drop", "proceed"])
    return parents, {"from": [each.ref for each in parents], **step}


def _without_conflicts(draft: Draft, parents: Sequence[Stream]) -> list[Stream]:
    """Leave out parents that may write what one before them writes."""
    kept: list[Stream] = []
    for one in parents:
        if all(not _conflict(draft, one, other) for other in kept):
            kept.append(one)
    return kept


def _settles(draft: Draft, one: Stream, parents: Sequence[Stream]) -> bool:
    """Whether nothing is in conflict any more if this parent is preferred."""
    others = [each for each in parents if each is not one]
    return not _is_open(draft, one, parents) and _without_conflicts(draft, others) == others


def _is_open(draft: Draft, one: Stream, parents: Sequence[Stream]) -> bool:
    """Whether a parent may have written anything since it parted from the others."""
    own = {step for other in parents for step in one.passed - other.passed}
    return any(ANY in draft.writes[step] for step in own)


def _conflict(draft: Draft, one: Stream, other: Stream) -> bool:
    ours, theirs = (
        {path for step in mine - yours for path in draft.writes[step]}
        for mine, yours in ((one.passed, other.passed), (other.passed, one.passed))
    )
    if ANY in ours or ANY in theirs:
        return bool(ours and theirs)
    return any(
        f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}.") for a in ours for b in theirs
    )


def _merged(parents: Sequence[Stream], is_first: bool, name: str) -> Stream:
    """Return what enters a step: what every parent has, or all that any has."""

    def together(each: Callable[[Stream], tuple[Any, ...]]) -> tuple[Any, ...]:
        sets = [set(each(parent)) for parent in parents]
        common = set.intersection(*sets) if is_first else set.union(*sets)
        return tuple(sorted(common))

    return replace(
        parents[0],
        ref=name,
        texts=together(lambda each: each.texts),
        numbers=together(lambda each: each.numbers),
        lists=together(lambda each: each.lists),
        objects=together(lambda each: each.objects),
        passed=frozenset({name}).union(*(each.passed for each in parents)),
    )


def _model(draft: Draft, name: str, at: Stream, step: dict[str, Any]) -> Stream:
    rng = draft.rng
    model = rng.choice(MODELS)
    texts = list(at.texts or at.numbers)
    step["model"] = model
    step["inputs"] = {"a": rng.choice(texts)}
    if model == "pair":
        step["inputs"]["b"] = rng.choice(texts)
    if rng.random() < 0.2:
        step["inputs"]["a"] = {"path": step["inputs"]["a"], "default": "nothing"}
    made = [draft.fresh() for _ in range(2 if model == "pair" else 1)]
    # What a split kept is given back by its gather as it was: nobody may write it in between.
    kept = {path for split in at.splits for path in draft.kept[split].paths}
    old = [path for path in at.texts if path not in kept]
    if old and model == "upper" and rng.random() < 0.25:
        made = [rng.choice(old)]
    step["outputs"] = dict(zip(made, ("x", "y"), strict=False))
    draft.writes[name] = set(made)
    if model == "length":
        return replace(at, numbers=(*at.numbers, *made))
    return replace(at, texts=tuple(dict.fromkeys((*at.texts, *made))))


def _function(draft: Draft, name: str, at: Stream, step: dict[str, Any]) -> Stream:
    rng = draft.rng
    used = {each.get("function") for each in draft.steps.values()}
    free = [each for each in marks.FUNCTIONS if f"marks:{each}" not in used]
    mark = rng.choice(free)
    step["function"] = f"marks:{mark}"
    if rng.random() < 0.7:
        step["reads"] = _apart(draft.some(at.paths, 3, 1))
        step["writes"] = [mark]
    elif rng.random() < 0.5:
        step["writes"] = [mark]
    draft.writes[name] = {mark} if "writes" in step else {ANY}
    return replace(at, numbers=(*at.numbers, mark))


def _split(draft: Draft, name: str, at: Stream, step: dict[str, Any]) -> Stream:
    rng = draft.rng
    path, kind = rng.choice(at.lists)
    as_ = draft.fresh()
    outer = draft.kept[at.splits[-1]].paths if at.splits else ()
    keep = list(dict.fromkeys((*outer, *draft.some((*at.texts, *at.numbers), 2))))
    step["split"] = {"each": path, "as": as_, "keep": keep}
    if rng.random() < 0.4:
        step["split"]["spread"] = True
    draft.writes[name] = {as_}
    draft.kept[name] = replace(
        at,
        texts=tuple(each for each in at.texts if each in keep),
        numbers=tuple(each for each in at.numbers if each in keep),
        lists=(),
        objects=(),
    )
    texts, numbers, lists = ELEMENTS[kind]
    return replace(
        at,
        splits=(*at.splits, name),
        texts=(*draft.kept[name].texts, *(f"{as_}.{each}" for each in texts)),
        numbers=(*draft.kept[name].numbers, *(f"{as_}.{each}" for each in numbers)),
        lists=tuple((f"{as_}.{each}", what) for each, what in lists),
        objects=() if texts else (as_,),
    )


def _gather(draft: Draft, name: str, at: Stream, step: dict[str, Any]) -> Stream:
    rng = draft.rng
    into = draft.fresh()
    gather: dict[str, Any] = {"split": at.splits[-1], "into": into}
    if rng.random() < 0.6:
        gather["fields"] = _apart(draft.some(at.paths, 3, 1))
    gather["on_failed"] = rng.choice(["dead_letter", "hole"])
    step["gather"] = gather
    draft.writes[name] = {into}
    kept = draft.kept[at.splits[-1]]
    return replace(
        kept, ref=name, lists=((into, "gathered"),), passed=kept.passed - {at.splits[-1]} | {name}
    )


def _condition(draft: Draft, at: Stream) -> str:
    rng = draft.rng
    if at.numbers and (not at.texts or rng.random() < 0.6):
        path = rng.choice(at.numbers)
        return rng.choice([f"{path} % 2 == {rng.randint(0, 1)}", f"{path} > {rng.randint(0, 5)}"])
    path = rng.choice(at.texts)
    return f"size({path}) > {rng.randint(0, 8)}"


# What is around the steps


def _is_read(draft: Draft, ref: str) -> bool:
    return any(ref in _listed(step["from"]) for step in draft.steps.values())


def _listed(parents: str | Sequence[str]) -> Sequence[str]:
    return [parents] if isinstance(parents, str) else parents


def _read_all(draft: Draft, sources: Sequence[str]) -> None:
    draft.streams = [each for each in draft.streams if each.ref not in sources]


def _models(draft: Draft) -> list[str]:
    return sorted({step["model"] for step in draft.steps.values() if "model" in step})


def _sinks(draft: Draft) -> dict[str, Any]:
    """Write what nobody reads, and a bit of the rest, to one to three sinks."""
    rng = draft.rng
    written = [e for e in draft.streams if not _is_read(draft, e.ref) or rng.random() < 0.2]
    groups: dict[str, list[Stream]] = {}
    for each in written:
        groups.setdefault(rng.choice(["out0", "out1", "out2"]), []).append(each)
    sinks: dict[str, Any] = {}
    for topic, streams in groups.items():
        refs = [each.ref for each in streams]
        # A whole stream and one of its routes in one union would be written twice.
        refs = [ref for ref in refs if ref.split(".")[0] == ref or ref.split(".")[0] not in refs]
        sinks[topic] = {"from": refs if len(refs) > 1 else refs[0]}
        if rng.random() < 0.5:
            # Every step that writes to the sink must have them.
            common = set.intersection(*(set(each.paths) for each in streams))
            if common:
                sinks[topic]["fields"] = _apart(draft.some(common, 4, 1))
        keys = set.intersection(*(set(each.texts) for each in streams))
        if keys and rng.random() < 0.1:
            sinks[topic]["key"] = rng.choice(sorted(keys))
    return sinks


def _apart(paths: Iterable[str]) -> list[str]:
    """Leave out paths inside another."""
    found = list(paths)
    return [each for each in found if not any(each.startswith(f"{one}.") for one in found)]


def _fuse(draft: Draft) -> None:
    """Put some steps into stages together, so that stages still form no ring."""
    rng = draft.rng
    willing = rng.choice([0.0, 0.4, 0.9])
    stage_of = {name: name for name in draft.steps}
    for name, step in draft.steps.items():
        parents = [each.split(".")[0] for each in _listed(step["from"])]
        candidates = [each for each in parents if each in stage_of]
        if not candidates or rng.random() >= willing:
            continue
        tried = {**stage_of, name: stage_of[rng.choice(candidates)]}
        if not _has_ring(draft, tried):
            stage_of = tried
    for name, stage in stage_of.items():
        if list(stage_of.values()).count(stage) > 1:
            draft.steps[name]["stage"] = f"g_{stage}"


def _has_ring(draft: Draft, stage_of: Mapping[str, str]) -> bool:
    after: dict[str, set[str]] = {stage: set() for stage in stage_of.values()}
    for name, step in draft.steps.items():
        for parent in _listed(step["from"]):
            stage = stage_of.get(parent.split(".")[0], "")
            if stage and stage != stage_of[name]:
                after[stage].add(stage_of[name])
    while after:
        last = {stage for stage, readers in after.items() if not readers & after.keys()}
        if not last:
            return True
        after = {stage: readers for stage, readers in after.items() if stage not in last}
    return False
