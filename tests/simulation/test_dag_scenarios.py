"""Situations of a DAG that random schedules reach rarely, each written down."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from headrace.core import wire
from headrace.core.flow import FlowLimits
from headrace.runtime.worker import LIMITS
from headrace.testing.clock import run
from tests.simulation.dag_schedules import LateRun, Run, said

TIGHT = FlowLimits(6, 10_000, 3, 5_000)
"""Three records that wait fill a partition, six a worker."""

HEAD = """
pipeline: p
models: {upper: {url: grpc://localhost:1}, length: {url: grpc://localhost:1}}
defaults: {ordering: %s, batch: {max_size: 3}, retry: {max_attempts: 20, max_delay: 1s}}
"""


def up(path: str, field: str) -> str:
    return f"model: upper, inputs: {{a: {path}}}, outputs: {{{field}: x}}"


class Churn(Run):
    """A run in which a second worker joins and leaves while calls are under way."""

    async def act(self) -> None:
        (fleet,) = self.fleets
        fleet.start("w0")
        for _ in range(10):
            await asyncio.sleep(0.5)
            fleet.start("w1")
            await asyncio.sleep(0.5)
            await fleet.stop("w1")
        await self._until_settled()


def act(
    steps: str,
    *,
    ordering: str = "key",
    latency_s: Mapping[str, float] | None = None,
    limits: FlowLimits = TIGHT,
    many: int = 20,
    kind: type[Run] = Run,
    seed: int = 1,
) -> Run:
    """Run records through steps on calm workers and compare with the interpreter."""
    data: dict[str, Any] = yaml.safe_load(HEAD % ordering + steps)
    data["models"] = {
        each["model"]: data["models"]["upper"] for each in data["steps"].values() if "model" in each
    }
    one = kind(seed, data, has_storm=False)
    one.limits = limits
    for step, seconds in (latency_s or {}).items():
        one.models[step]._latency_s = (0.0, seconds)

    async def acted() -> None:
        one.write(many)
        await one.act()
        for fleet in one.fleets:
            await fleet.__aexit__(None, None, None)

    run(acted(), limit_s=3600)
    one.check()
    return one


def test_what_is_released_while_a_transaction_commits_is_written() -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}, stage: both}}
  j: {{from: [in0, a], {up("f1", "f2")}, stage: both}}
sinks: {{out0: j}}
"""

    act(steps, limits=LIMITS, many=40)


def test_children_take_the_route_that_holds_for_them() -> None:
    steps = f"""
steps:
  parts:
    from: in0
    split: {{each: items, as: item}}
    routes: {{heavy: item.weight > 4, light: else}}
  a: {{from: parts.heavy, {up("item.word", "f1")}}}
sinks: {{out0: a, out1: parts.light}}
"""

    act(steps)


@pytest.mark.parametrize("ordering", ["none", "key", "partition"])
def test_parts_that_a_fused_step_brings_are_spilled_when_they_fill_the_memory(
    ordering: str,
) -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}, stage: both}}
  b: {{from: in0, {up("note", "f2")}}}
  j: {{from: [a, b], {up("f1", "f3")}, stage: both}}
sinks: {{out0: j}}
"""

    act(steps, ordering=ordering, latency_s={"b": 5.0})


@pytest.mark.parametrize("ordering", ["none", "key", "partition"])
def test_a_join_whose_one_branch_lags_ends_with_little_memory(ordering: str) -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}}}
  b: {{from: in0, {up("note", "f2")}}}
  j: {{from: [a, b], {up("f1", "f3")}}}
sinks: {{out0: j}}
"""

    act(steps, ordering=ordering, latency_s={"b": 5.0}, many=60)


@pytest.mark.parametrize("ordering", ["none", "key", "partition"])
def test_children_that_were_spilled_are_gathered_when_they_come_back(ordering: str) -> None:
    steps = f"""
steps:
  parts: {{from: in0, split: {{each: items, as: item, keep: [n]}}}}
  left: {{from: parts, {up("item.word", "f1")}}}
  right: {{from: parts, {up("item.word", "f2")}}}
  book: {{from: [left, right], gather: {{split: parts, into: all, on_failed: hole}}}}
sinks: {{out0: book}}
"""

    act(steps, ordering=ordering, latency_s={"right": 5.0})


