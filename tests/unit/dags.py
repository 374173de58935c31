"""Topologies made by hand, one for every way in which steps meet."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.core.models import Input, Model, OutputField
from headrace.core.steps import (
    ELSE,
    FunctionStep,
    GatherStep,
    Inlet,
    Join,
    JoinMode,
    Link,
    ModelStep,
    OnFailed,
    Outlet,
    Sink,
    SplitStep,
    Step,
    Waiting,
)
from headrace.core.topology import Source, Stage, Topology

FINGERPRINT = "f" * 12


def model_step(
    name: str, inlets: Sequence[Inlet], reads: Sequence[str], writes: Sequence[str], **more: object
) -> ModelStep:
    """Return a step whose tensors are called as the paths in the document, its model as itself."""
    return ModelStep(
        name=name,
        inlets=tuple(inlets),
        model=Model(name, ("grpc://localhost:1",), name),
        inputs=tuple(Input(path, path, "BYTES", ()) for path in reads),
        outputs=tuple(OutputField(path, path) for path in writes),
        **more,
    )


def stage(pipeline: str, root: str, *steps: Step, name: str = "") -> Stage:
    """Return a stage that reads what its steps' inlets name."""
    topics = dict.fromkeys(
        (inlet.topic, bool(inlet.step)) for step in steps for inlet in step.inlets if inlet.topic
    )
    sources = tuple(Source(topic, is_derived=is_derived) for topic, is_derived in topics)
    return Stage(
        pipeline, "", name or steps[0].name, steps, sources, root=root, fingerprint=FINGERPRINT
    )


def topology(pipeline: str, *stages: Stage, **more: object) -> Topology:
    """Return a pipeline of stages, upstream first."""
    return Topology(pipeline, "", stages, **more)


def renamed(pipeline: Topology, name: str, **more: object) -> Topology:
    """Return a pipeline under another name, its sources and sinks called `NAME.in` or the like."""

    def topic(old: str) -> str:
        if not old or old.startswith(f"{pipeline.pipeline}."):
            return old and name + old.removeprefix(pipeline.pipeline)
        return f"{name}.{old}"

    def step(old: Step) -> Step:
        return replace(
            old,
            inlets=tuple(replace(each, topic=topic(each.topic)) for each in old.inlets),
            outlets=tuple(replace(each, topic=topic(each.topic)) for each in old.outlets),
            sinks=tuple(replace(each, topic=topic(each.topic)) for each in old.sinks),
        )

    stages = tuple(
        stage(name, topic(each.root), *map(step, each.steps), name=each.name)
        for each in pipeline.stages
    )
    return replace(pipeline, pipeline=name, stages=stages, **more)


def chain() -> Topology:
    """`in` through the stages a, b and c to `out`; every step adds one field."""
    a = model_step(
        "a", [Inlet("in", "in")], ["text"], ["one"], outlets=(Outlet("chain.a", fields=None),)
    )
    b = model_step(
        "b",
        [Inlet("a", "chain.a", "a")],
        ["one"],
        ["two"],
        outlets=(Outlet("chain.b", fields=None),),
    )
    c = model_step("c", [Inlet("b", "chain.b", "b")], ["two"], ["three"], sinks=(Sink("out"),))
    return topology("chain", *(stage("chain", "in", each) for each in (a, b, c)))


def diamond() -> Topology:
    """`in` to left and right, which meet in both; left brings the document."""
    left = model_step(
        "left",
        [Inlet("in", "in")],
        ["text"],
        ["l"],
        outlets=(Outlet("diamond.left", fields=("id", "l"), tells=True),),
    )
    right = model_step(
        "right",
        [Inlet("in", "in")],
        ["text"],
        ["r"],
        outlets=(Outlet("diamond.right", fields=("r",), tells=True),),
    )
    both = model_step(
        "both",
        [
            Inlet("left", "diamond.left", "left", fields=("id", "l")),
            Inlet("right", "diamond.right", "right", fields=("r",)),
        ],
        ["l", "r"],
        ["sum"],
        join=Join(order=(1,)),
        sinks=(Sink("out", fields=("id", "sum")),),
    )
    return topology("diamond", *(stage("diamond", "in", each) for each in (left, right, both)))


def pages() -> Topology:
    """`in` split into pages, each scored and gathered again into `out`."""
    split = SplitStep(
        name="pages",
        inlets=(Inlet("in", "in"),),
        each="pages",
        as_="page",
        keep=("id",),
        outlets=(Outlet("pages.pages", fields=("id", "page.text"), tells=True, kept=("id",)),),
    )
    score = model_step(
        "score",
        [Inlet("pages", "pages.pages", "pages", fields=("id", "page.text"))],
        ["page.text"],
        ["score"],
        level=1,
        outlets=(Outlet("pages.score", fields=("id", "score"), tells=True, kept=("id",)),),
    )
    gather = GatherStep(
        name="whole",
        inlets=(Inlet("score", "pages.score", "score", fields=("id", "score")),),
        split="pages",
        into="pages",
        fields=("score",),
        keep=("id",),
        sinks=(Sink("out"),),
    )
    return topology("pages", *(stage("pages", "in", each) for each in (split, score, gather)))


