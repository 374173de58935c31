"""What one writes instead: consume, one REST call per PLAIN_ROWS records, one transaction."""

import os

import httpx
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

BROKER, URL = os.environ["BROKER"], os.environ["OIP_URL"]
IN, OUT, GROUP = os.environ["IN"], os.environ["OUT"], os.environ["GROUP"]
ROWS = int(os.environ.get("PLAIN_ROWS", "1"))
CONSUME = int(os.environ.get("PLAIN_CONSUME", "100"))

http = httpx.Client(timeout=30)


def infer(texts):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}]}
    r = http.post(URL, content=orjson.dumps(body), headers={"content-type": "application/json"})
    r.raise_for_status()
    return r.json()["outputs"][0]["data"]


c = Consumer(
    {
        "bootstrap.servers": BROKER,
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }
)
p = Producer({"bootstrap.servers": BROKER, "transactional.id": GROUP + "-t", "linger.ms": 5})
c.subscribe([IN])
p.init_transactions()
while True:
    msgs = [m for m in c.consume(CONSUME, 0.02) if not m.error()]
    if not msgs:
        continue
    p.begin_transaction()
    offs = {}
    for i in range(0, len(msgs), ROWS):
        part = msgs[i : i + ROWS]
        texts = [orjson.loads(m.value())["text"] for m in part]
        for m, t, o in zip(part, texts, infer(texts), strict=True):
            p.produce(OUT, orjson.dumps({"text": t, "translation": o}), key=m.key())
            offs[m.partition()] = m.offset() + 1
    p.send_offsets_to_transaction(
        [TopicPartition(IN, k, o) for k, o in offs.items()], c.consumer_group_metadata()
    )
    p.commit_transaction()
