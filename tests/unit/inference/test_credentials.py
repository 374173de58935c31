"""Tokens from files that change and from OAuth endpoints, over gRPC and HTTP."""

import asyncio
import base64
import logging
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import grpc
import pytest
from aiohttp import web

from headrace.core.models import Input, Model, OAuth, OutputField
from headrace.errors import AccessRefusedError, ConfigError, InferenceUnavailableError
from headrace.inference.credentials import FileToken
from headrace.inference.oauth import OAuthToken
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import OipServer, Refuse, upper

TEXT = Input("text", "text", datatype="BYTES", shape=())
TRANSLATION = OutputField("translation", "translation")
SECRET = "s3cr3t-of-client"
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])


@dataclass
class Endpoint:
    """A token endpoint that counts; `refuses` answers a status instead of a token."""

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    expires_in: float | str | None = 3600
    refuses: tuple[int, bytes] | None = None
    takes_header: bool = True

    async def serve(self, request):
        self.asked.append(dict(parse_qsl((await request.read()).decode())))
        self.logins.append(request.headers.get("authorization", ""))
        if self.refuses:
            return web.Response(status=self.refuses[0], body=self.refuses[1])
        if not self.takes_header and self.logins[-1]:
            return web.json_response({"error": "invalid_client"}, status=401)
        grant = {"access_token": f"token-{len(self.asked)}", "token_type": "Bearer"}
        if self.expires_in is not None:
            grant["expires_in"] = self.expires_in
        return web.json_response(grant)


@asynccontextmanager
async def endpoint(**settings):
    served = Endpoint(**settings)
    http = web.Server(served.serve)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(http, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/token"
    try:
        yield served
    finally:
        listener.close()
        await http.shutdown(0.01)


def login(served, **settings):
    return OAuth(served.url, "me", SECRET, **settings)


@asynccontextmanager
async def client_at(server, protocol, **settings):
    url = server.url if protocol == "grpc" else server.http_url
    client = client_of(
        Model("up", (url,), "upper", timeout_s=5.0, **settings), [TEXT], [TRANSLATION]
    )
    try:
        yield client
    finally:
        await client.close()


def accepting(*tokens):
    """A model that knows these tokens, and repeats any other."""
    good = {f"Bearer {token}" for token in tokens}

    def model(request):
        said = request.metadata["authorization"]
        if said in good:
            return upper(request)
        return Refuse(grpc.StatusCode.UNAUTHENTICATED, f"not {said}")

    return model


def tokens_of(server):
    return [request.metadata["authorization"] for request in server.requests]


# Files


@PROTOCOLS
async def test_a_token_file_is_read_again_when_it_changes(protocol, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    async with OipServer() as server, client_at(server, protocol, token_file=str(file)) as client:
        await client.infer([["a"]])
        file.unlink()
        file.write_text("second\n")
        await client.infer([["a"]])

    assert [each for each in tokens_of(server) if each] == ["Bearer first", "Bearer second"]


@PROTOCOLS
async def test_a_refused_token_is_looked_for_again_in_its_file(protocol, tmp_path):
    file = tmp_path / "token"
    file.write_text("one")
    async with (
        OipServer(accepting("two")) as server,
        client_at(server, protocol, token_file=str(file)) as client,
    ):
        with pytest.raises(AccessRefusedError, match=r"not Bearer (one|\*\*\*)") as caught:
            await client.infer([["a"]])
        file.write_text("two")

        assert (await client.infer([["a"]])).columns == [["A"]]

    assert caught.value.status in {"401", "UNAUTHENTICATED"}


async def test_while_the_token_file_is_away_the_last_token_is_used(tmp_path, caplog):
    file = tmp_path / "token"
    file.write_text("kept")
    token = FileToken(str(file))
    file.unlink()
    with caplog.at_level(logging.WARNING, "headrace"):
        assert await token.token() == "kept"
        file.write_text(" \n")
        assert await token.token() == "kept"

    assert {record.event for record in caplog.records} == {"token_file_unreadable"}


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "is empty"), (b"s3cr3t\xff", "not printable ASCII")]
)
def test_a_token_file_that_holds_no_token_is_refused_before_anything_starts(
    content, problem, tmp_path
):
    (tmp_path / "token").write_bytes(content)

    with pytest.raises(ConfigError, match=problem) as caught:
        FileToken(str(tmp_path / "token"))

    assert "s3cr3t" not in str(caught.value)


