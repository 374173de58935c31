"""What each kind of step reads and writes."""

import pytest

from headrace.core.effects import decided_by, read_after, read_by, written_by
from headrace.core.models import Input, Model, OutputField
from headrace.core.steps import FunctionStep, GatherStep, ModelStep, Sink, SplitStep

MODEL = ModelStep(
    name="m",
    model=Model("m", ("grpc://a:1",), "m"),
    inputs=(Input("x", "page.text"), Input("y", "page.lines.0.words")),
    outputs=(OutputField("kind", "k"), OutputField("items.3.label", "l")),
    when="size(page.text) > limit",
)
FUNCTION = FunctionStep(name="f", function="r:f", reads=("codes",), writes=("codes",))
SPLIT = SplitStep(name="s", each="pages", as_="page", keep=("id",), when="open")
GATHER = GatherStep(name="g", split="s", into="all.pages", fields=("kind",))


@pytest.mark.parametrize(
    ("step", "reads", "writes"),
    [
        (MODEL, ("items", "limit", "page.lines", "page.text"), ("items", "kind")),
        (FUNCTION, ("codes",), ("codes",)),
        (FunctionStep(name="f", function="r:f"), None, None),
        (SPLIT, ("open", "pages"), ()),
        (GATHER, (), ("all.pages",)),
    ],
)
def test_a_step_reads_and_writes_what_its_kind_does(step, reads, writes):
    assert read_by(step) == reads
    assert written_by(step) == writes


def test_routes_and_sinks_read_the_result():
    routes = (("a", "kind == 'x'"), ("b", "else"))
    sinks = (Sink("out", "id", ("kind", "page.0")), Sink("more", "", ("page.text",)))

    assert read_after(GatherStep(name="g", split="s", into="a", routes=routes, sinks=sinks)) == (
        "id",
        "kind",
        "page",
    )
    assert read_after(GatherStep(name="g", split="s", into="a", sinks=(Sink("out"),))) is None
    assert read_after(GATHER) == ()
    assert decided_by("else") == ()
