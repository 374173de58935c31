"""What `headrace up` counts of a DAG, and when it says that nothing is left to do."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from headrace.core.runs import Runs
from headrace.core.topology import Topology
from headrace.kafka.tally import Tally
from tests.integration.by_hand import ByHand
from tests.integration.pipelines import in_loop
from tests.unit import dags

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


@pytest.fixture
def stage_of(
    bootstrap: str, unique: Callable[[str], str]
) -> Iterator[Callable[[Topology], ByHand]]:
    made: list[ByHand] = []

    def make(topology: Topology) -> ByHand:
        name = unique(topology.pipeline).replace("_", "-")[-40:].lstrip("-")
        made.append(ByHand(bootstrap, dags.renamed(topology, name)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@asynccontextmanager
async def begun(scene: ByHand) -> AsyncIterator[Tally]:
    tally = Tally(scene.topology)
    try:
        await tally.begin()
        yield tally
    finally:
        await tally.close()


@in_loop
async def test_a_source_record_counts_once_it_is_finished_in_every_group_that_reads_it(stage_of):
    scene = stage_of(dags.diamond())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        scene.put(f"{name}.in", *[b"{}"] * 10)
        scene.finish("left", f"{name}.in", 2, Runs([(4, 9)]))
        scene.finish("right", f"{name}.in", 6)

        summary = await tally.summary()

    assert summary.read == 4  # 0, 1, 4 and 5


@in_loop
async def test_records_that_left_nothing_are_dropped_and_those_of_a_child_are_not(stage_of):
    scene = stage_of(dags.pages())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        scene.put(f"{name}.in", *[b"{}"] * 4)
        scene.finish("pages", f"{name}.in", 4)
        scene.put_ours(f"{name}.out", f"{name}.in-0-0", {"id": 1})
        scene.put_ours(f"{name}.dead-letters", f"{name}.in-0-1/7", {"id": 2})

        summary = await tally.summary()

    assert (summary.read, summary.written, summary.dead_lettered) == (4, 1, 1)
    assert summary.dropped == 2


@in_loop
async def test_a_record_at_two_sinks_is_written_twice_and_not_dropped(stage_of):
    scene = stage_of(dags.routes())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        scene.put(f"{name}.in", b"{}")
        scene.finish("kind", f"{name}.in", 1)
        for sink in ("out", "others"):
            scene.put_ours(f"{name}.{sink}", f"{name}.in-0-0", {})
        scene.put(f"{name}.out", b"{}")

        summary = await tally.summary()

    assert summary.sinks == {f"{name}.out": 1, f"{name}.others": 1}
    assert (summary.read, summary.written, summary.dropped) == (1, 2, 0)


@in_loop
async def test_only_what_was_delayed_to_be_tried_again_is_retried(stage_of):
    scene = stage_of(dags.diamond())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        retry = f"{name}.both.retry"
        scene.put_ours(retry, f"{name}.in-0-0", {}, attempt="2")
        scene.put_ours(retry, f"{name}.in-0-1", {}, outcome="closed", partial="join")
        scene.put_ours(retry, f"{name}.in-0-2", {}, partial="join")
        scene.put_ours(retry, f"{name}.in-0-3", {}, replay="1")

        summary = await tally.summary()

    assert summary.retried == 1


@in_loop
async def test_a_chain_is_idle_only_when_its_last_stage_is(stage_of):
    scene = stage_of(dags.chain())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        idle = [(await tally.progress()).is_idle]
        scene.put(f"{name}.in", *[b"{}"] * 3)
        idle.append((await tally.progress()).is_idle)
        for stage, reads, writes in (("a", "in", "a"), ("b", "a", "b"), ("c", "b", "out")):
            scene.put(f"{name}.{writes}", *[b"{}"] * 3)
            scene.finish(stage, f"{name}.{reads}", 3)
            idle.append((await tally.progress()).is_idle)

    assert idle == [True, False, False, False, True]


@in_loop
async def test_a_closed_marker_keeps_nobody_waiting_and_a_spilled_part_does(stage_of):
    scene = stage_of(dags.diamond())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        scene.put_ours(f"{name}.both.retry", f"{name}.in-0-0", {}, outcome="closed")
        scene.put_ours(f"{name}.both.retry", f"{name}.in-0-1", {}, outcome="closed")
        closed = await tally.progress()
        scene.put_ours(f"{name}.both.retry", f"{name}.in-0-2", {}, partial="join")
        spilled = await tally.progress()
        scene.finish("both", f"{name}.both.retry", 0, Runs([(2, 3)]))
        finished = await tally.progress()

    assert [each.is_idle for each in (closed, spilled, finished)] == [True, False, True]


@in_loop
async def test_a_marker_does_not_hide_a_part_that_still_waits(stage_of):
    scene = stage_of(dags.diamond())
    name = scene.topology.pipeline
    async with begun(scene) as tally:
        scene.put_ours(f"{name}.both.retry", f"{name}.in-0-0", {}, outcome="closed")
        scene.put_ours(f"{name}.left", f"{name}.in-0-1", {"id": 1, "l": 2})

        progress = await tally.progress()

    assert not progress.is_idle
