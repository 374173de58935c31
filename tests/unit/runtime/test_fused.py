"""A pipeline in one consumer group does what it does in many, with the same dead letters."""

import itertools
import json
from dataclasses import replace

import pytest

from headrace.core.steps import Link, OnFailed, OnMissing
from headrace.core.topology import Topology
from headrace.testing import ScriptedFunction, ScriptedModel
from headrace.testing.rehearsal import rehearse
from tests.unit import dags

TEXTS = ["a", "bad", "b", ""]


def together(pipeline: Topology) -> Topology:
    """Return a pipeline of unfused stages as one stage."""
    links: dict[str, list[Link]] = {}
    steps = {step.name: step for step in pipeline.steps}
    for step in pipeline.steps:
        for number, inlet in enumerate(step.inlets):
            if inlet.step:
                [outlet] = [o for o in steps[inlet.step].outlets if o.topic == inlet.topic] or [
                    None
                ]
                if outlet is not None:
                    link = Link(step.name, number, inlet.label, outlet.fields, outlet.tells)
                    links.setdefault(inlet.step, []).append(link)
    fused = [
        replace(
            step,
            inlets=tuple(replace(i, topic="" if i.step else i.topic) for i in step.inlets),
            outlets=(),
            links=(*step.links, *links.get(step.name, ())),
        )
        for step in pipeline.steps
    ]
    root = pipeline.stages[0].root
    return replace(pipeline, stages=(dags.stage(pipeline.pipeline, root, *fused, name="all"),))


def model_for(step):
    """Return a model that rejects what is bad, and knows notes from labs by their length."""

    def answer(*row):
        said = "note" if step.name == "kind" and row[0] == "a" else str(row[0]).upper()
        return said if len(step.outputs) == 1 else (said,) * len(step.outputs)

    return ScriptedModel(
        answer, outputs=len(step.outputs), poison=lambda *row: "bad" in map(str, row)
    )


def function_for(step):
    return ScriptedFunction(lambda document: None if document.get("codes") == "B" else document)


async def outcome(pipeline, values):
    """Return what becomes of values: sink records and dead letters."""
    [source] = {source.topic for source in pipeline.sources}
    did = await rehearse(
        pipeline, [(source, value) for value in values], model_for, caller_for=function_for
    )
    assert not did.halted
    results = [
        (each.number, each.topic, each.child, each.value and json.loads(each.value))
        for each in did.results
    ]
    letters = [
        (each.number, each.step, each.error, each.message, each.child) for each in did.letters
    ]
    return sorted(results, key=str), sorted(letters, key=str)


def values():
    flat = [{"id": n, "text": text, "rest": [n]} for n, text in enumerate(TEXTS)]
    lists = [
        {"id": n, "chart_id": n, "pages": [{"text": text, "date": 1} for text in texts]}
        for n, texts in enumerate(itertools.chain(([],), itertools.product(TEXTS, repeat=2)))
    ]
    odd = [b"{broken", None, b"{}", json.dumps({"text": 5, "pages": {"text": "a"}}).encode()]
    return [*(json.dumps(each).encode() for each in (*flat, *lists)), *odd]


def with_holes(pipeline):
    """Return the pipeline with a gather that goes on without what failed."""
    return replace(
        pipeline,
        stages=tuple(
            replace(
                stage,
                steps=tuple(
                    replace(step, on_failed=OnFailed.HOLE) if step.kind == "gather" else step
                    for step in stage.steps
                ),
            )
            for stage in pipeline.stages
        ),
    )


def with_optional(pipeline):
    """Return the pipeline whose join goes on without its second parent."""
    both = pipeline.steps[-1]
    optional = replace(both.inlets[1], is_optional=True)
    waiting = replace(both.join.waiting, on_missing=OnMissing.PROCEED)
    inputs = (both.inputs[0], replace(both.inputs[1], has_default=True, default="none"))
    both = replace(
        both,
        inlets=(both.inlets[0], optional),
        join=replace(both.join, waiting=waiting),
        inputs=inputs,
    )
    last = replace(pipeline.stages[-1], steps=(both,))
    return replace(pipeline, stages=(*pipeline.stages[:-1], last))


PIPELINES = {
    "chain": dags.chain(),
    "diamond": dags.diamond(),
    "optional": with_optional(dags.diamond()),
    "pages": dags.pages(),
    "holes": with_holes(dags.pages()),
    "routes": dags.routes(),
    "records": dags.records(),
}


@pytest.mark.parametrize("name", PIPELINES)
async def test_a_pipeline_in_one_group_does_what_it_does_in_many(name):
    apart = PIPELINES[name]

    results, letters = await outcome(apart, values())
    fused_results, fused_letters = await outcome(together(apart), values())

    assert results
    assert letters
    assert fused_results == results
    assert fused_letters == letters
