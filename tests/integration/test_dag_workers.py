"""A DAG whose workers stop, die and come back: late parts, and topics that shrink meanwhile."""

import asyncio
import functools
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from headrace import wiring
from headrace.core import wire
from headrace.core.records import TopicPartition
from headrace.kafka.purge import Purge
from headrace.kafka.reading import log_bounds
from tests.integration.dag_scene import DagScene, header, scenes
from tests.integration.pipelines import in_loop

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

PIPELINE = """\
topics: {trace_window: 0s}
sources: {texts: NAME.in}
steps:
  left: {from: texts, function: MODULE:left, reads: [text], writes: [left]}
  right: {from: texts, function: MODULE:right, reads: [text], writes: [right]}
  both: {from: [left, right], function: MODULE:both, writes: [both]MORE}
sinks: {NAME.out: both}
"""

RULES = """\
def left(document):
    return {"left": document["text"] + "<"}


def right(document):
    return {"right": ">" + document["text"]}


def both(document):
    return {"both": document["left"] + document["right"]}
"""


@pytest.fixture
def scene(
    bootstrap: str, unique: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., DagScene]]:
    with scenes(bootstrap, unique, tmp_path, PIPELINE, RULES) as make:
        yield make


def texts(count: int) -> list[dict[str, str]]:
    return [{"text": f"t{number}"} for number in range(count)]


def joined(document: dict[str, str]) -> dict[str, str]:
    text = document["text"]
    return {"text": text, "left": f"{text}<", "right": f">{text}", "both": f"{text}<>{text}"}


def test_a_part_that_comes_after_the_timeout_finishes_the_marker_and_nothing_else(scene):
    s = scene(", timeout: 2s")
    retry, out = s.topology.retry_topics["both"], f"{s.name}.out"
    ids = s.feed(f"{s.name}.in", *texts(5))

    with s.worker("left", "both") as dying:
        s.until(lambda: len(s.read(f"{s.name}.left")) == 5 and len(s.letters()) == 5)
        waiting = s.headrace("trace", "FILE", ids[0]).splitlines()
        dying.send_signal(signal.SIGKILL)
        dying.wait()
    markers = s.read(retry)
    behind = s.unfinished("both")
    with s.worker():
        s.until_finished()
    after = s.headrace("trace", "FILE", ids[0]).splitlines()

    early = f"now: {ids[0]}: ended early at step both; parts that still come are dropped"
    assert early in waiting
    assert early not in after
    assert {header(each, wire.OUTCOME) for each in markers} == {"closed"}
    assert [header(each, wire.ID) for each in markers] == ids
    assert TopicPartition(retry, 0) in behind
    assert sorted(header(each, wire.ID) for each in s.letters()) == ids
    assert {header(each, wire.ERROR_MESSAGE) for each in s.letters()} == {
        "right did not come in time"
    }
    assert len(s.read(f"{s.name}.right")) == 5
    assert len(s.read(retry)) == 5
    assert s.documents(out) == []


def test_a_record_that_timed_out_is_whole_after_a_replay_if_its_part_is_still_to_come(scene):
    s = scene(", timeout: 12s")
    (id_,) = s.feed(f"{s.name}.in", *texts(1))

    with s.worker("left", "both"):
        s.until(lambda: len(s.letters()) == 1)
        s.headrace("dlq", "replay", "FILE")
        # The replay is read before the part comes: the marker would end the part without a trace.
        with s.worker("right", slot="b"):
            s.until(lambda: len(s.documents(f"{s.name}.out")) == 1)
            s.until_finished()
    trace = s.headrace("trace", "FILE", id_).splitlines()

    assert s.documents(f"{s.name}.out") == [joined(each) for each in texts(1)]
    assert len(s.letters()) == 1
    assert "now: finished" in trace


def test_a_join_whose_worker_is_killed_while_it_waits_waits_on(scene):
    s = scene()
    s.feed(f"{s.name}.in", *texts(20))

    with s.worker("left", "both") as dying:
        s.until(lambda: len(s.read(f"{s.name}.left")) == 20)
        dying.send_signal(signal.SIGKILL)
        dying.wait()
    with s.worker("both", slot="b"), s.worker("right", slot="c"):
        s.until(lambda: len(s.documents(f"{s.name}.out")) == 20)
        s.until_finished("both", "right")

    assert s.documents(f"{s.name}.out") == [joined(each) for each in texts(20)]
    assert s.letters() == []


@in_loop
async def test_what_a_join_waits_for_stays_while_everything_else_is_removed(scene, monkeypatch):
    s = await asyncio.to_thread(scene)
    monkeypatch.setattr(wiring, "Purge", functools.partial(Purge, every_s=0.2))
    connection = {"bootstrap.servers": s.bootstrap}
    left, right = (TopicPartition(f"{s.name}.{step}", 0) for step in ("left", "right"))

    def kept(place: TopicPartition) -> int:
        """Return how many records a partition still has, whatever they are."""
        start, end = log_bounds(connection, [place])[place]
        return end - start

    def is_done(count: int) -> bool:
        return len(s.documents(f"{s.name}.out")) == count

    async with AsyncExitStack() as running:
        await running.enter_async_context(s.worker_here("left", "both"))
        await asyncio.to_thread(s.feed, f"{s.name}.in", *texts(50))
        await asyncio.to_thread(s.until, lambda: kept(left) > 50)
        await asyncio.sleep(1.0)
        waiting = await asyncio.to_thread(s.read, left.topic)
        async with s.worker_here("right"):
            await asyncio.to_thread(s.until, lambda: is_done(50))
            await asyncio.to_thread(s.until, lambda: kept(left) == kept(right) == 0)
        await asyncio.to_thread(s.feed, f"{s.name}.in", *texts(3))
        await asyncio.to_thread(s.until, lambda: len(s.read(left.topic)) == 3)
        await asyncio.sleep(1.0)
        again = await asyncio.to_thread(s.read, left.topic)

    assert len(waiting) == 50
    assert len(again) == 3
    documents = await asyncio.to_thread(s.documents, f"{s.name}.out")
    assert documents == [joined(each) for each in texts(50)]
