from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.core.records import TopicPartition
from headrace.errors import FencedError, OffsetOutOfRangeError
from headrace.kafka import gone, polling, trouble
from headrace.kafka.polling import Poller

P = TopicPartition("in", 3)


class _Failures(list):
    is_full = False

    def fail(self, failure):
        self.append(failure)


@pytest.fixture
def failures():
    return _Failures()


@pytest.fixture
def poller(failures):
    """A poller whose partition was assigned without a position, and then begun at 7."""
    poller = Poller({}, ["in"], is_incremental=False, handover=failures, rebalances=None)
    poller._consumer = SimpleNamespace(seek=lambda _: None, resume=lambda _: None)
    poller._consumer.offsets_for_times = lambda *_, **__: []
    poller._since[P], poller._epoch = 1, 1
    poller._undecided.add(P)
    poller._halted.add(P)
    poller.start_at(1, P, 7)
    return poller


def out_of_range(offset):
    return SimpleNamespace(
        error=lambda: KafkaError(KafkaError._AUTO_OFFSET_RESET),
        topic=lambda: P.topic,
        partition=lambda: P.partition,
        offset=lambda: offset,
    )


def test_what_is_said_late_of_a_placeholder_is_not_said_of_the_place(poller, failures):
    poller._judge(out_of_range(0))

    assert failures == []


class _Group:
    """Answers what a group has committed, as a consumer does."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def committed(self, asked, **_):
        answer = self._answers.pop(0)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        asked[0].offset = answer
        return asked


NONE = -1001
NO_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)


@pytest.mark.parametrize("committed", [7, 3, NONE])
def test_a_place_that_is_gone_ends_the_source(poller, failures, committed):
    poller._judge(out_of_range(7))
    poller._gone.look(_Group(committed))

    [failure] = failures
    assert isinstance(failure, OffsetOutOfRangeError)
    assert "in-3 no longer has offset 7" in str(failure)


@pytest.mark.parametrize("answer", [8, NO_MEMBER])
def test_a_place_that_somebody_else_has_passed_is_no_loss(poller, failures, answer):
    poller._judge(out_of_range(7))
    poller._gone.look(_Group(answer))
    poller._forget([P])
    poller._gone._look_due = 0.0
    poller._gone.look(_Group())

    assert failures == []


def test_a_place_that_is_gone_ends_the_source_if_its_partition_stays(poller, failures, monkeypatch):
    monkeypatch.setattr(gone, "MOVED_WITHIN_S", -1.0)
    poller._judge(out_of_range(7))
    poller._gone.look(_Group(NO_MEMBER))

    assert len(failures) == 1


REFUSED = KafkaError(
    KafkaError._FATAL, f"Fatal error: {KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()}"
)


def test_a_place_that_is_held_is_asked_for_again_by_a_new_client(poller, failures, monkeypatch):
    did = []
    again = SimpleNamespace(
        subscribe=lambda *_, **__: poller.stop(), close=lambda: did.append("left")
    )
    refused = SimpleNamespace(
        poll=lambda _: poller._trouble.on_error(REFUSED),
        position=lambda _: [],
        close=lambda: did.append("gave up"),
    )
    monkeypatch.setattr(polling, "_JOIN_AGAIN_S", 0.0)
    monkeypatch.setattr(polling, "made", lambda *_: again)
    poller._consumer = refused

    poller.run()

    assert failures == []
    assert did == ["gave up", "left"]


def test_a_place_that_stays_held_ends_the_source(failures, monkeypatch):
    monkeypatch.setattr(trouble, "PLACE_FREE_WITHIN_S", -1.0)
    judge = trouble.Trouble(failures, ["in"])

    judge.on_error(REFUSED)

    [failure] = failures
    assert isinstance(failure, FencedError)
    assert "--slot of its own" in str(failure)
    assert not judge.must_join_again
