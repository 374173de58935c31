"""What is certain about a transaction after each kind of error, against a scripted client."""

import asyncio
import gc
import sys
import threading
import weakref

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from headrace.core.records import Commit, TopicPartition
from headrace.errors import FencedError, TransactionAbortedError, TransactionIndefiniteError
from headrace.kafka import producer as module
from headrace.kafka.connections import ConnectionWatch
from headrace.kafka.producer import KafkaSink, _Attempt
from headrace.kafka.translate import let_go
from headrace.ports import GroupToken, Transaction

TRANSACTION = Transaction(
    [("out", b"v", None, -1, 0, None)],
    [Commit(TopicPartition("in", 0), 1, "m")],
    GroupToken(b"token", 1, "member"),
)


def failure(code: int, **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, "scripted", **flags))


FENCED = failure(KafkaError._FENCED, fatal=True)
FATAL = failure(KafkaError.INVALID_TXN_STATE, fatal=True)
ABORTABLE = failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
LATE = failure(KafkaError._TIMED_OUT, retriable=True)


class Client:
    """A producer that fails where it is told to, the given number of times.

    It must not be called while an error is handled: see `failure_of`.
    """

    def __init__(self, **failures: tuple[KafkaException, int]) -> None:
        self.failures = failures
        self.calls: list[str] = []

    def _do(self, call: str) -> None:
        assert sys.exc_info()[1] is None
        self.calls.append(call)
        error, times = self.failures.get(call, (None, 0))
        if error is not None and times > 0:
            self.failures[call] = error, times - 1
            raise error

    def poll(self, _: float) -> None:
        if "poll" in self.failures:
            self._do("poll")

    def init_transactions(self, _: float) -> None:
        self._do("init")

    def begin_transaction(self) -> None:
        self._do("begin")

    def produce(self, *_: object) -> None:
        self._do("produce")

    def list_topics(self, *_: object, **__: object) -> None:
        self._do("list")

    def send_offsets_to_transaction(self, *_: object) -> None:
        self._do("offsets")

    def commit_transaction(self, _: float) -> None:
        self._do("commit")

    def abort_transaction(self, _: float) -> None:
        self._do("abort")


def commit(client: Client) -> None:
    sink = KafkaSink({"transactional.id": "t"})
    sink._producer = client
    sink._commit(TRANSACTION)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_COMMIT_WITHIN_S", 0.05)
    monkeypatch.setattr(module, "_ABORT_WITHIN_S", 0.05)


def test_a_call_that_may_be_repeated_is_repeated():
    client = Client(offsets=(LATE, 2), commit=(LATE, 1))

    commit(client)

    assert client.calls == ["begin", "produce", *["offsets"] * 3, *["commit"] * 2]


@pytest.mark.parametrize("where", ["produce", "offsets", "commit"])
def test_an_abortable_error_is_aborted(where):
    client = Client(**{where: (ABORTABLE, 1)})

    with pytest.raises(TransactionAbortedError):
        commit(client)

    assert client.calls[-1] == "abort"


def test_a_partition_that_is_not_known_yet_is_asked_for_before_the_transaction_is_aborted():
    client = Client(produce=(failure(KafkaError._UNKNOWN_PARTITION), 1))

    with pytest.raises(TransactionAbortedError):
        commit(client)

    assert client.calls == ["begin", "produce", "list", "abort"]


def test_a_transaction_that_fails_twice_keeps_nothing():
    client = Producer({"bootstrap.servers": "127.0.0.1:1", "transactional.id": "t", "log_level": 0})
    attempt = _Attempt(client, lambda _: None)
    seen = weakref.ref(attempt)

    with pytest.raises(TransactionIndefiniteError) as caught:
        attempt.run(TRANSACTION)
    let_go(caught.value)
    del attempt, caught
    gc.collect()

    assert seen() is None


@pytest.mark.parametrize("error", [LATE, FATAL], ids=["late", "fatal"])
def test_an_abort_that_fails_leaves_the_end_unknown(error):
    client = Client(offsets=(ABORTABLE, 1), abort=(error, 99))

    with pytest.raises(TransactionIndefiniteError):
        commit(client)


def test_a_commit_that_is_only_late_is_never_aborted():
    client = Client(commit=(LATE, 99))

    with pytest.raises(TransactionIndefiniteError):
        commit(client)

    assert "abort" not in client.calls


@pytest.mark.parametrize("where", ["offsets", "commit"])
def test_after_another_fatal_error_nothing_is_certain(where):
    client = Client(**{where: (FATAL, 1)})

    with pytest.raises(TransactionIndefiniteError):
        commit(client)

    assert "abort" not in client.calls


@pytest.mark.parametrize(
    "failures",
    [
        {"offsets": (FENCED, 1)},
        {"commit": (FENCED, 1)},
        {"offsets": (ABORTABLE, 1), "abort": (FENCED, 1)},
    ],
    ids=["offsets", "commit", "abort"],
)
def test_a_fenced_producer_is_fenced(failures):
    with pytest.raises(FencedError):
        commit(Client(**failures))


def test_a_fence_after_the_transactions_timeout_may_be_the_brokers_own(monkeypatch):
    monkeypatch.setattr(module, "_SEND_WITHIN_S", 0.0)

    with pytest.raises(TransactionIndefiniteError):
        commit(Client(commit=(FENCED, 1)))


