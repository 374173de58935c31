"""FastStream on confluent-kafka: ROWS records a REST call, acknowledged after: at least once."""

import asyncio
import os

import httpx
import orjson
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker

URL, IN, OUT, GROUP = (os.environ[name] for name in ("OIP_URL", "IN", "OUT", "GROUP"))
ROWS = int(os.environ.get("ROWS", "1"))

broker = KafkaBroker(os.environ["BROKER"], logger=None)
app = FastStream(broker)
http = httpx.AsyncClient(timeout=60)


async def infer(texts):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}]}
    answer = await http.post(
        URL, content=orjson.dumps(body), headers={"content-type": "application/json"}
    )
    answer.raise_for_status()
    return orjson.loads(answer.content)["outputs"][0]["data"]


SUBSCRIBER = {
    "group_id": GROUP,
    "auto_offset_reset": "earliest",
    "ack_policy": AckPolicy.NACK_ON_ERROR,
}

if ROWS == 1:

    @broker.subscriber(IN, **SUBSCRIBER)
    async def one(record: dict):
        answer = await infer([record["text"]])
        await broker.publish({"text": record["text"], "translation": answer[0]}, topic=OUT)

else:

    @broker.subscriber(IN, batch=True, max_records=ROWS, polling_interval=0.02, **SUBSCRIBER)
    async def many(records: list[dict]):
        texts = [record["text"] for record in records]
        answers = await infer(texts)
        done = [{"text": t, "translation": a} for t, a in zip(texts, answers, strict=True)]
        await broker.publish_batch(*done, topic=OUT)


if __name__ == "__main__":
    asyncio.run(app.run())
