"""Dead letters go back exactly once: two replayers, kills, marks that cannot be read yet."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from headrace.core import wire
from headrace.core.models import Model
from headrace.core.records import Record
from headrace.core.steps import ModelStep
from headrace.core.topology import Source, Stage, Topology
from headrace.errors import ConfigError, FencedError, MissingTopicsError
from headrace.kafka.dead_letters import DeadLetters
from headrace.kafka.reading import existing_partitions, held_records
from headrace.kafka.replay import BATCH_RECORDS, Replayed, replay

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

LETTERS = 2 * BATCH_RECORDS + 50


def topology_of(bootstrap: str, name: str) -> Topology:
    """A pipeline whose steps `step` and `other` meet in `both`."""
    model = Model("model", ("grpc://127.0.0.1:1",), "model")
    steps = [
        ModelStep(name=each, model=model, inputs=(), outputs=())
        for each in ("step", "other", "both")
    ]
    source = Source(f"{name}-source")
    stages = tuple(Stage(name, "", each.name, (each,), (source,), source.topic) for each in steps)
    return Topology(name, "", stages, bootstrap_servers=bootstrap)


@pytest.fixture
def topology(bootstrap: str, admin, unique: Callable[[str], str]) -> Topology:
    """A pipeline whose dead-letter and retry topics exist, with 2 partitions."""
    from confluent_kafka.admin import NewTopic

    made = topology_of(bootstrap, unique("pipeline"))
    topics = [made.dead_letter_topic, *made.retry_topics.values()]
    # Letters of a test are old by their timestamps: the broker would soon delete them.
    forever = {"retention.ms": "-1"}
    new = [NewTopic(each, 2, 1, config=forever) for each in topics]
    for created in admin.create_topics(new).values():
        created.result(20)
    return made


def letter(number: int, **more: bytes) -> list[tuple[str, bytes]]:
    headers = {
        wire.VERSION: wire.FORMAT,
        wire.ID: b"source-0-%d" % number,
        wire.SOURCE: b"source/0/%d" % number,
        wire.PIPELINE: b"abc",
        "trace": b"mine",
        wire.ERROR_STEP: b"step",
        wire.ERROR_CLASS: b"InvalidInputError",
        wire.ERROR_MESSAGE: b"bad",
        wire.ERROR_ATTEMPTS: b"3",
        wire.ERROR_LAST: b"%d" % (1000 + number),
    }
    changed = {name.replace("_", "-"): content for name, content in more.items()}
    return list((headers | changed).items())


def give_up(topology: Topology, count: int, **more: bytes) -> None:
    """Write dead letters, half of them to each partition."""
    producer = Producer({"bootstrap.servers": topology.bootstrap_servers})
    for number in range(count):
        producer.produce(
            topology.dead_letter_topic,
            b"value %d" % number,
            b"key %d" % number,
            number % 2,
            timestamp=5_000 + number,
            headers=letter(number, **more),
        )
    assert producer.flush(20) == 0


def sent_back(topology: Topology) -> list[Record]:
    """Return every committed retry record."""
    connection = {"bootstrap.servers": topology.bootstrap_servers}
    topics = topology.retry_topics.values()
    places = [place for topic in topics for place in existing_partitions(connection, topic)]
    return list(held_records(connection, places, is_committed=False, within_s=30))


def give_up_joined(topology: Topology, count: int, *, without_value: int | None = None) -> None:
    """Write for every record the letters of a child, of another step, and of their join."""
    producer = Producer({"bootstrap.servers": topology.bootstrap_servers})
    failures: list[object] = []
    parts = {
        "count": None,
        "parts": [
            {"from": "step", "outcome": "failed", "error": {"step": "step", "class": "E"}},
            {"from": "other", "outcome": "result", "document": {"a": 1}},
        ],
    }
    for number in range(count):
        root = f"source-{number % 2}-{number}"
        for step, id_, more in [
            ("step", f"{root}/1", {wire.CHILDREN: b"2", wire.HOME: b"0"}),
            ("other", f"{root}/1", {wire.MODELS: b"a=a@1", wire.DEADLINE: b"7"}),
            ("both", root, {wire.PARTIAL: b"join", wire.ERROR_CLASS: b"MissingPartError"}),
        ]:
            value = json.dumps(parts).encode() if step == "both" else b"value"
            named = {wire.ID: id_.encode(), wire.ERROR_STEP: step.encode(), **more}
            producer.produce(
                topology.dead_letter_topic,
                None if number == without_value and step == "other" else value,
                b"key",
                number % 2,
                timestamp=5_000 + number,
                headers=list((dict(letter(number)) | named).items()),
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
    assert producer.flush(20) == 0
    assert failures == []


def joined_once(count: int) -> Counter[tuple[str, str]]:
    """Return what is sent back of that many records, by retry topic's step and id."""
    roots = [f"source-{number % 2}-{number}" for number in range(count)]
    return Counter(
        each
        for root in roots
        for each in (("step", f"{root}/1"), ("other", f"{root}/1"), ("both", root))
    )


