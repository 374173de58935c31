"""Which of our errors an error of the Kafka client becomes."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    FencedError,
    OffsetOutOfRangeError,
    SecurityError,
    UnstableOffsetsError,
)
from headrace.kafka.translate import (
    LOGIN,
    RIGHTS,
    is_about_tokens,
    kafka_error,
    refuses,
    translated,
)

CASES = {
    KafkaError._ALL_BROKERS_DOWN: BrokerUnavailableError,
    KafkaError._TRANSPORT: BrokerUnavailableError,
    KafkaError._TIMED_OUT: BrokerUnavailableError,
    KafkaError._RESOLVE: BrokerUnavailableError,
    KafkaError._NOENT: BrokerUnavailableError,
    KafkaError.CONCURRENT_TRANSACTIONS: BrokerUnavailableError,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: BrokerUnavailableError,
    KafkaError._FENCED: FencedError,
    KafkaError.FENCED_INSTANCE_ID: FencedError,
    KafkaError.INVALID_PRODUCER_EPOCH: FencedError,
    KafkaError.UNSTABLE_OFFSET_COMMIT: UnstableOffsetsError,
    KafkaError.OFFSET_OUT_OF_RANGE: OffsetOutOfRangeError,
    KafkaError._AUTO_OFFSET_RESET: OffsetOutOfRangeError,
    KafkaError.UNKNOWN_TOPIC_OR_PART: BrokerError,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: BrokerError,
    KafkaError._AUTHENTICATION: SecurityError,
    KafkaError._SSL: SecurityError,
}


@pytest.mark.parametrize(("code", "kind"), CASES.items())
def test_the_most_specific_error_is_chosen(code, kind):
    error = translated(KafkaException(KafkaError(code, "why")), "reading t")

    assert type(error) is kind


def test_the_message_says_what_was_tried_and_what_kafka_said():
    error = translated(KafkaError(KafkaError.POLICY_VIOLATION, "too many"), "creating t")

    assert "creating t" in str(error)
    assert "POLICY_VIOLATION: too many" in str(error)


@pytest.mark.parametrize("code", LOGIN | RIGHTS)
def test_a_refusal_says_what_to_change(code):
    error = KafkaError(code, "no")

    assert refuses(error)
    assert (LOGIN | RIGHTS)[code] in str(translated(error, "connecting"))


@pytest.mark.parametrize("alert", ["bad certificate: SSL alert number 42", "unknown ca"])
def test_a_refused_certificate_is_told_from_a_broken_connection(alert):
    said = f"Receive failed: error:0A000412:SSL routines::ssl/tls alert {alert} (after 2ms)"
    error = KafkaError(KafkaError._TRANSPORT, said)

    assert type(translated(error, "connecting")) is SecurityError
    assert "kafka.security.tls.cert" in str(translated(error, "connecting"))


@pytest.mark.parametrize(
    "said",
    [
        "Failed to acquire SASL OAUTHBEARER token: could not connect to server",
        'SASL authentication error: {"status":"invalid_token"}',
        "SASL OAUTHBEARER mechanism handshake failed: Broker: Request not valid in current state",
    ],
)
def test_a_token_that_is_missing_or_too_old_is_asked_for_again(said):
    error = KafkaError(KafkaError._AUTHENTICATION, said)

    assert is_about_tokens(error)
    assert not refuses(error)
    assert translated(error, "connecting").retryable


def test_an_exception_without_the_clients_error_is_still_one():
    assert kafka_error(KafkaException("odd")).code() == KafkaError._FAIL


def test_a_static_member_that_lost_its_place_says_how_that_comes():
    text = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()

    found = translated(KafkaError(KafkaError._FATAL, f"Fatal error: {text}"), "reading in")

    assert isinstance(found, FencedError)
    assert "--slot" in str(found)
    assert "start it again" in str(found)
