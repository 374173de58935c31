"""Kafka, other programs and the worker's own process going wrong under a running pipeline."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core import retry
from headrace.errors import BrokerError, ConfigError, FencedError, MetadataError
from headrace.kafka.properties import SESSION_TIMEOUT_MS
from headrace.local.kafka import EmbeddedKafka
from headrace.local.ports import free_port
from headrace.testing.oip_server import OipServer, Refuse, Request, Slow, in_turn, upper
from tests.integration.pipelines import Running, Scene, in_loop, text, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

MakeScene = Callable[..., Scene]


class Endless:
    """A process that is waited for in a thread, so that other tests run meanwhile."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.code: int | None = None
        self.seconds = 0.0
        self._process = process
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self.code = self._process.wait()
        self.seconds = time.monotonic() - self._begun

    def join(self) -> None:
        self._thread.join(30)
        self._process.kill()
        self._thread.join(5)


@pytest.fixture(scope="module", autouse=True)
def without_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endless, Scene]]:
    """A worker that was started where no broker is."""
    nowhere = Scene(
        f"127.0.0.1:{free_port()}",
        "nowhere",
        tmp_path_factory.mktemp("nowhere"),
        model={"url": "grpc://127.0.0.1:9"},
    )
    waiting = Endless(nowhere.process())
    yield waiting, nowhere
    waiting.join()


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedKafka]:
    """A broker of this module's own, which may be killed; no group has used it yet."""
    with EmbeddedKafka(port=0) as broker:
        yield broker


@pytest.fixture
def scene(bootstrap: str, unique: Callable[[str], str], tmp_path: Path) -> MakeScene:
    """Return a function that makes a pipeline with topics of its own."""
    return lambda **settings: Scene(bootstrap, unique("p"), tmp_path, **settings)


def texts_asked(server: OipServer) -> Counter[str]:
    """Return how often the model was asked for each text."""
    return Counter(each for request in server.requests for each in request.columns["text"])


def slow_for(seconds: float) -> Callable[[Request], Slow]:
    return lambda request: Slow(seconds, upper(request))


async def prepared(scene: Scene, count: int = 0) -> Scene:
    """Create the topics and write records `0` ... round robin over the partitions."""
    await asyncio.to_thread(scene.create_topics)
    if count:
        await asyncio.to_thread(
            scene.feed, *[text(str(n), partition=n % scene.partitions) for n in range(count)]
        )
    return scene


# The broker


