"""Servers that speak another protocol than the URL says, or cannot prove who they are."""

import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import trustme

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.errors import AccessRefusedError, InferenceUnavailableError
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import OipServer

TLS = Path(__file__).parent / "tls"
TEXT = Input("text", "text", datatype="BYTES", shape=())
TRANSLATION = OutputField("translation", "translation")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def secured(certificate, trusts=None):
    """An OipServer with this certificate; it asks clients for one of an authority it trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    pair = (
        certificate.private_key_pem.bytes(),
        b"".join(pem.bytes() for pem in certificate.cert_chain_pems),
    )
    if trusts is None:
        credentials = grpc.ssl_server_credentials([pair])
    else:
        trusts.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        credentials = grpc.ssl_server_credentials([pair], trusts.cert_pem.bytes(), True)
    return OipServer(ssl_context=context, credentials=credentials)


@asynccontextmanager
async def client_at(url, **settings):
    client = client_of(
        Model("up", (url,), "upper", timeout_s=5.0, **settings), [TEXT], [TRANSLATION]
    )
    try:
        yield client
    finally:
        await client.close()


async def failure_at(url, **settings):
    async with client_at(url, **settings) as client:
        with pytest.raises((AccessRefusedError, InferenceUnavailableError)) as caught:
            await client.infer([["a"]])
        assert not await client.ready()
    return caught.value


# Another protocol


@pytest.mark.parametrize("profile", ["auto", "json", "v1"])
async def test_http_at_a_grpc_port_says_so(profile):
    async with OipServer() as server:
        url = server.url.replace("grpc://", "http://")
        failure = await failure_at(url, profile=Profile(profile))

    assert type(failure) is AccessRefusedError
    assert "write grpc:// instead of http://" in str(failure)


async def test_grpc_at_an_http_port_says_so():
    async with OipServer() as server:
        failure = await failure_at(server.http_url.replace("http://", "grpc://"))

    assert type(failure) is AccessRefusedError
    assert "write http:// instead of grpc://" in str(failure)


@pytest.mark.parametrize(("spoken", "meant"), [("https", "http"), ("grpcs", "grpc")])
async def test_tls_at_a_port_without_says_so(spoken, meant):
    async with OipServer() as server:
        own = server.http_url if meant == "http" else server.url
        failure = await failure_at(own.replace(meant, spoken))

    assert type(failure) is AccessRefusedError
    assert f"does not speak TLS; write {meant}:// instead of {spoken}://" in str(failure)


async def test_no_tls_at_a_port_with_it_says_what_may_be_wrong(authority):
    async with secured(authority.issue_cert("127.0.0.1")) as server:
        over_http = await failure_at(server.http_url.replace("https", "http"))
        over_grpc = await failure_at(server.url.replace("grpcs", "grpc"))

    assert type(over_http) is AccessRefusedError
    assert "does it speak TLS (https://) or gRPC (grpc://)?" in str(over_http)
    assert "if the server speaks TLS, write grpcs://" in str(over_grpc)


async def test_tls_with_the_other_protocol_behind_it_says_what_may_be_wrong(authority, ca):
    async with secured(authority.issue_cert("127.0.0.1")) as server:
        at_grpc = await failure_at(server.url.replace("grpcs", "https"), tls={"ca": ca})
        at_http = await failure_at(server.http_url.replace("https", "grpcs"), tls={"ca": ca})

    assert "or gRPC (grpc://)?" in str(at_grpc)
    assert "write https:// instead of grpcs://" in str(at_http)


# Certificates

HTTP_AND_GRPC = pytest.mark.parametrize("kind", ["https", "grpcs"])


def url_of(server, kind):
    return server.http_url if kind == "https" else server.url


@HTTP_AND_GRPC
async def test_a_server_of_the_given_authority_is_talked_to(kind, authority, ca):
    async with (
        secured(authority.issue_cert("model.test")) as server,
        client_at(
            url_of(server, kind), tls={"ca": ca, "server_name": "model.test"}, token="abc"
        ) as client,
    ):
        assert (await client.infer([["a"]])).columns == [["A"]]

    assert server.requests[0].metadata["authorization"] == "Bearer abc"


@HTTP_AND_GRPC
async def test_an_expired_certificate_is_refused_and_said_to_be(kind, authority, ca):
    begun = datetime(2020, 1, 1, tzinfo=UTC)
    old = authority.issue_cert("127.0.0.1", not_before=begun, not_after=begun + timedelta(days=1))
    async with secured(old) as server:
        failure = await failure_at(url_of(server, kind), tls={"ca": ca}, token="s3cr3t")

    assert type(failure) is InferenceUnavailableError
    assert "certificate is refused: certificate has expired" in str(failure)
    assert server.requests == []


@HTTP_AND_GRPC
@pytest.mark.parametrize("is_given", [True, False])
async def test_a_certificate_of_another_authority_or_none_is_refused(kind, is_given, ca):
    async with secured(trustme.CA().issue_cert("127.0.0.1")) as server:
        failure = await failure_at(url_of(server, kind), tls={"ca": ca} if is_given else {})

    assert type(failure) is InferenceUnavailableError
    assert "unable to get local issuer certificate; `tls.ca` says whom to trust" in str(failure)


@HTTP_AND_GRPC
async def test_a_certificate_that_signs_itself_is_refused_unless_it_is_the_ca(kind):
    pem, key = TLS / "server.pem", TLS / "server.key"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), pem.read_bytes())])
    trusting = {"ca": str(pem), "server_name": "model.test"}
    async with OipServer(ssl_context=context, credentials=credentials) as server:
        failure = await failure_at(url_of(server, kind), tls={"server_name": "model.test"})
        async with client_at(url_of(server, kind), tls=trusting) as client:
            assert (await client.infer([["a"]])).columns == [["A"]]

    assert "refused: self signed certificate" in str(failure).replace("self-signed", "self signed")


@HTTP_AND_GRPC
async def test_a_certificate_with_another_name_is_refused(kind, authority, ca):
    tls = {"ca": ca, "server_name": "other.test"}
    async with secured(authority.issue_cert("127.0.0.1")) as server:
        failure = await failure_at(url_of(server, kind), tls=tls)

    assert "`tls.server_name` which name it must carry" in str(failure)


@HTTP_AND_GRPC
async def test_the_systems_authorities_are_trusted_by_default(kind, authority, ca, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", ca)
    async with (
        secured(authority.issue_cert("127.0.0.1")) as server,
        client_at(url_of(server, kind)) as client,
    ):
        assert (await client.infer([["a"]])).columns == [["A"]]


@HTTP_AND_GRPC
async def test_a_client_certificate_is_shown_when_given(kind, authority, ca, tmp_path):
    own = authority.issue_cert("client.test")
    own.private_key_pem.write_to_path(tmp_path / "own.key")
    own.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    shown = {"ca": ca, "cert": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.key")}
    async with secured(authority.issue_cert("127.0.0.1"), trusts=authority) as server:
        async with client_at(url_of(server, kind), tls=shown) as client:
            assert (await client.infer([["a"]])).columns == [["A"]]
        failure = await failure_at(url_of(server, kind), tls={"ca": ca})

    assert len(server.requests) == 1
    assert "up" in str(failure)
