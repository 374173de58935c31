"""What `lint --live` asks models."""

from dataclasses import replace

import pytest

from headrace import wiring
from headrace.cli import live
from headrace.spec.live import LiveModel
from tests.unit import dags


@pytest.fixture
def told(monkeypatch):
    """Return what the models of a pipeline say, each version by its name."""

    async def ask(topology, answers):
        async def describe(step):
            return answers.get(step.model.version, LiveModel())

        monkeypatch.setattr(wiring, "describe", describe)
        return await live._models(topology)

    return ask


async def test_every_step_that_calls_a_model_is_asked(told):
    found = await told(dags.records(), {})

    assert found == dict.fromkeys(("kind", "entities", "negation", "labs", "codes"), LiveModel())


async def test_every_version_that_shares_the_records_is_asked_by_its_name(told):
    answers = {"3": LiveModel(("no input 'x'",)), "4": LiveModel(silence="refused")}

    found = await told(dags.records(), answers)

    assert found["codes"] == LiveModel(("version 3: no input 'x'",), silence="version 4: refused")
    assert found["labs"] == LiveModel()


async def test_a_model_with_one_version_has_no_word_of_it(told):
    (a, *_) = dags.chain().stages
    step = replace(a.steps[0], model=replace(a.steps[0].model, version="7"))
    one = dags.topology("chain", replace(a, steps=(step,)))

    assert await told(one, {"7": LiveModel(("no",))}) == {"a": LiveModel(("no",))}