def steps_and_ids(records: list[Record]) -> Counter[tuple[str, str]]:
    return Counter(
        (record.partition.topic.split(".")[-2], dict(record.headers or ())[wire.ID].decode())
        for record in records
    )


def ids(records: list[Record]) -> Counter[bytes | None]:
    return Counter(dict(record.headers or ())[wire.ID] for record in records)


def each_once(count: int) -> Counter[bytes]:
    return Counter(b"source-0-%d" % number for number in range(count))


def run(topology: Topology, **settings: object) -> Replayed:
    return asyncio.run(replay(topology, **settings))


def test_a_letter_goes_back_as_its_step_read_it(topology: Topology):
    give_up(topology, 2)

    done = run(topology)

    record = next(each for each in sent_back(topology) if each.partition.partition == 1)
    assert done == Replayed(records=2, without_value=0)
    assert (record.key, record.value, record.timestamp) == (b"key 1", b"value 1", 5_001)
    headers = dict(record.headers or ())
    assert abs(int(headers.pop(wire.AT)) / 1000 - time.time()) < 60
    assert headers == {
        wire.VERSION: wire.FORMAT,
        wire.ID: b"source-0-1",
        wire.SOURCE: b"source/0/1",
        wire.PIPELINE: b"abc",
        "trace": b"mine",
        wire.REPLAY: b"1",
        wire.ATTEMPT: b"1",
    }


def test_what_was_sent_back_is_not_open_any_more(topology: Topology):
    give_up(topology, 3)
    run(topology, choose=lambda each: each.id != "source-0-1")

    (left,) = DeadLetters(topology).open()

    assert left.id == "source-0-1"
    assert (left.step, left.error, left.attempts, left.last_ms) == (
        "step",
        "InvalidInputError",
        3,
        1001,
    )


def test_a_second_replay_sends_nothing(topology: Topology):
    give_up(topology, LETTERS)
    first = run(topology)

    second = run(topology)

    assert (first.records, second.records) == (LETTERS, 0)
    assert ids(sent_back(topology)) == each_once(LETTERS)


def test_of_two_replayers_at_once_one_wins_and_each_letter_goes_back_once(topology: Topology):
    give_up(topology, LETTERS)
    under_way, taken_over = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "before_commit":
            under_way.set()
            taken_over.wait(20)

    def tell(point: str) -> None:
        if point == "begin":
            taken_over.set()

    async def both() -> list[object]:
        async def second() -> Replayed:
            await asyncio.to_thread(under_way.wait, 20)
            return await replay(topology, fault_point=tell)

        first = replay(topology, fault_point=hold)
        return await asyncio.gather(first, second(), return_exceptions=True)

    lost, won = asyncio.run(both())

    assert isinstance(lost, FencedError)
    assert "another replay" in str(lost)
    assert won == Replayed(LETTERS, 0)
    assert ids(sent_back(topology)) == each_once(LETTERS)


def test_two_replayers_that_race_freely_send_each_letter_once(topology: Topology):
    give_up(topology, LETTERS)

    async def both() -> list[object]:
        return await asyncio.gather(replay(topology), replay(topology), return_exceptions=True)

    ended = asyncio.run(both())

    unexpected = [e for e in ended if isinstance(e, Exception) and not isinstance(e, FencedError)]
    assert not unexpected
    run(topology)
    assert ids(sent_back(topology)) == each_once(LETTERS)


@pytest.mark.parametrize("point", ["begin", "produced", "before_commit", "after_commit"])
def test_a_replay_that_is_killed_and_started_again_sends_each_letter_once(
    topology: Topology, point: str
):
    give_up(topology, LETTERS)

    killed = replay_until(topology, point)
    again = run(topology)

    committed = 2 if point == "after_commit" else 1
    assert killed == -signal.SIGKILL
    assert again.records == LETTERS - committed * BATCH_RECORDS
    assert ids(sent_back(topology)) == each_once(LETTERS)


def replay_until(topology: Topology, point: str) -> int:
    """Replay in a process that is killed at a point of its second transaction; its exit code."""
    code = (
        "import asyncio, os, signal, sys, itertools\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from headrace.kafka.replay import replay\n"
        "from test_dead_letters import topology_of\n"
        "seen = itertools.count(1)\n"
        "def die(point):\n"
        f"    if point == {point!r} and next(seen) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(replay(topology_of(*sys.argv[1:]), fault_point=die))\n"
    )

    killed = subprocess.run(
        [sys.executable, "-c", code, topology.bootstrap_servers, topology.pipeline],
        timeout=60,
        check=False,
    )
    return killed.returncode


@pytest.mark.parametrize("point", ["produced", "after_commit"])
def test_a_killed_replay_of_joins_sends_every_letter_of_every_step_once(
    topology: Topology, point: str
):
    give_up_joined(topology, 150)

    assert len(DeadLetters(topology).open()) == 450
    killed = replay_until(topology, point)
    before = steps_and_ids(sent_back(topology))
    again = run(topology)

    whole = BATCH_RECORDS // 3 * 3  # the letters of a record are never parted
    committed = 2 if point == "after_commit" else 1
    assert killed == -signal.SIGKILL
    assert sum(before.values()) == committed * whole
    assert Counter(id_.partition("/")[0] for _, id_ in before) == dict.fromkeys(
        {id_.partition("/")[0] for _, id_ in before}, 3
    )
    assert again.records == 450 - committed * whole
    assert steps_and_ids(sent_back(topology)) == joined_once(150)


