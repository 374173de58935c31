"""Random pipelines compile, and what an edge does not carry, nothing after it misses."""

import os
import random
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from headrace.testing import Interpreter
from tests.simulation import dag_world, dags
from tests.simulation.differences import different

PIPELINES = int(os.environ.get("HEADRACE_PIPELINES", "300"))
RECORDS = 12


def check(rng: random.Random, data: Mapping[str, Any] | None = None) -> None:
    data = data or dags.pipeline(rng)
    topology = dags.compiled(data)
    topics = sorted(data["sources"])
    records = [(rng.choice(topics), f"in-0-{n}", dag_world.value(rng)) for n in range(RECORDS)]
    rules = (topology, dag_world.answered, dag_world.FUNCTIONS, dag_world.condition)

    slim, whole = Interpreter(*rules), Interpreter(*rules, whole=True)

    said, meant = slim.run(records), whole.run(records)
    found = different(meant.sinks, said.sinks) + different(meant.dead, said.dead)
    assert not found, f"{found}\n{yaml.safe_dump(dict(data), sort_keys=False)}"


def test_edges_carry_all_that_is_read_after_them() -> None:
    for seed in range(PIPELINES):
        check(random.Random(seed))


@settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.randoms(use_true_random=False))
def test_edges_carry_all_that_is_read_after_them_in_small_pipelines(rng: random.Random) -> None:
    check(rng)


def test_a_fused_pipeline_is_the_same_pipeline() -> None:
    for seed in range(PIPELINES):
        rng = random.Random(seed)
        data = dags.pipeline(rng)
        records = [("in0", f"in-0-{n}", dag_world.value(rng)) for n in range(RECORDS)]

        said = [
            Interpreter(
                dags.compiled(each), dag_world.answered, dag_world.FUNCTIONS, dag_world.condition
            ).run(records)
            for each in (data, dags.unfused(data), dags.fused(data))
        ]

        assert said[0] == said[1] == said[2], yaml.safe_dump(data, sort_keys=False)


HEAD = """
pipeline: p
sources: {in0: in0}
models: {upper: {url: grpc://localhost:1}}
steps:
"""


def test_what_was_written_before_a_split_that_does_not_keep_it_is_not_expected_of_its_gather() -> (
    None
):
    steps = """
  a: {from: in0, model: upper, inputs: {a: note}, outputs: {text: x}}
  parts: {from: a, split: {each: items, as: item}}
  book: {from: parts, gather: {split: parts, into: all}}
  j: {from: [in0, book], model: upper, inputs: {a: note}, outputs: {up: x}}
sinks: {out0: {from: j, fields: [text, up, all]}}
"""

    check(random.Random(1), yaml.safe_load(HEAD + steps))


def test_what_a_first_join_did_not_take_is_brought_by_the_branch_that_has_it() -> None:
    steps = """
  a: {from: in0, model: upper, inputs: {a: note}, outputs: {f1: x}}
  b: {from: [in0, a], join: first, model: upper, inputs: {a: text}, outputs: {f2: x}}
  j: {from: [a, b], model: upper, inputs: {a: f1}, outputs: {f3: x}}
sinks: {out0: {from: j, fields: [f1, f2, f3]}}
"""

    check(random.Random(1), yaml.safe_load(HEAD + steps))
