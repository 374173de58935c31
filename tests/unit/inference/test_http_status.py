"""HTTP status to our errors."""

import pytest

from headrace.errors import (
    AccessRefusedError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference.http_status import Refusal, translate
from headrace.inference.messages import MAX_MESSAGE_BYTES


def failure(status, body=b"", location="", secrets=()):
    return translate(Refusal(status, body, location), "model 'm' on h:1", secrets)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, AccessRefusedError),
        (400, InvalidInputError),
        (401, AccessRefusedError),
        (403, AccessRefusedError),
        (404, AccessRefusedError),
        (405, AccessRefusedError),
        (408, InvalidInputError),
        (409, InvalidInputError),
        (413, InvalidInputError),
        (415, InvalidInputError),
        (422, InvalidInputError),
        (429, InferenceUnavailableError),
        (500, InferenceFailedError),
        (501, AccessRefusedError),
        (502, InferenceFailedError),
        (503, InferenceUnavailableError),
        (504, InferenceTimeoutError),
        (507, InferenceFailedError),
    ],
)
def test_every_status_has_its_error(status, expected):
    found = failure(status)

    assert type(found) is expected
    assert found.status == str(status)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"Model m is not ready yet.", InferenceUnavailableError),
        (b"Model m with version 2 is not ready yet.", InferenceUnavailableError),
        (b"Request for unknown model: 'm' has no available versions", InferenceUnavailableError),
        (b"Request for unknown model: 'm' is not found", AccessRefusedError),
        (b"<html>The plain HTTP request was sent to HTTPS port</html>", AccessRefusedError),
        (b"unexpected shape", InvalidInputError),
    ],
)
@pytest.mark.parametrize("form", [b"%s", b'{"error": "%s"}'])
def test_what_servers_say_with_400_may_be_no_fault_of_a_record(form, said, expected):
    assert type(failure(400, form % said)) is expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "bad \\"x\\""}', 'bad "x"'),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"message": "no Route matched"}', "no Route matched"),
        (b'{"error": {"code": 5}}', '{"error": {"code": 5}}'),
        (b"upstream connect error\n", "upstream connect error"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"", "no details"),
    ],
)
def test_the_servers_words_are_in_the_message(body, said):
    assert str(failure(422, body)) == f"model 'm' on h:1: {said} (HTTP 422)"


def test_a_path_where_the_protocol_is_not_gets_a_way_out_and_an_unknown_model_does_not():
    assert "`authority` where an ingress" in str(failure(404))
    assert "profile: v1" in str(failure(404, b'{"detail":"Not Found"}'))
    assert "profile: v1" not in str(failure(404, b'{"error":"Model x not found"}'))


def test_a_redirection_is_named_and_not_followed():
    assert "redirects to https://login, which is not followed" in str(
        failure(302, b"", "https://login")
    )


def test_a_message_is_short_and_holds_no_secret():
    text = str(failure(500, b"s3cr3t" * 10_000, secrets=["s3cr3t"]))

    assert len(text.encode()) <= MAX_MESSAGE_BYTES
    assert "s3cr3t" not in text