def test_replayers_of_joins_that_race_send_every_letter_of_every_step_once(topology: Topology):
    give_up_joined(topology, 150)

    async def both() -> list[object]:
        return await asyncio.gather(replay(topology), replay(topology), return_exceptions=True)

    ended = asyncio.run(both())

    assert not [e for e in ended if isinstance(e, Exception) and not isinstance(e, FencedError)]
    run(topology)
    assert steps_and_ids(sent_back(topology)) == joined_once(150)


def test_with_a_chosen_letter_go_all_others_of_its_record(topology: Topology):
    give_up_joined(topology, 3)

    done = run(
        topology, choose=lambda each: each.id.startswith("source-1-1") and each.step == "step"
    )

    assert done == Replayed(records=3, without_value=0, along=2)
    assert {each.record for each in DeadLetters(topology).open()} == {"source-0-0", "source-0-2"}


def test_what_a_letter_says_of_splits_parts_and_models_is_kept_and_its_deadline_is_not(
    topology: Topology,
):
    give_up_joined(topology, 1)
    run(topology)

    back = {
        each.partition.topic.split(".")[-2]: (each.value, dict(each.headers or ()))
        for each in sent_back(topology)
    }

    assert back["step"][1][wire.CHILDREN] == b"2"
    assert back["step"][1][wire.HOME] == b"0"
    assert back["other"][1][wire.MODELS] == b"a=a@1"
    assert wire.DEADLINE not in back["other"][1]
    assert back["both"][1][wire.PARTIAL] == b"join"
    assert json.loads(back["both"][0])["parts"][1]["document"] == {"a": 1}


def test_a_record_of_which_a_letter_has_no_value_is_left_whole(topology: Topology):
    give_up_joined(topology, 2, without_value=1)

    assert run(topology) == Replayed(records=3, without_value=1, left=2)
    assert {each.record for each in DeadLetters(topology).open()} == {"source-1-1"}


def test_a_join_that_failed_because_of_a_part_names_its_step(topology: Topology):
    give_up_joined(topology, 1)

    letters = {each.step: each for each in DeadLetters(topology).open()}

    assert letters["both"].because_of == ["step"]
    assert [part.outcome for part in letters["both"].parts] == ["failed", "result"]
    assert (letters["step"].because_of, letters["step"].parts) == ((), ())


def test_a_mark_behind_an_open_transaction_is_waited_for(topology: Topology):
    give_up(topology, 2)
    worker = Producer(
        {
            "bootstrap.servers": topology.bootstrap_servers,
            "transactional.id": f"{topology.pipeline}.worker",
        }
    )
    worker.init_transactions(20)

    def leave_open(point: str) -> None:
        if point == "begin":
            worker.begin_transaction()
            for partition in range(2):
                worker.produce(topology.dead_letter_topic, b"x", None, partition, headers=letter(9))
            worker.flush(20)

    first = run(topology, fault_point=leave_open)
    ending = threading.Timer(1.0, worker.abort_transaction)
    ending.start()
    second = run(topology)
    ending.join()

    assert (first.records, second.records) == (2, 0)
    assert ids(sent_back(topology)) == each_once(2)


def test_letters_of_one_record_stay_together_and_go_to_their_partition(topology: Topology):
    give_up(topology, 2)
    give_up(topology, 2)

    assert run(topology).records == 4
    assert {
        (dict(each.headers or ())[wire.ID], each.partition.partition)
        for each in sent_back(topology)
    } == {(b"source-0-0", 0), (b"source-0-1", 1)}


def test_a_letter_without_its_value_is_left_alone(topology: Topology):
    producer = Producer({"bootstrap.servers": topology.bootstrap_servers})
    producer.produce(topology.dead_letter_topic, None, b"k", 0, timestamp=1, headers=letter(0))
    producer.flush(20)

    assert run(topology) == Replayed(records=0, without_value=1)
    assert len(DeadLetters(topology).open()) == 1


def test_letters_of_a_step_that_is_gone_are_refused_before_anything_is_sent(topology: Topology):
    give_up(topology, 1)
    give_up(topology, 1, headrace_error_step=b"old")

    with pytest.raises(ConfigError, match="has no step 'old'"):
        run(topology)

    assert sent_back(topology) == []


def test_the_rate_is_kept(topology: Topology):
    give_up(topology, 60)

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await replay(topology, rate=30)
        return loop.time() - begun

    assert asyncio.run(timed()) >= 1.0


def test_without_a_dead_letter_topic_the_way_out_is_named(bootstrap: str, unique):
    with pytest.raises(MissingTopicsError, match="topics apply"):
        DeadLetters(topology_of(bootstrap, unique("nobody"))).open()