def test_the_offsets_of_a_group_nobody_has_used_can_be_asked_for_on_a_new_broker(own):
    script = """
import asyncio, sys
from headrace.core.models import Model
from headrace.core.steps import ModelStep
from headrace.core.topology import Source, Stage, Topology
from headrace.core.records import TopicPartition
from headrace.errors import BrokerUnavailableError
from headrace.kafka.admin import KafkaGroup
async def ask(number):
    step = ModelStep(name="s", model=Model("m", ("grpc://x",), "m"), inputs=(), outputs=())
    stage = Stage(f"new{number}", "", "s", (step,), (Source("none"),))
    group = KafkaGroup(Topology("new", "", (stage,), bootstrap_servers=sys.argv[1]), stage)
    for _ in range(50):
        try:
            return await group.committed([TopicPartition("none", 0)])
        except BrokerUnavailableError:
            await asyncio.sleep(0.05)
async def main():
    print(sum([await ask(number) is not None for number in range(4)]))
asyncio.run(main())
"""
    asking = [
        subprocess.run(
            [sys.executable, "-c", script, own.bootstrap_servers],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
    ]

    assert [(each.returncode, each.stdout) for each in asking] == [(0, "4\n")]


@in_loop
async def test_a_broker_that_is_killed_and_started_again_costs_nothing(own, unique, tmp_path):
    async with OipServer(slow_for(0.02)) as server:
        stage = Scene(
            own.bootstrap_servers, unique("p"), tmp_path, model={"url": server.url}, partitions=2
        )
        await prepared(stage, 200)
        async with stage.worker() as running:
            await running.until(lambda status: status["counters"]["durable"] > 20)
            # A broker killed before it has written a commit's markers was seen to keep the group's
            # offsets unstable after its restart, with plain clients too: not what is tested here.
            await asyncio.sleep(1.0)
            await asyncio.to_thread(stage.feed, *[text(f"early {n}") for n in range(50)])
            await asyncio.to_thread(own.kill)
            await asyncio.sleep(1.0)  # the outage
            await asyncio.to_thread(own.restart)
            await asyncio.to_thread(stage.feed, *[text(f"later {n}") for n in range(50)])
            await stage.finished(running, within_s=60)
            await running.drain()
        found = await stage.outcome()

    assert len(set(found.texts())) == len(found.texts()) == 300
    assert found.dead == []


@in_loop
async def test_a_source_topic_that_is_deleted_ends_the_worker_by_name(scene):
    async with OipServer() as server:
        stage = await prepared(scene(model={"url": server.url}), 3)
        async with stage.worker() as running:
            await stage.finished(running)
            stage.admin.delete_topics([stage.topic("in")])[stage.topic("in")].result(10)
            with pytest.raises(BrokerError, match=f"topics do not exist: {stage.topic('in')}"):
                await asyncio.wait_for(running.task, 45)


@in_loop
async def test_records_deleted_before_they_were_read_are_reported(scene, caplog):
    async with OipServer() as server:
        stage = await prepared(scene(model={"url": server.url}), 10)
        async with stage.worker() as running:
            await stage.finished(running)
            await running.drain()
        await asyncio.to_thread(stage.feed, *[text(f"new {n}") for n in range(10)])
        below = ClientPartition(stage.topic("in"), 0, 15)
        for deleted in stage.admin.delete_records([below]).values():
            deleted.result(10)
        async with stage.worker() as running:
            await stage.finished(running)
            status = await running.status()
        results = stage.read("out")

    (lost,) = [each for each in caplog.records if getattr(each, "event", "") == "records_lost"]
    assert "no longer holds offsets 10 to 14" in lost.message
    assert status["counters"]["lost"] == 5
    assert [json.loads(each.value)["text"] for each in results[10:]] == [
        f"new {n}" for n in range(5, 10)
    ]


# Other programs


@pytest.mark.parametrize("metadata", ["somebody else's", "headrace", "A" * 40])
@in_loop
async def test_a_commit_of_another_program_stops_the_worker_unless_told_otherwise(scene, metadata):
    async with OipServer() as server:
        stage = await prepared(scene(model={"url": server.url}), 3)
        await asyncio.to_thread(stage.commit, 1, metadata)

        with pytest.raises(MetadataError, match=f"{stage.topic('in')}-0: .*--ignore-metadata"):
            async with stage.worker() as running, asyncio.timeout(30):
                await running.task
        async with stage.worker(ignore_metadata=True) as running:
            await stage.finished(running)
            await running.drain()
        results = stage.read("out")

    assert [json.loads(each.value)["text"] for each in results] == ["1", "2"]


@in_loop
async def test_a_damaged_commit_stops_the_worker(scene):
    async with OipServer() as server:
        stage = await prepared(scene(model={"url": server.url}), 3)
        async with stage.worker() as running:
            await stage.finished(running)
            await running.drain()
        place = ClientPartition(stage.topic("in"), 0)
        whole = await asyncio.to_thread(stage.metadata, place)
        await asyncio.to_thread(stage.commit, 3, whole[:-3] + "~" + whole[-2:])

        with pytest.raises(MetadataError, match="--ignore-metadata"):
            async with stage.worker() as running, asyncio.timeout(30):
                await running.task


@in_loop
async def test_where_a_source_starts_is_its_own_choice(scene):
    async with OipServer() as server:
        latest = await prepared(scene(model={"url": server.url}, source={"start": "latest"}), 3)
        refusing = await prepared(scene(model={"url": server.url}, source={"start": "error"}), 3)

        async with latest.worker() as running:
            await running.until(lambda status: bool(status["partitions"]))
            await asyncio.to_thread(latest.feed, text("new"))
            await until(lambda: texts_asked(server)["new"] == 1)
            await latest.finished(running)
            await running.drain()
        with pytest.raises(ConfigError, match=r"no committed offset for .*start: error; choose"):
            async with refusing.worker() as running, asyncio.timeout(30):
                await running.task

    assert [json.loads(each.value)["text"] for each in latest.read("out")] == ["new"]


@in_loop
async def test_of_two_processes_with_one_slot_one_gives_up_by_name(scene):
    async with OipServer() as server:
        stage = await prepared(scene(model={"url": server.url}, partitions=2))
        async with stage.worker() as first, stage.worker() as second:
            fed = 0
            while not (first.task.done() or second.task.done()):
                batch = [text(f"{fed} {n}", partition=n % 2) for n in range(4)]
                await asyncio.to_thread(stage.feed, *batch)
                fed += 4
                await asyncio.sleep(0.05)
            loser, winner = (first, second) if first.task.done() else (second, first)
            with pytest.raises(FencedError, match="another process uses slot 'a'"):
                await loser.task
            await stage.finished(winner)
            await winner.drain()
        found = await stage.outcome()

    assert len(found.texts()) == fed


# The worker's process


@in_loop
async def test_a_drain_finishes_what_is_in_flight_and_leaves_at_once(scene):
    async with OipServer(slow_for(0.7)) as server:
        stage = await prepared(
            scene(
                model={"url": server.url, "max_in_flight": 2},
                step={"batch": {"max_size": 2, "max_wait": "5ms"}},
                partitions=2,
            ),
            40,
        )
        process = stage.process("--slot", "one")
        await until(lambda: len(server.requests) >= 4, what="calls")
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 20)
        asked_by_the_first = texts_asked(server)
        async with stage.worker("two") as running:
            begun = time.monotonic()
            await running.until(lambda status: len(status["partitions"]) >= 2)
            waited_s = time.monotonic() - begun
            server.model = upper
            await stage.finished(running)
            await running.drain()
        found = await stage.outcome()

    assert code == 0, stage.log.read_text()
    assert set(texts_asked(server).values()) == {1}
    assert 4 <= asked_by_the_first.total() < 40
    assert waited_s < SESSION_TIMEOUT_MS / 1000
    assert len(found.texts()) == 40


