"""The model server alone: rows a second that it gives a client which does nothing else.

    python -m benchmarks.compare.model_alone grpc 127.0.0.1:8081 ROWS SLOTS SECONDS BYTES

Requests are made once and sent again and again, answers are not looked at after the first one.
Prints one line of JSON.
"""

import asyncio
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable

import grpc
import uvloop

from benchmarks.compare.scene import text_of
from headrace.inference import oip_pb2
from headrace.inference.http_connections import Connections

_WARM_S = 1.0
_TIMEOUT_S = 60.0
_PATH = "/inference.GRPCInferenceService/ModelInfer"
Ask = Callable[[], Awaitable[bytes]]


async def drive(ask: Ask, expected: bytes, slots: int, seconds: float) -> dict[str, float]:
    """Ask with so many requests at once; return requests, seconds and their delays."""
    if expected not in await ask():
        raise RuntimeError("the model's answer is not the text in capitals")
    started, used = time.perf_counter(), time.process_time()
    begun = started + _WARM_S
    ends = begun + seconds
    delays: list[float] = []

    async def slot() -> None:
        while (before := time.perf_counter()) < ends:
            await ask()
            after = time.perf_counter()
            if begun <= after <= ends:
                delays.append(after - before)

    await asyncio.gather(*(slot() for _ in range(slots)))
    delays.sort()
    return {
        "requests_per_s": len(delays) / seconds,
        "p50_ms": delays[len(delays) // 2] * 1e3,
        "p99_ms": delays[int(len(delays) * 0.99)] * 1e3,
        "client_cores": (time.process_time() - used) / (time.perf_counter() - started),
    }


def grpc_request(texts: list[str]) -> bytes:
    """Return a request with raw contents."""
    request = oip_pb2.ModelInferRequest(model_name="upper")
    tensor = request.inputs.add()
    tensor.name, tensor.datatype = "text", "BYTES"
    tensor.shape.append(len(texts))
    rows = [text.encode() for text in texts]
    request.raw_input_contents.append(b"".join(struct.pack("<I", len(r)) + r for r in rows))
    encoded: bytes = request.SerializeToString()
    return encoded


async def over_grpc(address: str, texts: list[str], slots: int, seconds: float) -> dict[str, float]:
    """Ask over gRPC, without parsing."""
    body = grpc_request(texts)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=unlimited) as channel:
        call = channel.unary_unary(_PATH, None, None)

        async def ask() -> bytes:
            answer: bytes = await call(body)
            return answer

        return await drive(ask, texts[-1].upper().encode(), slots, seconds)


async def over_rest(address: str, texts: list[str], slots: int, seconds: float) -> dict[str, float]:
    """Ask over REST, with JSON."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    body = json.dumps({"inputs": [tensor]}).encode()
    lines = [
        "POST /v2/models/upper/infer HTTP/1.1",
        f"host: {address}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    request = "\r\n".join([*lines, "\r\n"]).encode() + body
    host, _, port = address.rpartition(":")
    connections = Connections(host, int(port))

    async def ask() -> bytes:
        return (await connections.ask(request, _TIMEOUT_S, _TIMEOUT_S)).body

    return await drive(ask, texts[-1].upper().encode(), slots, seconds)


def main() -> None:
    """Read the command line."""
    protocol, address, rows, slots, seconds, payload_bytes = sys.argv[1:]
    texts = [text_of(number, int(payload_bytes)) for number in range(int(rows))]
    over = {"grpc": over_grpc, "rest": over_rest}[protocol]
    print(json.dumps(uvloop.run(over(address, texts, int(slots), float(seconds)))))


if __name__ == "__main__":
    main()
