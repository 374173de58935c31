"""Who brings what to a join."""

from headrace.core.assembly import Frame, assemble
from headrace.core.lineage import Lineage, upstream_first
from headrace.core.models import Input, Model, OutputField
from headrace.core.parting import partings
from headrace.core.steps import (
    FunctionStep,
    GatherStep,
    Inlet,
    Join,
    JoinMode,
    ModelStep,
    Sink,
    SplitStep,
)
from headrace.core.topology import Source

MODEL = Model("m", ("grpc://a:1",), "m")
DOCS = Inlet("docs", "docs")


def inlet(name, **more):
    return Inlet(name, "", name, **more)


def model(name, *inlets, writes=(), reads=(), **more):
    return ModelStep(
        name=name,
        inlets=inlets or (DOCS,),
        join=more.pop("join", Join() if len(inlets) > 1 else None),
        model=MODEL,
        inputs=tuple(Input(path, path) for path in reads),
        outputs=tuple(OutputField(path, path) for path in writes or (name,)),
        **more,
    )


def brought(*steps, at="end"):
    """Return what the inlets of a join bring, with `*` for the whole document."""
    stages = assemble(
        Frame("p", "", {"docs": Source("docs")}), steps, {step.name: step.name for step in steps}
    )
    (join,) = [step for stage in stages for step in stage.steps if step.name == at]
    fields = ["*" if each.fields is None else " ".join(each.fields) for each in join.inlets]
    return join.join.carrier, fields


SINK = {"sinks": (Sink("out"),)}


def test_the_first_parent_brings_the_document_and_the_others_what_they_wrote():
    end = model("end", inlet("a"), inlet("b"), DOCS, **SINK)

    assert brought(model("a"), model("b", reads=["x"]), end) == (0, ["*", "b", ""])


def test_the_first_parent_that_must_come_brings_the_document():
    end = model("end", inlet("a", is_optional=True), inlet("b"), **SINK)

    assert brought(model("a"), model("b"), end) == (1, ["a", "*"])


def test_a_branch_that_may_write_anything_brings_the_document():
    end = model("end", inlet("a"), inlet("f"), reads=["x"], sinks=(Sink("out", "", ("a", "id")),))
    free = FunctionStep(name="f", inlets=(DOCS,), function="r:f")

    assert brought(model("a"), free, end) == (1, ["a", "id x"])


def test_a_branch_that_gathered_does_not_bring_the_document():
    cut = SplitStep(name="cut", inlets=(DOCS,), each="pages", as_="page", keep=("id",))
    gathered = GatherStep(name="g", inlets=(inlet("cut"),), split="cut", into="all")
    end = model("end", inlet("g"), inlet("a"), **SINK)

    assert brought(cut, gathered, model("a"), end) == (1, ["all", "*"])


def test_what_a_split_does_not_keep_is_not_left_to_its_gather():
    steps = [model("a", writes=["x", "y"])]
    steps += [SplitStep(name="cut", inlets=(inlet("a"),), each="ps", as_="p", keep=("y",))]
    steps += [GatherStep(name="g", inlets=(inlet("cut"),), split="cut", into="all")]
    end = model("end", DOCS, inlet("g"), sinks=(Sink("out", "", ("x", "y")),))

    assert brought(*steps, end) == (0, ["x", "y"])


def test_the_preferred_parent_brings_what_several_wrote():
    end = model("end", inlet("a"), inlet("b"), inlet("c"), join=Join(prefer=1), **SINK)
    steps = [model("a", writes=["x", "a"]), model("b", writes=["x"]), model("c", writes=["x", "c"])]

    assert brought(*steps, end) == (0, ["*", "x", "c"])


def test_the_preferred_parent_is_rather_put_over_another_one():
    sinks = (Sink("out", "", ("x", "y")),)
    end = model("end", inlet("a"), inlet("b"), join=Join(prefer=0), sinks=sinks)
    steps = [model("a", writes=["x"]), model("b", writes=["x", "y"])]

    assert brought(*steps, end) == (1, ["x", "y"])


def test_a_preferred_parent_that_brings_the_document_keeps_its_own():
    sinks = (Sink("out", "", ("x", "y")),)
    inlets = (inlet("a"), inlet("b", is_optional=True))
    end = model("end", *inlets, join=Join(prefer=0), sinks=sinks)
    steps = [model("a", writes=["x"]), model("b", writes=["x", "y"])]

    assert brought(*steps, end) == (0, ["x y", "y"])


def test_a_preferred_parent_takes_what_another_one_wrote_later():
    # `b` comes from `a`: its x is the newer one, and `a` wrote nothing since they parted.
    end = model("end", DOCS, inlet("a"), inlet("b"), join=Join(prefer=1), **SINK)
    steps = [model("a", writes=["x"]), model("b", inlet("a"), writes=["x"])]

    assert brought(*steps, end) == (0, ["*", "", "x"])


