"""The bare loop: the least a Python program can do between Kafka and a model.

consume -> msgspec -> one gRPC call per full batch, several in flight -> msgspec -> produce with
one header -> transaction with offsets. No ordering, retry, dead letters, back-pressure, bisection,
rebalance handling or metrics: it commits the highest offset seen and would lose records in a crash.
It is the practical ceiling that headrace's throughput is compared with, in the same run, on the
same broker and model server.

Input: JSON objects with a field `text`.

    python bare_loop.py bootstrap=127.0.0.1:9092 url=127.0.0.1:8081 model=upper tensor=text \
        topic=in out=out n=300000 batch=256 inflight=8 calls=1

With `calls=3` every batch goes through the model three times, each call with the answers of the one
before: what a chain of three steps does.
"""

import asyncio
import os
import queue
import struct
import sys
import threading
import time

import grpc
import msgspec
import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.inference import oip_pb2 as pb

ARGS = dict(a.split("=", 1) for a in sys.argv[1:])
BOOTSTRAP = ARGS.get("bootstrap", "127.0.0.1:9092")
URL, MODEL, TENSOR = (
    ARGS.get("url", "127.0.0.1:8081"),
    ARGS.get("model", "upper"),
    ARGS.get("tensor", "text"),
)
TOPIC, OUT = ARGS.get("topic", "in"), ARGS.get("out", "out")
RECORDS, BATCH, IN_FLIGHT = (
    int(ARGS.get("n", 300000)),
    int(ARGS.get("batch", 256)),
    int(ARGS.get("inflight", 8)),
)
CALLS = int(ARGS.get("calls", 1))
MAX_WAIT_S, COMMIT_S = float(ARGS.get("wait", 0.005)), float(ARGS.get("commit", 0.05))

decode, encode = msgspec.json.Decoder(dict).decode, msgspec.json.Encoder().encode
pack_length = struct.Struct("<I").pack


def consumer() -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": ARGS.get("group", f"bare-{time.time()}"),
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "queued.min.messages": 20000,
            "fetch.queue.backoff.ms": 20,
        }
    )


async def main() -> None:
    loop = asyncio.get_running_loop()
    source = consumer()
    # Group metadata, captured where the consumer lives: a second thread's call would wait.
    group: list = []
    source.subscribe([TOPIC], on_assign=lambda c, _: group.append(c.consumer_group_metadata()))
    sink = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "transactional.id": f"bare-{OUT}",
            "linger.ms": 0,
            "retry.backoff.ms": 10,
            "transaction.timeout.ms": 15000,
            "queue.buffering.max.messages": 1000000,
        }
    )
    sink.init_transactions()
    polled: asyncio.Queue = asyncio.Queue()
    room = threading.Semaphore(IN_FLIGHT * BATCH * 2 // 500 + 4)
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            room.acquire()
            messages = [m for m in source.consume(500, 0.02) if not m.error()]
            if messages:
                loop.call_soon_threadsafe(polled.put_nowait, messages)
            else:
                room.release()

    threading.Thread(target=poll, daemon=True).start()
    channel = grpc.aio.insecure_channel(
        URL, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    )
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )
    slots = asyncio.Semaphore(IN_FLIGHT)
    done: queue.SimpleQueue = queue.SimpleQueue()
    finished = asyncio.Event()

    async def ask(texts: list) -> list:
        parts = []
        for text in texts:
            parts += (pack_length(len(text)), text)
        request = pb.ModelInferRequest(model_name=MODEL)
        tensor = request.inputs.add()
        tensor.name, tensor.datatype = TENSOR, "BYTES"
        tensor.shape.append(len(texts))
        request.raw_input_contents.append(b"".join(parts))
        response = await call(request)
        if not response.raw_output_contents:
            return list(response.outputs[0].contents.bytes_contents)
        raw, at, rows = response.raw_output_contents[0], 0, []
        for _ in texts:
            size = int.from_bytes(raw[at : at + 4], "little")
            rows.append(raw[at + 4 : at + 4 + size])
            at += 4 + size
        return rows

    async def infer(messages: list) -> None:
        try:
            documents = [decode(m.value()) for m in messages]
            rows = [document["text"].encode() for document in documents]
            for _ in range(CALLS):
                rows = await ask(rows)
            results = []
            for message, document, row in zip(messages, documents, rows, strict=True):
                document["translation"] = row.decode()
                results.append((message, encode(document)))
            done.put(results)
        finally:
            slots.release()

    def commit() -> None:
        total, started, latencies = 0, None, []
        while total < RECORDS:
            batches = [done.get()]
            time.sleep(COMMIT_S)
            while not done.empty():
                batches.append(done.get())
            before = time.perf_counter()
            sink.begin_transaction()
            offsets: dict[int, int] = {}
            for message, value in (pair for batch in batches for pair in batch):
                p, o = message.partition(), message.offset()
                sink.produce(
                    OUT, value, key=message.key(), partition=p, headers=[("id", b"%d-%d" % (p, o))]
                )
                offsets[p] = max(offsets.get(p, 0), o + 1)
            sink.send_offsets_to_transaction(
                [TopicPartition(TOPIC, p, o, metadata="m" * 500) for p, o in offsets.items()],
                group[-1],
            )
            sink.commit_transaction()
            latencies.append(time.perf_counter() - before)
            if started is None:
                started = time.perf_counter()
            else:
                total += sum(map(len, batches))
        stop.set()
        seconds = time.perf_counter() - started
        latencies.sort()
        print(
            f"records_per_s={total / seconds:.0f} records={total} commits={len(latencies)} "
            f"commit_p50_ms={latencies[len(latencies) // 2] * 1e3:.1f} "
            f"cpu_s={time.process_time():.1f}",
            flush=True,
        )
        loop.call_soon_threadsafe(finished.set)

    threading.Thread(target=commit, daemon=True).start()

    async def dispatch() -> None:
        waiting: list = []
        while True:
            if not waiting:
                waiting += await polled.get()
                room.release()
            if len(waiting) < BATCH and polled.empty():
                await asyncio.sleep(MAX_WAIT_S)
            while len(waiting) < BATCH and not polled.empty():
                waiting += polled.get_nowait()
                room.release()
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            await slots.acquire()
            tasks.add(task := asyncio.create_task(infer(batch)))
            task.add_done_callback(tasks.discard)

    tasks: set = set()
    tasks.add(asyncio.create_task(dispatch()))
    await finished.wait()
    os._exit(0)


uvloop.run(main())