@pytest.mark.parametrize(("error", "ends"), [(LATE, True), (ABORTABLE, False)])
def test_a_producer_whose_end_is_unknown_is_not_used_again(error, ends):
    sink = KafkaSink({"transactional.id": "t"})
    sink._producer = Client(commit=(error, 99))

    with pytest.raises((TransactionIndefiniteError, TransactionAbortedError)):
        sink._commit(TRANSACTION)

    assert (sink._producer is None) == ends


class Stuck(Client):
    """A producer whose call never returns, as librdkafka's where the broker is killed under it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = threading.Event()
        self.thread: threading.Thread | None = None
        self.polls = 0

    def poll(self, _: float) -> None:
        self.polls += 1
        raise failure(KafkaError._FENCED, fatal=True)

    def send_offsets_to_transaction(self, *_: object) -> None:
        self.thread = threading.current_thread()
        self.is_over.wait()


def test_a_producer_whose_transaction_was_aborted_is_opened_again_before_the_next():
    sink, client, fresh = (
        KafkaSink({"transactional.id": "t"}),
        Client(offsets=(ABORTABLE, 1)),
        Client(),
    )

    def open_again() -> None:
        sink._producer, sink._is_doubtful = fresh, False

    sink._producer, sink._open = client, open_again
    with pytest.raises(TransactionAbortedError):
        sink._commit(TRANSACTION)
    sink._commit(TRANSACTION)
    sink._commit(TRANSACTION)

    assert client.calls == ["begin", "produce", "offsets", "abort"]
    assert fresh.calls == ["begin", "produce", "offsets", "commit"] * 2


def test_a_producer_that_lost_a_connection_is_opened_again_before_the_next():
    sink, client, fresh = KafkaSink({"transactional.id": "t"}), Client(), Client()

    def open_again() -> None:
        sink._producer, sink._connections = fresh, ConnectionWatch()

    sink._producer, sink._open = client, open_again
    sink._commit(TRANSACTION)
    for told in (
        "h:1/bootstrap: Broker changed state UP -> DOWN",
        "h:1/1: Broker changed state UP",
    ):
        sink._connections.log(10, "", "STATE", "", told)
        sink._commit(TRANSACTION)
    sink._connections.log(10, "", "STATE", "", "h:1/1: Broker changed state UP -> DOWN")
    sink._commit(TRANSACTION)

    assert len(client.calls) == 12
    assert fresh.calls == ["begin", "produce", "offsets", "commit"]


def test_a_fatal_error_between_transactions_is_told_by_the_next_one():
    client = Client(poll=(FENCED, 1), begin=(FENCED, 1))

    with pytest.raises(FencedError):
        commit(client)

    assert client.calls == ["poll", "begin"]


def test_an_id_that_is_taken_over_while_it_is_taken_says_so(monkeypatch):
    client = Client(poll=(FENCED, 1), init=(FENCED, 1))
    monkeypatch.setattr(module, "made", lambda *_: client)

    with pytest.raises(FencedError):
        KafkaSink({"transactional.id": "t"})._open()


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(module, "_SEND_WITHIN_S", 0.05)
    monkeypatch.setattr(module, "_GRACE_S", 0.05)


@pytest.mark.usefixtures("hasty")
def test_a_client_whose_call_never_returns_is_heard_until_it_does():
    client, fresh = Stuck(), Client()

    async def commit_twice() -> None:
        sink = KafkaSink({"transactional.id": "t"})
        sink._producer = client
        with pytest.raises(TransactionIndefiniteError):
            await sink.commit(TRANSACTION)
        client.polls = 0
        sink._producer = fresh
        await sink.commit(TRANSACTION)
        heard = client.polls
        client.is_over.set()
        await asyncio.to_thread(client.thread.join, 5)
        await sink.commit(TRANSACTION)
        await sink.close()
        assert heard == client.polls == 1

    asyncio.run(asyncio.wait_for(commit_twice(), 5))


@pytest.mark.usefixtures("hasty")
def test_a_client_is_heard_while_nobody_commits_and_its_call_never_returns(monkeypatch):
    monkeypatch.setattr(module, "_HEAR_EVERY_S", 0.01)
    client = Stuck()
    monkeypatch.setattr(module, "made", lambda *_: client)

    async def commit_and_give_up() -> None:
        sink = KafkaSink({"transactional.id": "t"})
        await sink.open()
        committing = asyncio.create_task(sink.commit(TRANSACTION))
        await asyncio.sleep(0.02)
        committing.cancel()
        before = client.polls
        await asyncio.sleep(0.3)
        assert client.polls >= before + 3
        client.is_over.set()
        await sink.close()

    asyncio.run(asyncio.wait_for(commit_and_give_up(), 5))


@pytest.mark.usefixtures("hasty")
def test_a_sink_is_closed_though_a_call_never_returns():
    client = Stuck()

    async def close_under_way() -> None:
        sink = KafkaSink({"transactional.id": "t"})
        sink._producer = client
        committing = asyncio.create_task(sink.commit(TRANSACTION))
        await asyncio.sleep(0.02)
        committing.cancel()
        await sink.close()

    asyncio.run(asyncio.wait_for(close_under_way(), 5))
    client.is_over.set()
