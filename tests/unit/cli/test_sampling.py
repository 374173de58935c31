from dataclasses import replace

import pytest

from headrace.cli import measuring
from headrace.cli.measuring import Grid, Wanted
from headrace.cli.sampling import reads_what_came_in
from headrace.core.models import Input
from headrace.core.steps import FunctionStep, Inlet
from tests.unit import dags


def steps_of(topology):
    return {step.name: reads_what_came_in(topology, step) for step in topology.models}


def test_a_step_that_reads_what_another_wrote_cannot_be_asked_with_records_of_the_source():
    assert steps_of(dags.chain()) == {"a": True, "b": False, "c": False}


def test_a_field_that_only_passes_through_is_as_it_came():
    chain = dags.chain()
    *before, c = chain.stages

    def reading(path):
        step = replace(c.steps[0], inputs=(Input("x", path),))
        return steps_of(dags.topology("chain", *before, replace(c, steps=(step,))))["c"]

    assert reading("text")
    assert not reading("two")
    assert not reading("two.part")


def test_nothing_is_as_it_came_behind_a_split_or_a_function_that_may_write_anything():
    inlets = [Inlet("any", "any.any", "any")]
    step = dags.model_step("last", inlets, ["text"], ["x"])
    first = FunctionStep(name="any", inlets=(Inlet("in", "in"),), function="m:f")

    def told(function):
        return steps_of(dags.topology("any", dags.stage("any", "in", function, step)))["last"]

    assert not steps_of(dags.pages())["score"]
    assert not told(first)
    assert told(replace(first, writes=("other",)))
    assert not told(replace(first, writes=("text.upper",)))


class Sayings(list[str]):
    def say(self, line):
        self.append(line)


@pytest.fixture
def columns(tmp_path, monkeypatch):
    """Return what a model of the chain is asked for, and what is said."""
    file = tmp_path / "in.jsonl"
    file.write_text('{"text": "a", "one": 1}\n{"text": "b"}\n')

    async def made_up(step):
        return f"made up for {step.name}"

    monkeypatch.setattr(measuring, "made_up", made_up)

    async def ask(name, model=None):
        chain, said = dags.chain(), Sayings()
        step = next(each for each in chain.models if each.name == name)
        wanted = Wanted("f", file, model, (), Grid((1,), (1,), 1.0))
        return await measuring._columns(chain, step, wanted, said), said

    return ask


async def test_a_model_that_reads_the_source_is_asked_with_its_records(columns):
    assert await columns("a") == ([["a", "b"]], [])


async def test_a_model_behind_others_gets_rows_made_up_and_says_how_to_get_real_ones(columns):
    rows, (said,) = await columns("b")

    assert rows == "made up for b"
    assert "--model b and --records of its documents" in said
    assert "headrace tail chain.a --from-beginning" in said


async def test_a_model_that_is_named_is_asked_with_its_own_documents(columns):
    rows, said = await columns("b", model="b")

    assert rows == [[1]]
    assert "1 lines left out" in said[0]
