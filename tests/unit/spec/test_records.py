"""The example that uses everything: the same in YAML and in Python, and what it compiles to."""

from pathlib import Path

import pytest
import yaml

from headrace.core.models import BatchPolicy
from headrace.core.steps import (
    FunctionStep,
    GatherStep,
    Join,
    JoinMode,
    Link,
    OnFailed,
    OnMissing,
    Ordering,
    Outlet,
    Sink,
    SplitStep,
    Waiting,
)
from headrace.core.topology import Source
from headrace.spec.compile import compile_file
from headrace.spec.loader import check, check_text, load

FOLDER = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def topology():
    return compile_file(FOLDER / "pipeline.yaml", {})


@pytest.fixture(scope="module")
def steps(topology):
    return {step.name: step for step in topology.steps}


@pytest.mark.parametrize("environ", [{}, {"MLSERVER": "grpcs://a:1", "GPU_TOKEN": "t"}])
def test_yaml_and_python_give_the_same_pipeline(environ):
    from_python = load(f"{FOLDER / 'pipeline.py'}:pipeline", environ)

    assert from_python == load(FOLDER / "pipeline.yaml", environ)


def test_it_survives_being_written_down():
    spec = load(FOLDER / "pipeline.yaml", {})

    text = yaml.safe_dump(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))

    assert check_text(text, {}, "f").unwrap() == spec


def test_there_is_nothing_to_say_about_it_but_that_a_new_key_is_a_new_order():
    assert [lint.code for lint in check(FOLDER / "pipeline.yaml", {}).lints] == ["N060"]


def test_every_step_is_a_stage_but_those_that_are_fused(topology):
    stages = {stage.name: [step.name for step in stage.steps] for stage in topology.stages}

    assert stages == {
        "pages": ["pages"],
        "kind": ["kind"],
        "entities": ["entities"],
        "negation": ["negation"],
        "coding": ["codes", "checked"],
        "labs": ["labs"],
        "chart": ["chart"],
    }
    assert [stage.group for stage in topology.stages][4] == "records.coding"
    assert {stage.root for stage in topology.stages} == {"medical.charts"}


def test_stages_come_upstream_first_and_read_each_topic_once(topology):
    read = {stage.name: stage.sources for stage in topology.stages}

    assert read["pages"] == (Source("medical.charts"),)
    assert read["coding"] == (
        Source("records.entities", is_derived=True),
        Source("records.negation", is_derived=True),
    )
    assert [source.topic for source in read["chart"]] == [
        "records.checked",
        "records.labs",
        "records.kind.other",
    ]
    assert topology.sources == (Source("medical.charts"),)


def test_edges_carry_what_is_read_later_and_no_more(steps):
    carried = {outlet.topic: outlet.fields for step in steps.values() for outlet in step.outlets}

    assert carried == {
        "records.pages": ("chart_id", "page.date", "page.text"),
        "records.kind.note": ("chart_id", "kind", "page.date", "page.text"),
        "records.kind.lab": ("chart_id", "kind", "page.text"),
        "records.kind.other": ("chart_id", "kind"),
        "records.entities": ("chart_id", "entities", "kind", "page.date"),
        "records.negation": ("negated",),
        "records.checked": ("chart_id", "codes", "kind"),
        "records.labs": ("chart_id", "codes", "kind"),
    }


def test_one_branch_brings_the_document_to_the_join(steps):
    codes = steps["codes"]

    assert codes.join == Join(JoinMode.ALL, carrier=0, order=(1,))
    assert [inlet.fields for inlet in codes.inlets] == [
        ("chart_id", "entities", "kind", "page.date"),
        ("negated",),
    ]


def test_a_fused_step_is_reached_in_memory_by_what_a_topic_would_carry(steps):
    assert steps["codes"].outlets == ()
    assert steps["codes"].links == (
        Link("checked", 0, "", ("chart_id", "codes", "kind", "page.date"), tells=True),
    )
    assert steps["checked"].inlets[0].topic == ""


def test_whatever_becomes_of_a_page_is_told_with_what_its_chart_keeps(steps):
    assert all(step.tells for step in steps.values() if step.name != "chart")
    assert not steps["chart"].tells
    assert steps["kind"].outlets[2] == Outlet(
        "records.kind.other", "other", ("chart_id", "kind"), tells=True, kept=("chart_id",)
    )
    assert {outlet.kept for step in steps.values() for outlet in step.outlets} == {("chart_id",)}


def test_levels_count_the_splits_around_a_step(steps):
    levels = {name: step.level for name, step in steps.items()}

    assert {name for name, level in levels.items() if level == 0} == {"pages", "chart"}
    assert set(levels.values()) == {0, 1}


def test_every_kind_of_step_has_its_own_settings(steps):
    pages, chart, checked = steps["pages"], steps["chart"], steps["checked"]

    assert isinstance(pages, SplitStep)
    assert isinstance(chart, GatherStep)
    assert isinstance(checked, FunctionStep)
    assert (pages.each, pages.as_, pages.keep) == ("pages", "page", ("chart_id",))
    assert (pages.max_children, pages.is_spread) == (10_000, False)
    assert (chart.split, chart.into, chart.fields) == ("pages", "pages", ("codes", "kind"))
    assert (chart.keep, chart.on_failed) == (("chart_id",), OnFailed.HOLE)
    assert chart.waiting == Waiting(600.0, OnMissing.DEAD_LETTER)
    assert (chart.max_bytes, chart.join) == (16 * 2**20, Join(JoinMode.FIRST))
    assert (checked.function, checked.reads) == ("rules:drop_impossible", ("codes", "page.date"))
    assert (checked.writes, checked.folder) == (("codes",), str(FOLDER))
    assert (checked.timeout_s, checked.workers, checked.is_process) == (30.0, 1, False)
    assert checked.batch == BatchPolicy(64, 0.005)


def test_routes_gates_and_versions_reach_the_topology(steps):
    assert steps["kind"].routes == (
        ("note", 'kind == "note"'),
        ("lab", 'kind == "lab"'),
        ("other", "else"),
    )
    assert steps["labs"].when == "page.text.size() > 0"
    assert steps["codes"].model.versions == (("3", 95), ("4", 5))
    assert steps["codes"].ordering is Ordering.KEY
    assert steps["chart"].sinks == (Sink("risk.charts", "chart_id", ("chart_id", "pages")),)


def test_the_fingerprint_says_nothing_about_where_the_file_lies(tmp_path, topology):
    copy = tmp_path / "pipeline.yaml"
    copy.write_text((FOLDER / "pipeline.yaml").read_text(encoding="utf-8"), encoding="utf-8")

    assert compile_file(copy, {}).stages[0].fingerprint == topology.stages[0].fingerprint
