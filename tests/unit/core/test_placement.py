"""Which topics carry records to the home partition of a spread split."""

from pathlib import Path

import pytest

from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text

HEAD = "pipeline: p\nmodels: {m: {url: grpc://a:1}}\nsteps:\n"
CUT = "  cut: {from: docs, split: {each: pages, as: page, keep: [id], spread: true}}\n"
ROWS = "  rows: {from: read, split: {each: page.rows, as: row, keep: [id, page], spread: true}}\n"


@pytest.fixture
def homes():
    """Compile some steps; return the home level of every derived topic, by its last name."""

    def run(steps, sinks="out: all"):
        text = f"{HEAD}{steps}sinks: {{{sinks}}}\n"
        topology = compile_pipeline(check_text(text, {}, "f").unwrap(), Path())
        outlets = [outlet for step in topology.steps for outlet in step.outlets]
        return {outlet.topic.removeprefix("p."): outlet.home_level for outlet in outlets}

    return run


def model(name, parents, writes, more=""):
    path = "row" if name.startswith("row") else "page"
    return (
        f"  {name}: {{from: {parents}, model: m, inputs: {{x: {path}}},"
        f" outputs: {{{writes}: y}}{more}}}\n"
    )


def gather(parents, split="cut", name="all", more=""):
    return f"  {name}: {{from: {parents}, gather: {{split: {split}, into: {name}}}{more}}}\n"


def test_only_what_is_gathered_goes_home(homes):
    steps = CUT + model("read", "cut", "kind") + model("code", "read", "codes") + gather("code")

    assert homes(steps) == {"cut": 0, "read": 0, "code": 1}


def test_children_that_stay_with_their_parent_are_at_home_anyway(homes):
    steps = CUT.replace(", spread: true", "") + model("read", "cut", "kind") + gather("read")

    assert homes(steps) == {"cut": 0, "read": 0}


def test_children_that_nobody_gathers_stay_where_they_are(homes):
    assert homes(CUT + model("read", "cut", "kind"), "out: read") == {"cut": 0}


def test_a_split_that_is_gathered_at_once_spreads_nothing(homes):
    assert homes(CUT + gather("cut")) == {"cut": 1}


def test_what_is_fused_with_a_gather_goes_home_before_it(homes):
    steps = CUT + model("read", "cut", "kind") + model("code", "read", "codes", ", stage: end")

    assert homes(steps + gather("code", more=", stage: end")) == {"cut": 0, "read": 1}


def test_a_whole_chain_that_is_fused_with_a_gather_goes_home(homes):
    steps = CUT + model("read", "cut", "kind", ", stage: end")
    steps += model("code", "read", "codes", ", stage: end") + gather("code", more=", stage: end")

    assert homes(steps) == {"cut": 1}


def test_what_is_fused_with_the_split_stays_home(homes):
    steps = CUT.replace("docs,", "docs, stage: begin,") + model(
        "read", "cut", "kind", ", stage: begin"
    )

    assert homes(steps + model("code", "read", "codes") + gather("code")) == {"read": 1, "code": 1}


def test_nothing_is_moved_where_all_is_fused(homes):
    steps = CUT.replace("docs,", "docs, stage: s,") + model("read", "cut", "kind", ", stage: s")

    assert homes(steps + gather("read", more=", stage: s")) == {}


def test_what_joins_with_something_at_home_goes_home_too(homes):
    # `kind` goes home for the gather, so what else reads it is at home, and what that joins with.
    steps = CUT + model("kind", "cut", "kind") + model("other", "cut", "other")
    steps += model("met", "[kind, other]", "codes") + gather("[kind, met]", more=", prefer: met")

    assert homes(steps) == {"cut": 0, "kind": 1, "other": 1, "met": 1}


def test_a_route_that_is_gathered_takes_no_other_route_with_it(homes):
    steps = CUT + model("kind", "cut", "kind", ", routes: {a: kind == 1, b: else}")
    steps += model("read", "kind.b", "codes") + gather("[kind.a, read]", more=", join: first")

    assert homes(steps) == {"cut": 0, "kind.a": 1, "kind.b": 0, "read": 1}


def test_each_split_has_a_home_of_its_own(homes):
    steps = CUT + model("read", "cut", "kind") + ROWS + model("row-code", "rows", "codes")
    steps += gather("row-code", "rows", "gathered") + gather("gathered")

    assert homes(steps) == {"cut": 0, "read": 0, "rows": 0, "row-code": 2, "gathered": 1}


def test_the_home_of_an_outer_split_is_home_for_what_is_inside(homes):
    # In one stage both gathers need everything where the outermost split began.
    steps = CUT + model("read", "cut", "kind") + ROWS + model("row-code", "rows", "codes")
    steps += gather("row-code", "rows", "gathered", ", stage: end")

    assert homes(steps + gather("gathered", more=", stage: end"))["row-code"] == 1


def test_an_inner_split_that_is_fused_with_the_outer_gather_goes_home_first(homes):
    steps = CUT + model("read", "cut", "kind") + ROWS.replace("read,", "read, stage: end,")
    steps += model("row-code", "rows", "codes", ", stage: end")
    steps += gather("row-code", "rows", "gathered", ", stage: end")

    assert homes(steps + gather("gathered", more=", stage: end")) == {"cut": 0, "read": 1}


def test_a_topic_goes_home_and_what_is_passed_in_memory_stays(homes):
    steps = (
        CUT
        + model("read", "cut", "kind", ", stage: begin")
        + ROWS.replace("read,", "read, stage: begin,")
    )
    steps += model("row-code", "rows", "codes") + gather("row-code", "rows", "gathered")

    assert homes(steps + gather("[read, gathered]")) == {
        "cut": 0,
        "read": 1,
        "rows": 0,
        "row-code": 2,
        "gathered": 1,
    }