def routes() -> Topology:
    """`in` to kind, which sends notes to `note`; what comes of them, or the rest, goes to `out`."""
    kind = model_step(
        "kind",
        [Inlet("in", "in")],
        ["text"],
        ["kind"],
        routes=(("note", 'kind == "note"'), ("other", ELSE)),
        outlets=(
            Outlet("routes.kind.note", "note", ("id", "text"), tells=True),
            Outlet("routes.kind.other", "other", ("id",), tells=True),
        ),
        sinks=(Sink("others", label="other"),),
    )
    note = model_step(
        "note",
        [Inlet("kind.note", "routes.kind.note", "kind", "note", ("id", "text"))],
        ["text"],
        ["codes"],
        when="text.size() > 0",
        outlets=(Outlet("routes.note", fields=("codes", "id"), tells=True),),
    )
    end = FunctionStep(
        name="end",
        inlets=(
            Inlet("note", "routes.note", "note", fields=("codes", "id")),
            Inlet("kind.other", "routes.kind.other", "kind", "other", ("id",)),
        ),
        join=Join(JoinMode.FIRST),
        function="rules:end",
        reads=("codes",),
        writes=("codes",),
        sinks=(Sink("out"),),
    )
    return topology("routes", *(stage("routes", "in", each) for each in (kind, note, end)))


def fused() -> Topology:
    """`in` to the stage `both` of two steps, then to the stage of a third, then to `out`."""
    first = model_step(
        "first",
        [Inlet("in", "in")],
        ["text"],
        ["one"],
        links=(Link("second", fields=None),),
    )
    second = model_step(
        "second",
        [Inlet("first", "", "first")],
        ["one"],
        ["two"],
        outlets=(Outlet("fused.second", fields=("id", "two")),),
    )
    third = model_step(
        "third",
        [Inlet("second", "fused.second", "second", fields=("id", "two"))],
        ["two"],
        ["three"],
        sinks=(Sink("out"),),
    )
    return topology(
        "fused", stage("fused", "in", first, second, name="both"), stage("fused", "in", third)
    )


def records() -> Topology:
    """The pipeline of medical records that shows everything at once."""
    page = ("chart_id", "page.date", "page.text")
    note, lab = ("chart_id", "kind", "page.date", "page.text"), ("chart_id", "kind", "page.text")
    coded = ("chart_id", "codes", "kind")
    kept = ("chart_id",)

    def outlet(name: str, fields: Sequence[str], label: str = "") -> Outlet:
        return Outlet(f"records.{name}", label, tuple(fields), tells=True, kept=kept)

    def inlet(parent: str, fields: Sequence[str]) -> Inlet:
        step, _, label = parent.partition(".")
        return Inlet(parent, f"records.{parent}", step, label, tuple(fields))

    split = SplitStep(
        name="pages",
        inlets=(Inlet("charts", "medical.charts"),),
        each="pages",
        as_="page",
        keep=kept,
        outlets=(outlet("pages", page),),
    )
    kind = model_step(
        "kind",
        [inlet("pages", page)],
        ["page.text"],
        ["kind"],
        level=1,
        routes=(("note", 'kind == "note"'), ("lab", 'kind == "lab"'), ("other", ELSE)),
        outlets=(
            outlet("kind.note", note, "note"),
            outlet("kind.lab", lab, "lab"),
            outlet("kind.other", ("chart_id", "kind"), "other"),
        ),
    )
    entities = model_step(
        "entities",
        [inlet("kind.note", note)],
        ["page.text"],
        ["entities"],
        level=1,
        outlets=(outlet("entities", ("chart_id", "entities", "kind", "page.date")),),
    )
    negation = model_step(
        "negation",
        [inlet("kind.note", note)],
        ["page.text"],
        ["negated"],
        level=1,
        outlets=(outlet("negation", ("negated",)),),
    )
    codes = model_step(
        "codes",
        [
            inlet("entities", ("chart_id", "entities", "kind", "page.date")),
            inlet("negation", ("negated",)),
        ],
        ["entities", "negated"],
        ["codes"],
        level=1,
        join=Join(order=(1,)),
        links=(Link("checked", fields=(*coded, "page.date"), tells=True),),
    )
    icd10 = Model("icd10", ("grpc://localhost:1",), "icd10", versions=(("3", 95), ("4", 5)))
    codes = replace(codes, model=icd10)
    checked = FunctionStep(
        name="checked",
        inlets=(Inlet("codes", "", "codes", fields=(*coded, "page.date")),),
        function="rules:drop_impossible",
        reads=("codes", "page.date"),
        writes=("codes",),
        level=1,
        outlets=(outlet("checked", coded),),
    )
    labs = model_step(
        "labs",
        [inlet("kind.lab", lab)],
        ["page.text"],
        ["codes"],
        level=1,
        when="page.text.size() > 0",
        outlets=(outlet("labs", coded),),
    )
    chart = GatherStep(
        name="chart",
        inlets=(
            inlet("checked", coded),
            inlet("labs", coded),
            inlet("kind.other", ("chart_id", "kind")),
        ),
        join=Join(JoinMode.FIRST),
        split="pages",
        into="pages",
        fields=("kind", "codes"),
        keep=kept,
        on_failed=OnFailed.HOLE,
        waiting=Waiting(600.0),
        sinks=(Sink("risk.charts", key="chart_id", fields=("chart_id", "pages")),),
    )
    parts = [
        [split],
        [kind],
        [entities],
        [negation],
        [labs],
        [codes, checked],
        [chart],
    ]
    stages = [
        stage("records", "medical.charts", *steps, name="coding" if len(steps) > 1 else "")
        for steps in parts
    ]
    return topology("records", *stages)
