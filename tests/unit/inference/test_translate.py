"""gRPC status to our errors."""

import grpc
import pytest

from headrace.errors import (
    AccessRefusedError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference.messages import MAX_MESSAGE_BYTES
from headrace.inference.translate import Failure, translate

Code = grpc.StatusCode


def kind(code, details="", *, is_connected=True):
    return type(translate(Failure(code, details, is_connected), "model 'm' on h:1"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.UNAVAILABLE, InferenceUnavailableError),
        (Code.RESOURCE_EXHAUSTED, InferenceUnavailableError),
        (Code.DEADLINE_EXCEEDED, InferenceTimeoutError),
        (Code.UNAUTHENTICATED, AccessRefusedError),
        (Code.PERMISSION_DENIED, AccessRefusedError),
        (Code.NOT_FOUND, AccessRefusedError),
        (Code.UNIMPLEMENTED, AccessRefusedError),
        (Code.INVALID_ARGUMENT, InvalidInputError),
        (Code.OUT_OF_RANGE, InvalidInputError),
        (Code.FAILED_PRECONDITION, InvalidInputError),
        (Code.INTERNAL, InferenceFailedError),
        (Code.UNKNOWN, InferenceFailedError),
        (Code.ABORTED, InferenceFailedError),
        (Code.DATA_LOSS, InferenceFailedError),
        (Code.CANCELLED, InferenceFailedError),
        (Code.ALREADY_EXISTS, InferenceFailedError),
    ],
)
def test_every_status_has_its_error(code, expected):
    assert kind(code, "no more is known") is expected


@pytest.mark.parametrize(
    "details",
    [
        "Socket closed",
        "Stream removed (Socket closed)",
        "recvmsg:Connection reset by peer",
        "Connection reset by peer",
        "GOAWAY received; Error code: 0",
        "Broken pipe",
        "keepalive watchdog timeout",
        "ping timeout",
        "Endpoint closing",
        "Cancelling all calls",
        "upstream connect error. reset reason: connection termination",
        "Received http2 header with status: 502",
    ],
)
def test_a_connection_cut_during_the_call_uses_an_attempt(details):
    assert kind(Code.UNAVAILABLE, details) is InferenceFailedError


@pytest.mark.parametrize(
    "details",
    [
        "failed to connect to all addresses; last error: UNKNOWN: Connection refused",
        "failed to connect to all addresses; last error: UNAVAILABLE: Socket closed",
        "DNS resolution failed for nowhere:80",
        "connections to all backends failing; last error: recvmsg:Connection reset by peer",
        "upstream connect error. reset reason: connection failure",
        "the model is loading",
        "Received http2 header with status: 503",
        "",
    ],
)
def test_a_model_that_was_never_reached_uses_no_attempt(details):
    assert kind(Code.UNAVAILABLE, details) is InferenceUnavailableError


def test_a_gateway_that_gave_up_waiting_is_a_timeout():
    details = "Received http2 header with status: 504"

    assert kind(Code.UNAVAILABLE, details) is InferenceTimeoutError


def test_a_deadline_that_passed_without_a_connection_is_no_timeout_of_the_model():
    assert kind(Code.DEADLINE_EXCEEDED, is_connected=False) is InferenceUnavailableError


@pytest.mark.parametrize(
    "details",
    [
        "SERVER: Received message larger than max (5000000 vs. 4194304)",
        "Received message larger than max (5000000 vs. 4194304)",
        "Sent message larger than max (9 vs. 8)",
    ],
)
def test_a_request_that_is_too_large_is_rejected_so_that_smaller_ones_are_tried(details):
    assert kind(Code.RESOURCE_EXHAUSTED, details) is InvalidInputError


def test_an_error_text_that_is_too_large_is_a_failure_of_the_server():
    details = "received trailing metadata size exceeds hard limit (limit=16384)"

    assert kind(Code.RESOURCE_EXHAUSTED, details) is InferenceFailedError


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("Model upper is not ready yet.", InferenceUnavailableError),
        ("Model upper with version 2 is not ready yet.", InferenceUnavailableError),
        ("Model upper with version  is not ready yet.", InferenceUnavailableError),
        (
            "mlserver.errors.ModelNotReady: Model upper is not ready yet.",
            InferenceUnavailableError,
        ),
        ("poison row: 'Model upper is not ready yet.'", InvalidInputError),
    ],
)
def test_mlserver_says_not_ready_as_an_invalid_argument(details, expected):
    assert kind(Code.INVALID_ARGUMENT, details) is expected


def test_a_message_names_where_what_and_the_status():
    error = translate(Failure(Code.INTERNAL, "boom"), "model 'm' on h:1")

    assert str(error) == "model 'm' on h:1: boom (INTERNAL)"
    assert error.status == "INTERNAL"


def test_secrets_that_a_server_repeats_are_not_in_the_message():
    failure = Failure(Code.UNAUTHENTICATED, "token s3cr3t is wrong")

    message = str(translate(failure, "model 'm' on h:1", secrets=["s3cr3t"]))

    assert "s3cr3t" not in message
    assert "token *** is wrong" in message


@pytest.mark.parametrize("letter", ["x", "ñ", "\ud800"])
def test_a_message_is_bounded(letter):
    error = translate(Failure(Code.INTERNAL, letter * 100_000), "model 'm' on h:1")

    assert len(str(error).encode()) <= MAX_MESSAGE_BYTES


def test_a_secret_at_the_cut_does_not_leave_its_first_half():
    secret = "abcdefghijklmnop"
    details = "x" * (MAX_MESSAGE_BYTES - 30) + secret

    assert "abcd" not in str(translate(Failure(Code.INTERNAL, details), "m", secrets=[secret]))
