"""URLs, TLS files and headers."""

import pytest

from headrace.core.models import Model
from headrace.errors import ConfigError
from headrace.inference.channels import call_metadata, open_channel, target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("grpc://models:8081", "models:8081"),
        ("grpc://models:8081/", "models:8081"),
        ("grpc://models", "models:80"),
        ("grpcs://models", "models:443"),
        ("grpc://[::1]:9000", "[::1]:9000"),
    ],
)
def test_a_url_names_host_and_port(url, expected):
    assert target(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://models:8080",
        "models:8081",
        "grpc://",
        "grpc://models:x",
        "grpc://models:99999",
        "grpc://models:8081/v2",
        "grpc://models:8081?a=b",
        "",
    ],
)
def test_what_is_no_grpc_url_is_refused(url):
    with pytest.raises(ConfigError):
        target(url)


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        target("grpc://user:s3cr3t@models:8081")

    assert "s3cr3t" not in str(caught.value)


def test_headers_are_call_metadata():
    assert call_metadata({"X-Team": "fraud", "key-bin": "ñ"}) == (
        ("x-team", "fraud"),
        ("key-bin", "ñ".encode()),
    )


@pytest.mark.parametrize("headers", [{"a b": "x"}, {"grpc-timeout": "1S"}, {"": "x"}, {"ñ": "x"}])
def test_a_header_that_grpc_cannot_carry_is_refused(headers):
    with pytest.raises(ConfigError):
        call_metadata(headers)


def test_a_value_that_grpc_cannot_carry_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        call_metadata({"x": "s3cr3t\n"})

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ({"ca": "nowhere.pem"}, "nowhere.pem"),
        ({"cert": "a.pem"}, "both cert and key"),
        ({"cafile": "a.pem"}, "cafile"),
    ],
)
def test_tls_files_that_cannot_work_are_named(tls, problem):
    with pytest.raises(ConfigError, match=problem):
        open_channel("grpcs://models:8081", Model("m", (), "m", tls=tls))