@in_loop
async def test_a_rebalance_does_not_wait_for_models_and_repeats_only_what_moved(scene, caplog):
    caplog.set_level("INFO", "headrace")
    async with OipServer(slow_for(5.0)) as server:
        stage = await prepared(scene(model={"url": server.url}, partitions=4), 16)
        async with stage.worker("a") as first:
            await until(lambda: texts_asked(server).total() == 16, what="16 asked")
            async with stage.worker("b") as second:
                begun = time.monotonic()
                await second.until(lambda status: owned(status, stage) == 2)
                moved_s = time.monotonic() - begun
                kept = await partitions_of(first, stage)
                await until(lambda: texts_asked(server).total() == 24, what="8 repeated")
                await second.until(lambda status: status["counters"]["durable"] == 8)
                await second.drain()
            await first.until(lambda status: owned(status, stage) == 4)
            await stage.finished(first)
            status = await first.status()
            server.model = upper
            await asyncio.to_thread(stage.feed, *[text(f"new {n}", partition=n) for n in range(4)])
            await stage.finished(first)
            await first.drain()
        found = await stage.outcome()

    asked = texts_asked(server)
    assert moved_s < 4.0
    assert status["counters"]["adopted"] >= 2
    assert {asked[str(n)] for n in range(16) if n % 4 in kept} == {1}
    assert {asked[str(n)] for n in range(16) if n % 4 not in kept} == {2}
    assert {asked[f"new {n}"] for n in range(4)} == {1}
    assert len(found.texts()) == 20


def owned(status: dict, stage: Scene) -> int:
    return sum(each["topic"] == stage.topic("in") for each in status["partitions"])


