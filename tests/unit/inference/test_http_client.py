"""REST and KServe V1 against the scripted server, on real sockets of this machine."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import grpc
import pytest

from headrace.core.models import Input, Model, Profile
from headrace.errors import (
    AccessRefusedError,
    ConfigError,
    InferenceFailedError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference import http_connections
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import (
    Cut,
    Hang,
    OipServer,
    Refuse,
    in_turn,
    upper,
)
from tests.unit.inference.http_case import (
    EVERY,
    TEXT,
    TRANSLATION,
    UPPER,
    client_at,
    output,
)

# Which protocol, and where


@pytest.mark.parametrize(
    ("extensions", "profile", "protocol"),
    [
        (["binary_tensor_data"], "auto", "binary"),
        (["model_repository"], "auto", "json"),
        ([], "binary", "binary"),
        (["binary_tensor_data"], "json", "json"),
        (["binary_tensor_data"], "v1", "v1"),
    ],
)
async def test_the_profile_or_else_the_server_says_how_it_is_asked(extensions, profile, protocol):
    async with (
        OipServer(extensions=extensions) as server,
        client_at(server, profile=profile) as client,
    ):
        assert (await client.infer([["a", "ñ"]])).columns == [["A", "Ñ"]]

    assert [request.protocol for request in server.requests] == [protocol]


@pytest.mark.parametrize("version", ["", "7"])
@pytest.mark.parametrize("profile", EVERY)
async def test_a_version_is_part_of_every_path(profile, version):
    settings = {"version": version, "profile": profile, "inputs": [Input("text", "text")]}
    async with OipServer(metadata=UPPER) as server, client_at(server, **settings) as client:
        await client.infer([["a"]])
        assert await client.ready()

    assert [(each.model, each.version) for each in server.requests] == [("upper", version)]


async def test_a_path_in_the_url_stands_before_the_protocols():
    async with OipServer() as server, client_at(f"{server.http_url}/seldon/a/") as client:
        with pytest.raises(AccessRefusedError, match=r"check the URL's path.*profile: v1"):
            await client.infer([["a"]])


@pytest.mark.parametrize("profile", EVERY)
async def test_token_headers_trace_and_host_go_with_every_call(profile):
    settings = {
        "token": "abc",
        "headers": {"X-Team": "fraud"},
        "authority": "up.models.example",
        "profile": profile,
    }
    async with OipServer() as server, client_at(server, **settings) as client:
        await client.infer([["a"]], trace={"traceparent": "00-1-2-01"})

    sent = server.requests[0].metadata
    assert sent["authorization"] == "Bearer abc"
    assert sent["x-team"] == "fraud"
    assert sent["traceparent"] == "00-1-2-01"
    assert sent["host"] == "up.models.example"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"headers": {"Host": "a"}}, "use authority"),
        ({"headers": {"a b": "s3cr3t"}}, "'a b' cannot be sent"),
        ({"headers": {"Content-Length": "1"}}, "cannot be sent"),
        ({"headers": {"x": "s3cr3t\r\ny: z"}}, "not printable ASCII"),
        ({"authority": "a\nb"}, "authority has a value"),
        ({"token": "s3cr3té"}, "the token is not printable ASCII"),
        ({"urls": ("http://u:s3cr3t@a",)}, "no user"),
        ({"urls": ("http://a:0",)}, "not a URL"),
        ({"urls": ("http://a", "grpc://a:1")}, "different protocols"),
        ({"urls": ("grpc://a:1",), "profile": Profile.JSON}, "profile json is not for gRPC"),
        ({"urls": ("https://a",), "tls": {"ca": "nowhere.pem"}}, "nowhere.pem"),
        ({"urls": ("GRPCS://a:1",), "tls": {"ca": "nowhere.pem"}}, "nowhere.pem"),
        ({"urls": ("https://a",), "tls": {"ca": __file__}}, "holds no PEM certificate"),
        ({"urls": ("https://a",), "tls": {"cert": __file__, "key": __file__}}, "unencrypted"),
        ({"token_file": "nowhere"}, "token_file: nowhere: No such file"),
        ({"profile": Profile.V1, "parameters": {"instances": "columns"}}, "rows or values"),
    ],
)
def test_settings_that_cannot_work_are_named_before_anything_starts(settings, problem):
    model = Model("m", **{"urls": ("http://a",), "remote_name": "m", **settings})

    with pytest.raises(ConfigError, match=problem) as caught:
        client_of(model, [TEXT], [TRANSLATION])

    assert "s3cr3t" not in str(caught.value)


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with OipServer() as server, client_at(server) as client:
        assert (await client.infer([["a"]])).columns == [["A"]]


# Failures


async def test_a_rejected_or_failed_metadata_call_is_no_fault_of_the_records():
    inputs = [Input("text", "text")]
    for code, error in [
        (grpc.StatusCode.INVALID_ARGUMENT, AccessRefusedError),
        (grpc.StatusCode.INTERNAL, InferenceUnavailableError),
    ]:
        async with (
            OipServer(metadata=Refuse(code, "no such model")) as server,
            client_at(server, inputs=inputs) as client,
        ):
            with pytest.raises(error, match="no such model"):
                await client.infer([["a"]])


async def test_a_server_that_repeats_the_token_does_not_put_it_into_the_message():
    def echo(request):
        said = request.metadata["authorization"]
        return Refuse(grpc.StatusCode.UNAUTHENTICATED, f"not accepted: {said}")

    async with OipServer(echo) as server, client_at(server, token="s3cr3t") as client:
        with pytest.raises(AccessRefusedError, match=r"Bearer \*\*\* \(HTTP 401\)") as caught:
            await client.infer([["a"]])

    assert caught.value.status == "401"
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("profile", EVERY)
async def test_calls_go_round_the_replicas_and_leave_one_that_is_away(profile):
    async with (
        OipServer() as one,
        OipServer() as other,
        client_at(one, other, profile=profile) as client,
    ):
        await asyncio.gather(*(client.infer([["a"]]) for _ in range(10)))
        both = [len(one.requests), len(other.requests)]
        await one.vanish()
        for _ in range(4):
            assert (await client.infer([["a"]])).columns == [["A"]]

    assert both == [5, 5]


async def test_a_replica_that_fails_a_call_is_not_left_for_another():
    async with (
        OipServer(in_turn([Cut()])) as crashing,
        OipServer() as alive,
        client_at(crashing, alive) as client,
    ):
        with pytest.raises(InferenceFailedError):
            await client.infer([["a"]])

    assert alive.requests == []


async def test_a_cancelled_call_is_cancelled_on_the_server():
    arrived = asyncio.Event()

    def hang(_request):
        arrived.set()
        return Hang()

    async with OipServer(hang) as server, client_at(server) as client:
        call = asyncio.create_task(client.infer([["a"]]))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            await server.call_cancelled.wait()
        server.model = upper

        assert list(client.outstanding().values()) == [0]
        assert (await client.infer([["a"]])).columns == [["A"]]


async def test_a_closed_client_refuses_calls():
    async with OipServer() as server, client_at(server) as client:
        await client.infer([["a"]])
        await client.close()

        with pytest.raises(InferenceUnavailableError, match="closed"):
            await client.infer([["a"]])


@pytest.mark.parametrize("profile", EVERY)
async def test_large_requests_and_answers_pass(profile):
    text = "x" * 3_000_000
    async with OipServer() as server, client_at(server, profile=profile) as client:
        assert (await client.infer([[text, "a"]])).columns == [[text.upper(), "A"]]


async def test_a_request_larger_than_the_server_takes_is_rejected_as_input():
    async with OipServer(max_request_bytes=1000) as server, client_at(server) as client:
        with pytest.raises(InvalidInputError, match=r"larger than max.*HTTP 413"):
            await client.infer([["x" * 600, "y" * 600]])

        assert (await client.infer([["x" * 600]])).columns == [["X" * 600]]


async def test_an_answer_that_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(http_connections, "MOST_ANSWER_BYTES", 100_000)
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (50_000, bytes(50_000))
    async with answering_server(endless, *[chunk] * 100) as (url, _), client_at(url) as client:
        with pytest.raises(InvalidInputError, match="answer is larger than max"):
            await client.infer([["a"]])


@pytest.mark.parametrize(("is_ready", "expected"), [(True, True), (False, False)])
@pytest.mark.parametrize("profile", EVERY)
async def test_ready_is_what_the_status_says(profile, is_ready, expected):
    async with OipServer(is_ready=is_ready) as server, client_at(server, profile=profile) as client:
        assert await client.ready() is expected


async def test_a_server_without_the_question_counts_as_ready():
    unknown = Refuse(grpc.StatusCode.UNIMPLEMENTED)
    async with OipServer(is_ready=unknown) as server, client_at(server) as client:
        assert await client.ready()


# Ways to frame an answer

SAID = json.dumps({"outputs": [output("BYTES", [1], ["A"])]}).encode()
HALVES = SAID[:20], SAID[20:]
CHUNKED = b"transfer-encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(each), each) for each in (*HALVES, b"")
)
WHOLE = b"content-length: %d\r\n\r\n%b" % (len(SAID), SAID)


async def skip_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(size or 0))


@asynccontextmanager
async def answering_server(*parts):
    """An HTTP server that answers every call with these bytes, a moment apart, and counts.

    An empty part closes the connection.
    """
    opened = 0

    async def serve(reader, writer):
        nonlocal opened
        opened += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await skip_request(reader)
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.01)
                if not parts[-1]:
                    break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", lambda: opened
        await asyncio.sleep(0.05)


FINE = b"HTTP/1.1 200 OK\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
FRAMED = {
    "in one piece": ([FINE + WHOLE], 1),
    "torn": ([FINE[:9], FINE[9:] + b"ConTENT-len", WHOLE[11:40], WHOLE[40:]], 1),
    "in chunks": ([FINE + CHUNKED], 1),
    "in torn chunks": ([FINE, CHUNKED[:50], CHUNKED[50:]], 1),
    "after a hint": ([HINT + FINE, WHOLE], 1),
    "said to be the last": ([FINE + b"connection: close\r\n" + WHOLE], 2),
    "HTTP/1.0": ([FINE.replace(b"1.1", b"1.0") + WHOLE], 2),
    "until the end": ([FINE + b"\r\n" + SAID, b""], 2),
    "another one unasked": ([FINE + WHOLE, FINE], 2),
}


@pytest.mark.parametrize(("parts", "connections"), FRAMED.values(), ids=FRAMED)
async def test_an_answer_is_read_however_it_is_framed(parts, connections):
    async with answering_server(*parts) as (url, opened), client_at(url) as client:
        for _ in range(2):
            assert (await client.infer([["a"]])).columns == [["A"]]
            await asyncio.sleep(0.03)

        assert opened() == connections


async def test_a_server_that_speaks_first_is_no_http_server():
    async def greet(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with client_at(url) as client:
            with pytest.raises(AccessRefusedError, match=r"not HTTP/1\.1"):
                await client.infer([["a"]])
        await asyncio.sleep(0.05)


async def test_a_compressed_answer_is_refused_by_name():
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n"
    async with answering_server(head + WHOLE) as (url, _), client_at(url) as client:
        with pytest.raises(AccessRefusedError, match="not compress"):
            await client.infer([["a"]])


async def test_a_connection_without_a_call_for_long_is_not_used_again(monkeypatch):
    monkeypatch.setattr(http_connections, "KEEP_ALIVE_S", 0.05)
    whole = b"HTTP/1.1 200 OK\r\n" + WHOLE
    async with answering_server(whole) as (url, opened), client_at(url) as client:
        for pause_s in (0.0, 0.1, 0.0):
            await client.infer([["a"]])
            await asyncio.sleep(pause_s)

        assert opened() == 2


# Connections that are closed without a word


@asynccontextmanager
async def closing_server(after):
    """An HTTP server that leaves out every call whose number is in `after`, and cuts it."""
    seen = 0
    writers = []

    async def serve(reader, writer):
        nonlocal seen
        while True:
            await skip_request(reader)
            seen += 1
            if seen in after:
                break
            writer.write(FINE + WHOLE)
        writer.transport.abort()

    async def accept(reader, writer):
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError):
            await serve(reader, writer)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield url, listener, lambda: seen
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_a_used_connection_that_is_closed_is_replaced_once():
    async with closing_server(after={2}) as (url, _, seen), client_at(url) as client:
        for _ in range(2):
            assert (await client.infer([["a"]])).columns == [["A"]]

        assert seen() == 3


async def test_a_call_that_ends_its_server_uses_an_attempt():
    async with closing_server(after={2}) as (url, listener, _), client_at(url) as client:
        await client.infer([["a"]])
        listener.close()
        with pytest.raises(InferenceFailedError):
            await client.infer([["a"]])


async def test_a_call_whose_repetition_is_cut_too_uses_an_attempt():
    async with closing_server(after={2, 3}) as (url, _, seen), client_at(url) as client:
        await client.infer([["a"]])
        with pytest.raises(InferenceFailedError):
            await client.infer([["a"]])

        assert seen() == 3
