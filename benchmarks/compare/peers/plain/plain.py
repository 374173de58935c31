"""What one writes instead: consume, one REST call per ROWS records, one transaction per poll.

A transaction that fails in a way that can be undone is undone and its records are read again.
"""

import os
import signal
import threading

import httpx
import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BROKER, URL = os.environ["BROKER"], os.environ["OIP_URL"]
IN, OUT, GROUP = os.environ["IN"], os.environ["OUT"], os.environ["GROUP"]
ROWS = int(os.environ.get("ROWS", "1"))
CONSUME = int(os.environ.get("CONSUME", "100" if ROWS == 1 else "1024"))

JSON = {"content-type": "application/json"}

http = httpx.Client(timeout=30)


def infer(texts):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}]}
    answer = http.post(URL, content=orjson.dumps(body), headers=JSON)
    answer.raise_for_status()
    return orjson.loads(answer.content)["outputs"][0]["data"]


def copy(consumer, producer, messages):
    """Put messages and how far they reach into one transaction."""
    producer.begin_transaction()
    offsets = {}
    for at in range(0, len(messages), ROWS):
        part = messages[at : at + ROWS]
        texts = [orjson.loads(message.value())["text"] for message in part]
        for message, text, answer in zip(part, texts, infer(texts), strict=True):
            value = orjson.dumps({"text": text, "translation": answer})
            producer.produce(OUT, value, key=message.key())
            offsets[message.partition()] = message.offset() + 1
    producer.send_offsets_to_transaction(
        [TopicPartition(IN, partition, offset) for partition, offset in offsets.items()],
        consumer.consumer_group_metadata(),
    )
    producer.commit_transaction()


def rewind(consumer):
    """Read again from what is committed."""
    for each in consumer.committed(consumer.assignment()):
        start = max(each.offset, 0)
        consumer.seek(TopicPartition(each.topic, each.partition, start))


def main():
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": BROKER,
            "transactional.id": f"{GROUP}-{os.environ['WORKER']}",
            "linger.ms": 5,
        }
    )
    consumer.subscribe([IN])
    producer.init_transactions()
    while not over.is_set():
        messages = [each for each in consumer.consume(CONSUME, 0.02) if not each.error()]
        if not messages:
            continue
        try:
            copy(consumer, producer, messages)
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            producer.abort_transaction()
            rewind(consumer)
    consumer.close()


if __name__ == "__main__":
    main()
