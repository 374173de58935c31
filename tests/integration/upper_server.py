"""A model server for tests of `headrace up`: upper-cases `text` on GRPC_PORT and HTTP_PORT.

A text that begins with `bad` is refused, one that begins with `slow` takes a tenth of a second,
one that begins with `hang` is never answered.
"""

import asyncio
import contextlib
import os

import grpc

from headrace.testing.oip_server import Behaviour, Hang, OipServer, Refuse, Request, Slow, upper


def model(request: Request) -> Behaviour:
    texts = request.columns["text"]
    if any(text.startswith("bad") for text in texts):
        return Refuse(grpc.StatusCode.INVALID_ARGUMENT, "bad text")
    if any(text.startswith("slow") for text in texts):
        return Slow(0.1, upper(request))
    if any(text.startswith("hang") for text in texts):
        return Hang()
    return upper(request)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def forward(port: int, url: str) -> None:
    target = int(url.rpartition(":")[2])

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pipe(reader, other_writer), pipe(other_reader, writer))

    listening = await asyncio.start_server(connect, "127.0.0.1", port)
    async with listening:
        await listening.serve_forever()


async def main() -> None:
    async with OipServer(model) as server:
        await asyncio.gather(
            forward(int(os.environ["GRPC_PORT"]), server.direct_url),
            forward(int(os.environ["HTTP_PORT"]), server.direct_http_url),
        )


asyncio.run(main())
