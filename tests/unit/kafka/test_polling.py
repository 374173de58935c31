from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from headrace.core.records import TopicPartition
from headrace.errors import OffsetOutOfRangeError
from headrace.kafka.polling import Poller

P = TopicPartition("in", 3)


class _Failures(list):
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


def test_a_place_that_is_gone_ends_the_source(poller, failures):
    poller._judge(out_of_range(7))

    [failure] = failures
    assert isinstance(failure, OffsetOutOfRangeError)
    assert "in-3 no longer has offset 7" in str(failure)
