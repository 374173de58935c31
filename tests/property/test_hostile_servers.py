"""Servers that speak no protocol, half of one or too much of it end a call as the docs say."""

import asyncio
import gzip
import resource
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.core.models import Input, Model, OAuth, OutputField, Profile
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    RowCountError,
)
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import Garbage, OipServer
from tests.property.hostile import nested, said

TEXT = Input("text", "text", datatype="BYTES", shape=())
UNSAID = Input("text", "text")
FIELD = OutputField("shouted", "shouted")
TIMEOUT_S = 0.6

RETRY = (InferenceFailedError, InferenceTimeoutError)
PAUSE = (InferenceUnavailableError, AccessRefusedError)
RECORDS = (BrokenAnswerError, RowCountError)


@asynccontextmanager
async def server(*answers: bytes, endless: bytes = b"") -> AsyncIterator[str]:
    """Serve bytes, one answer a connection and the last one ever after; then close, or go on."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(65_536)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0.001)
        except ConnectionError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{running.sockets[0].getsockname()[1]}"
    finally:
        running.close()


async def failure(url: str, *, wanted: Input = TEXT, **settings: object) -> Exception | None:
    """Return how a call to a server ended, None where it answered."""
    settings = {"timeout_s": TIMEOUT_S, "profile": Profile.JSON, **settings}
    client = client_of(Model("m", (url,), "m", **settings), [wanted], [FIELD])
    begun = time.monotonic()
    try:
        await client.infer([["a"]])
    except Exception as error:  # noqa: BLE001  (whatever it is, it is looked at)
        return error
    finally:
        await client.close()
        assert time.monotonic() - begun < 20
    return None


def http(
    body: bytes = b"", *headers: bytes, status: bytes = b"200 OK", size: object = None
) -> bytes:
    length = len(body) if size is None else size
    lines = [b"HTTP/1.1 " + status, f"Content-Length: {length}".encode(), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


GOOD = b'{"outputs":[{"name":"shouted","datatype":"BYTES","shape":[1],"data":["A"]}]}'
BINARY = GOOD.replace(b'"data":["A"]', b'"parameters":{"binary_data_size":5}')
SIZE = b"Inference-Header-Content-Length: "
BOMB = gzip.compress(bytes(30_000_000))

ANSWERS = {
    "sound": (http(GOOD), None),
    "nothing": (b"", PAUSE + RETRY),
    "noise": (bytes(range(256)) * 40, PAUSE + RETRY),
    "zeros": (bytes(100_000), PAUSE + RETRY),
    "half a status": (b"HTTP/1.1 2", PAUSE + RETRY),
    "status of letters": (http(GOOD, status=b"abc OK"), PAUSE + RETRY),
    "status 99999": (http(GOOD, status=b"99999 OK"), PAUSE + RETRY + RECORDS),
    "status 000": (http(GOOD, status=b"000 OK"), PAUSE + RETRY),
    "no body that is promised": (http(b"{", size=10**9), RETRY),
    "negative length": (http(GOOD, size=-5), PAUSE + RETRY),
    "length of letters": (http(GOOD, size="many"), PAUSE + RETRY),
    "huge length": (http(GOOD, size="9" * 5_000), PAUSE + RETRY),
    "two lengths": (http(GOOD, b"Content-Length: 3"), PAUSE + RETRY + RECORDS),
    "chunks of nonsense": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        PAUSE + RETRY,
    ),
    "a chunk that is promised": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nabc",
        RETRY,
    ),
    "gzip that is none": (http(GOOD, b"Content-Encoding: gzip"), PAUSE),
    "deflate that is cut": (
        http(zlib.compress(GOOD)[:-9], b"Content-Encoding: deflate"),
        PAUSE,
    ),
    "encoding unheard of": (http(GOOD, b"Content-Encoding: \xff\xfe, rot13"), PAUSE),
    "gzip of zeros": (http(BOMB, b"Content-Encoding: gzip"), PAUSE),
    "long header": (http(GOOD, b"X: " + b"y" * 100_000), PAUSE + RETRY),
    "header not UTF-8": (http(GOOD, b"X: \xff\xfe\x80"), (*PAUSE, None)),
    "header size of 5000 digits": (http(GOOD, SIZE + b"9" * 5_000), RECORDS),
    "header size below 0": (http(GOOD, SIZE + b"-1"), RECORDS),
    "header size beyond the body": (http(GOOD, SIZE + b"%d" % 10**9), RECORDS),
    "header size of superscripts": (http(GOOD, SIZE + "\u00b2".encode()), RECORDS),
    "header size 0": (http(GOOD, SIZE + b"0"), RECORDS),
    "binary beyond the body": (http(BINARY, SIZE + b"%d" % len(BINARY)), RECORDS),
    "lying text in binary": (
        http(BINARY + b"\xff\xff\xff\xffa", SIZE + b"%d" % len(BINARY)),
        RECORDS,
    ),
    "deep": (http(nested(100_000)), RECORDS),
    "deep refusal": (http(nested(100_000), status=b"500 No"), RETRY),
    "deep pause": (http(nested(100_000), status=b"503 Later"), PAUSE),
    "redirection of controls": (http(b"", b"Location: \x1b[2J", status=b"302 No"), PAUSE + RETRY),
    "no JSON": (http(b"<html>"), RECORDS),
    "not UTF-8": (http(b'{"outputs":"\xff"}'), RECORDS),
    "switch of protocols": (http(b"", status=b"101 Switching"), PAUSE + RETRY),
    "information without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, PAUSE + RETRY),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_any_bytes_of_a_rest_server_end_a_call_as_the_docs_say(name):
    content, expected = ANSWERS[name]

    async def go():
        async with server(content) as address:
            return await failure(f"http://{address}")

    error = asyncio.run(go())

    allowed = expected if isinstance(expected, tuple) else (expected,)
    assert (type(error) if error is not None else None) in allowed, repr(error)
    assert len(str(error or "").encode(errors="replace")) < 5_000


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 50_000),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 1_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 100),
        (b"", b"\0" * 50_000),
    ],
    ids=["headers", "one header", "body", "chunks", "noise"],
)
def test_an_answer_without_end_ends_with_the_time_a_call_has(start, endless):
    async def go():
        async with server(start, endless=endless) as address:
            return await failure(f"http://{address}")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert isinstance(asyncio.run(go()), PAUSE + RETRY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    "content", [b"", bytes(range(256)), b"HTTP/1.1 200 OK\r\n\r\n", b"\0\0\x04\x08" + bytes(400)]
)
def test_any_bytes_of_a_grpc_server_pause_or_repeat(content):
    async def go():
        async with server(content) as address:
            return await failure(f"grpc://{address}", profile=Profile.AUTO)

    assert isinstance(asyncio.run(go()), PAUSE + RETRY)


@pytest.mark.parametrize("content", [b"\xff" * 9, b"\x2a\xff\xff\xff\xff\x0f", b"\x2a\x02\x1a\x00"])
def test_any_message_of_a_grpc_model_is_its_records_fault(content):
    async def go():
        async with OipServer(lambda _: Garbage(content)) as running:
            return await failure(running.url, profile=Profile.AUTO, timeout_s=5.0)

    assert isinstance(asyncio.run(go()), RECORDS)


# What no record has a part in

METADATA = {
    "no JSON": b"<html>",
    "not UTF-8": b'{"name":"\xff"}',
    "a list": b"[]",
    "deep": nested(100_000),
    "inputs of numbers": b'{"inputs":[1]}',
    "a shape of text": b'{"inputs":[{"name":"text","datatype":"BYTES","shape":"x"}]}',
    "a shape of a huge number": said(
        {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [10**400]}]}
    ),
    "versions of numbers": b'{"versions":7,"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}',
    "many inputs": said(
        {"inputs": [{"name": f"x{n}", "datatype": "FP32", "shape": [1]} for n in range(3_000)]}
    ),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_cannot_be_read_pauses_and_gives_no_record_up(name):
    async def go():
        async with server(http(METADATA[name])) as address:
            return await failure(f"http://{address}", wanted=UNSAID)

    error = asyncio.run(go())

    assert isinstance(error, AccessRefusedError)
    assert len(str(error)) < 2_000


@pytest.mark.parametrize(
    "content", [b"<html>", nested(100_000), b'{"extensions":7}', b"\xff", b"[]"]
)
def test_a_page_where_the_server_should_describe_itself_leaves_json(content):
    async def go():
        async with server(http(content), http(GOOD)) as address:
            return await failure(f"http://{address}", profile=Profile.AUTO)

    assert asyncio.run(go()) is None


GRANTS = {
    "nothing": b"",
    "no JSON": b"<html>",
    "a list": b"[]",
    "no token": b"{}",
    "a number": b'{"access_token":7}',
    "not UTF-8": b'{"access_token":"\xff"}',
    "a line end": b'{"access_token":"a\\r\\nHost: x"}',
    "deep": b'{"access_token":"a","x":' + nested(100_000) + b"}",
    "half a character": b'{"access_token":"\\ud800"}',
    "a life of text": b'{"access_token":"a","expires_in":"soon"}',
}


@pytest.mark.parametrize("name", GRANTS)
def test_an_endpoint_that_gives_no_token_pauses_and_gives_no_record_up(name):
    async def go():
        async with server(http(GRANTS[name])) as tokens, server(http(GOOD)) as model:
            oauth = OAuth(f"http://{tokens}", "me", "s3cret")
            return await failure(f"http://{model}", oauth=oauth)

    error = asyncio.run(go())

    assert isinstance(error, PAUSE)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("life", [b'"nan"', b'"inf"', b"-1", b"0", b"1e308", b"null"])
def test_a_token_of_any_life_is_used_and_renewed(life):
    grant = b'{"access_token":"abc","expires_in":' + life + b"}"

    async def go():
        async with server(http(grant)) as tokens, server(http(GOOD)) as model:
            return await failure(f"http://{model}", oauth=OAuth(f"http://{tokens}", "me", "s3cret"))

    assert asyncio.run(go()) is None