def test_what_an_optional_parent_may_not_bring_is_brought_by_another_one():
    sinks = (Sink("out", "", ("x",)),)
    end = model("end", DOCS, inlet("a"), inlet("b", is_optional=True), sinks=sinks)
    steps = [model("a", writes=["x"]), model("b", inlet("a"), writes=["x"])]

    assert brought(*steps, end) == (0, ["", "x", "x"])


def order(*inlets, prefer=None, steps=()):
    end = model("end", *inlets, join=Join(prefer=prefer))
    parting = partings(Lineage.of([*steps, end]))["end"]
    return parting.carrier(), parting.order()


def test_the_preferred_part_is_put_over_the_others():
    steps = [model(name, writes=["x", name]) for name in "opcq"]
    inlets = (inlet("c"), inlet("o", is_optional=True), inlet("p"), inlet("q"))

    assert order(*inlets, prefer=2, steps=steps) == (0, (1, 3, 2))


def test_of_optional_parts_the_newer_one_is_put_over_the_older_one():
    a, b = model("a", writes=["x"]), model("b", inlet("a"), writes=["x"])
    newer, older = inlet("b", is_optional=True), inlet("a", is_optional=True)

    assert order(DOCS, newer, older, steps=[a, b]) == (0, (2, 1))
    assert order(DOCS, older, newer, steps=[a, b]) == (0, (1, 2))


def test_of_optional_parts_that_are_both_newer_each_brings_its_own():
    # Both have x and y from `a`; one wrote x again and the other one y.
    steps = [model("a", writes=["x", "y"])]
    steps += [model("b", inlet("a"), writes=["x"]), model("c", inlet("a"), writes=["y"])]
    inlets = (DOCS, inlet("b", is_optional=True), inlet("c", is_optional=True))
    end = model("end", *inlets, sinks=(Sink("out", "", ("x", "y")),))

    assert order(*inlets, steps=steps) == (0, (1, 2))
    assert brought(*steps, end) == (0, ["x y", "x y", "y"])


def clashes(*steps):
    parting = partings(Lineage.of(steps))["end"]
    return [(each.first, each.second, each.path) for each in parting.clashes()]


def test_parents_that_write_one_field_clash_unless_one_is_preferred():
    a, b, c = (model(name, writes=["x", name]) for name in "abc")
    ends = (inlet("a"), inlet("b"), inlet("c"))

    assert clashes(a, b, c, model("end", *ends)) == [(0, 1, "x"), (0, 2, "x"), (1, 2, "x")]
    assert clashes(a, b, c, model("end", *ends, join=Join(prefer=2))) == []


def test_a_preferred_parent_that_does_not_write_the_field_settles_nothing():
    a, b, c = model("a", writes=["x"]), model("b", writes=["x"]), model("c")
    end = model("end", inlet("a"), inlet("b"), inlet("c"), join=Join(prefer=2))

    assert clashes(a, b, c, end) == [(0, 1, "x")]


def test_what_both_have_from_one_step_is_no_clash():
    a, b, c = model("a", writes=["x"]), model("b", inlet("a")), model("c", inlet("a"))

    assert clashes(a, b, c, model("end", DOCS, inlet("b"), inlet("c"))) == []


def test_what_a_first_join_may_have_taken_is_not_left_to_it():
    a, b = model("a", writes=["x"]), model("b", writes=["x"])
    first = model("first", inlet("a"), inlet("b"), join=Join(JoinMode.FIRST))
    end = model("end", inlet("a"), inlet("first"), sinks=(Sink("out", "", ("x",)),))

    assert brought(a, b, first, end) == (0, ["x", "x"])


def test_what_a_function_may_write_is_not_left_to_it():
    function = FunctionStep(name="f", inlets=(DOCS,), function="r:f", writes=("x", "y"), reads=())
    end = model("end", DOCS, inlet("f"), sinks=(Sink("out", "", ("x",)),))

    assert brought(function, end) == (0, ["x", "x"])


def test_a_preferred_parent_settles_nothing_between_what_comes_from_it_and_others():
    pref = model("p", writes=["x"])
    later, other = model("l", inlet("p"), writes=["x"]), model("o", writes=["x"])
    end = model("end", inlet("l"), inlet("o"), inlet("p"), join=Join(prefer=2))

    assert clashes(pref, later, other, end) == [(0, 1, "x")]


def test_steps_come_upstream_first_whatever_their_order_in_the_file():
    parents = {"c": ["b", "source"], "b": ["a"], "d": [], "a": []}

    assert upstream_first(parents) == ["a", "b", "c", "d"]