async def partitions_of(running: Running, stage: Scene) -> set[int]:
    status = await running.status()
    return {p["partition"] for p in status["partitions"] if p["topic"] == stage.topic("in")}


@in_loop
async def test_what_is_durable_is_never_asked_again_after_a_kill(scene):
    def model(request: Request) -> Slow:
        is_slow = "slow" in request.columns["text"] and not killed
        return Slow(20.0 if is_slow else 0.02, upper(request))

    killed = False
    async with OipServer(model) as server:
        stage = await prepared(
            scene(
                model={"url": server.url, "timeout": "60s", "max_in_flight": 4},
                step={"batch": {"max_size": 4, "max_wait": "5ms"}},
            )
        )
        others = [text(str(n), key=b"%d" % (n % 5)) for n in range(200)]
        await asyncio.to_thread(stage.feed, *others[:20])
        process = stage.process("--slot", "one")
        try:
            await until(lambda: texts_asked(server).total() >= 20, what="first calls")
            await asyncio.to_thread(stage.feed, text("slow", key=b"slow"))
            await until(lambda: texts_asked(server)["slow"] == 1, what="the slow record")
            await asyncio.to_thread(stage.feed, *others[20:])
            await until(lambda: len(stage.read("out")) >= 150, what="150 results")
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
        durable = {json.loads(each.value)["text"] for each in stage.read("out")}
        before = texts_asked(server)
        killed = True
        async with stage.worker("two") as running:
            await stage.finished(running)
            await running.drain()
        found = await stage.outcome()

    again = texts_asked(server) - before
    assert len(durable) >= 150
    assert not durable & again.keys()
    assert again["slow"] == 1
    assert len(found.texts()) == 201


# Order


@pytest.mark.parametrize("ordering", ["key", "partition"])
@in_loop
async def test_results_keep_their_order_however_long_each_takes(scene, ordering):
    def model(request: Request) -> Slow:
        seconds = max(float(each.split()[1]) for each in request.columns["text"])
        return Slow(seconds, upper(request))

    async with OipServer(model) as server:
        stage = scene(
            model={"url": server.url, "max_in_flight": 16, "min_in_flight": 16},
            step={"ordering": ordering, "batch": {"max_size": 3, "max_wait": "5ms"}},
            partitions=2,
        )
        found = await stage.run_through(
            *[
                text(f"{n} {n * 7 % 10 * 0.03}", key=b"%d" % (n % 6), partition=n % 2)
                for n in range(120)
            ]
        )

    assert len(found.texts()) == 120


@in_loop
async def test_a_long_delay_without_order_goes_through_the_retry_topic(scene, monkeypatch):
    monkeypatch.setattr(retry, "RETRY_TOPIC_DELAY_S", 0.4)
    failing = in_turn([Refuse(grpc.StatusCode.INTERNAL, "not now"), upper])
    async with OipServer(
        lambda r: failing(r) if "bad" in r.columns["text"] else upper(r)
    ) as server:
        stage = scene(
            model={"url": server.url},
            step={
                "ordering": "none",
                "batch": {"max_size": 1, "max_wait": "1ms"},
                "retry": {"max_attempts": 3, "first_delay": "1s", "max_delay": "1s"},
            },
        )
        found = await stage.run_through(text("a"), text("bad"), *[text(str(n)) for n in range(9)])
        waiting = stage.read("retry")

    assert sorted(found.texts()) == sorted(["a", "bad", *map(str, range(9))])
    assert json.loads(found.results[-1].value)["text"] == "bad"
    assert found.dead == []
    (sent,) = waiting
    assert dict(sent.headers)["headrace-attempt"] == b"2"


def test_a_worker_without_a_broker_exits_with_3_and_says_so(without_broker):
    waiting, nowhere = without_broker

    waiting.join()

    assert waiting.code == 3
    assert waiting.seconds < 25
    assert f"no broker answers at {nowhere.bootstrap} within 10 s" in nowhere.log.read_text()