# OAuth


@PROTOCOLS
async def test_a_token_is_asked_for_once_for_all_calls(protocol):
    async with (
        endpoint() as served,
        OipServer() as server,
        client_at(
            server, protocol, oauth=login(served, scope="infer all", audience="models")
        ) as client,
    ):
        await asyncio.gather(*(client.infer([["a"]]) for _ in range(5)))

    assert served.asked == [
        {"grant_type": "client_credentials", "scope": "infer all", "audience": "models"}
    ]
    assert served.logins == ["Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()]
    assert tokens_of(server) == ["Bearer token-1"] * 5


@PROTOCOLS
async def test_a_refused_token_is_replaced_once_within_the_call(protocol):
    async with (
        endpoint() as served,
        OipServer(accepting("token-2")) as server,
        client_at(server, protocol, oauth=login(served)) as client,
    ):
        assert (await client.infer([["a"]])).columns == [["A"]]
        server.model = accepting("none")
        with pytest.raises(AccessRefusedError, match=r"not Bearer \*\*\*"):
            await client.infer([["a"]])

    assert len(served.asked) == 3


@pytest.mark.parametrize(
    ("expires_in", "asked"), [(3600, 1), ("3600", 1), (None, 1), (0, 3), (0.0, 3)]
)
async def test_a_token_is_kept_until_shortly_before_it_expires(expires_in, asked):
    async with endpoint(expires_in=expires_in) as served:
        token = OAuthToken(login(served), 5.0)
        for _ in range(3):
            await token.token()

    assert len(served.asked) == asked


@pytest.mark.parametrize(("expires_in", "kept"), [(3600, 3570), (60, 48)])
async def test_a_token_is_renewed_half_a_minute_or_a_fifth_of_its_life_early(expires_in, kept):
    async with endpoint(expires_in=expires_in) as served:
        token = OAuthToken(login(served), 5.0)
        await token.token()

        assert token._until - asyncio.get_running_loop().time() == pytest.approx(kept, abs=2)


async def test_an_endpoint_that_takes_the_client_only_in_the_body_gets_it_there():
    async with endpoint(takes_header=False, expires_in=0) as served:
        token = OAuthToken(login(served), 5.0)
        assert [await token.token(), await token.token()] == ["token-2", "token-3"]

    assert [
        ("client_secret" in form, bool(said))
        for form, said in zip(served.asked, served.logins, strict=True)
    ] == [(False, True), (True, False), (True, False)]


@PROTOCOLS
@pytest.mark.parametrize(
    ("refuses", "error", "problem"),
    [
        ((401, b'{"error":"invalid_client"}'), AccessRefusedError, "invalid_client.*HTTP 401"),
        ((400, f"who is {SECRET}?".encode()), AccessRefusedError, r"who is \*\*\*\?"),
        ((403, b""), AccessRefusedError, "no token"),
        ((302, b""), AccessRefusedError, "HTTP 302"),
        ((503, b"later"), InferenceUnavailableError, "later"),
        ((200, b"<html>login"), AccessRefusedError, "no access_token"),
        ((200, b'{"access_token": "s3cr3t\\n"}'), AccessRefusedError, "no access_token"),
    ],
)
async def test_an_endpoint_that_gives_no_token_is_named(protocol, refuses, error, problem):
    async with (
        endpoint(refuses=refuses) as served,
        OipServer() as server,
        client_at(server, protocol, oauth=login(served)) as client,
    ):
        with pytest.raises(error, match=problem) as caught:
            await client.infer([["a"]])
        assert not await client.ready()

    assert served.url in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert server.requests == []


@PROTOCOLS
async def test_an_endpoint_that_is_down_is_waited_for(protocol):
    async with endpoint() as served:
        pass
    async with OipServer() as server, client_at(server, protocol, oauth=login(served)) as client:
        with pytest.raises(InferenceUnavailableError, match=r"oauth: .*connect"):
            await client.infer([["a"]])


async def test_an_endpoint_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InferenceUnavailableError, match=r"no answer within 0\.2 s"):
            await OAuthToken(OAuth(url, "me", SECRET), 0.2).token()


def test_no_secret_is_in_what_python_shows_of_a_model():
    model = Model("m", (), "m", token="s3cr3t", oauth=OAuth("http://a", "me", SECRET))

    assert "s3cr3t" not in repr(model)
