"""Which of our errors an error of the Kafka client becomes."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    FencedError,
    OffsetOutOfRangeError,
    UnstableOffsetsError,
)
from headrace.kafka.translate import ACCESS, kafka_error, refuses, translated

CASES = {
    KafkaError._ALL_BROKERS_DOWN: BrokerUnavailableError,
    KafkaError._TRANSPORT: BrokerUnavailableError,
    KafkaError._TIMED_OUT: BrokerUnavailableError,
    KafkaError._RESOLVE: BrokerUnavailableError,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: BrokerUnavailableError,
    KafkaError._FENCED: FencedError,
    KafkaError.INVALID_PRODUCER_EPOCH: FencedError,
    KafkaError.UNSTABLE_OFFSET_COMMIT: UnstableOffsetsError,
    KafkaError.OFFSET_OUT_OF_RANGE: OffsetOutOfRangeError,
    KafkaError._AUTO_OFFSET_RESET: OffsetOutOfRangeError,
    KafkaError.UNKNOWN_TOPIC_OR_PART: BrokerError,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: BrokerError,
    KafkaError._AUTHENTICATION: BrokerError,
}


@pytest.mark.parametrize(("code", "kind"), CASES.items())
def test_the_most_specific_error_is_chosen(code, kind):
    error = translated(KafkaException(KafkaError(code, "why")), "reading t")

    assert type(error) is kind


def test_the_message_says_what_was_tried_and_what_kafka_said():
    error = translated(KafkaError(KafkaError.POLICY_VIOLATION, "too many"), "creating t")

    assert "creating t" in str(error)
    assert "POLICY_VIOLATION: too many" in str(error)


@pytest.mark.parametrize("code", ACCESS)
def test_a_refusal_says_what_to_check(code):
    error = KafkaError(code, "no")

    assert refuses(error)
    assert ACCESS[code] in str(translated(error, "connecting"))


def test_an_exception_without_the_clients_error_is_still_one():
    assert kafka_error(KafkaException("odd")).code() == KafkaError._FAIL