@pytest.mark.parametrize("ordering", ["none", "key", "partition"])
def test_two_joins_of_one_stage_spill_without_stopping_each_other(ordering: str) -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}}}
  b: {{from: in0, {up("note", "f2")}}}
  c: {{from: in0, {up("meta.lang", "f3")}}}
  j: {{from: [a, b], {up("f1", "f4")}, stage: both}}
  k: {{from: [j, a, c], {up("f2", "f5")}, stage: both}}
sinks: {{out0: k}}
"""

    act(steps, ordering=ordering, latency_s={"b": 3.0, "c": 5.0}, many=40)


def test_an_outcome_keeps_what_the_split_kept_through_fused_steps() -> None:
    steps = f"""
steps:
  parts: {{from: in0, split: {{each: items, as: item, keep: [n, note]}}}}
  left: {{from: parts, {up("item.word", "f1")}, when: item.weight > 8, stage: b}}
  book: {{from: left, gather: {{split: parts, into: all, fields: [f1], on_failed: hole}}, stage: b}}
sinks: {{out0: book}}
"""

    act(steps, many=40)


@pytest.mark.parametrize("ordering", ["key", "partition"])
def test_joins_of_one_stage_with_different_carriers_keep_the_order(ordering: str) -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}}}
  b: {{from: in0, {up("note", "f2")}}}
  j: {{from: [a, b], {up("f1", "f3")}, batch: {{max_size: 1}}, stage: both}}
  k: {{from: [b, j], {up("f2", "f4")}, batch: {{max_size: 1}}, stage: both}}
sinks: {{out0: k}}
"""

    latency_s = {"j": 2.0, "k": 2.0}
    act(steps, ordering=ordering, latency_s=latency_s, limits=LIMITS, many=40)


def test_siblings_keep_their_order_in_a_fused_stage_as_they_do_apart() -> None:
    steps = f"""
steps:
  parts: {{from: in0, split: {{each: items, as: item}}, stage: both}}
  a: {{from: parts, {up("item.word", "f1")}, batch: {{max_size: 1}}, stage: both}}
sinks: {{out0: a}}
"""

    one = act(steps, latency_s={"a": 2.0}, limits=LIMITS)

    written = [said(each, wire.ID) for each in one.broker.records("out0", 0)]
    siblings: dict[str, list[int]] = {}
    for parent, child in (each.split("/") for each in written if "/" in each):
        siblings.setdefault(parent, []).append(int(child))
    assert all(found == sorted(found) for found in siblings.values()), siblings


@pytest.mark.parametrize("seed", range(5))
def test_an_id_that_timed_out_stays_ended_until_its_marker_is_read(seed: int) -> None:
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}}}
  b: {{from: in0, {up("note", "f2")}}}
  j: {{from: [a, b], {up("f1", "f3")}, timeout: 500ms, late_after: 60s}}
sinks: {{out0: j}}
"""

    act(steps, latency_s={"a": 1.0, "b": 2.0}, many=40, kind=LateRun, seed=seed)


@pytest.mark.parametrize("ordering", ["none", "key", "partition"])
def test_a_call_of_before_a_rebalance_brings_no_part_to_a_fused_join(ordering: str) -> None:
    """Its partition was lost and came back while it lasted, and the record was begun again."""
    steps = f"""
steps:
  a: {{from: in0, {up("text", "f1")}, stage: both}}
  b: {{from: in0, {up("note", "f2")}, stage: both}}
  j: {{from: [a, b], {up("f1", "f3")}, stage: both}}
sinks: {{out0: j}}
"""

    latency_s = {"a": 5.0, "b": 5.0}
    act(steps, ordering=ordering, latency_s=latency_s, limits=LIMITS, many=40, kind=Churn)
