"""Quix Streams, exactly once: one REST call per record. COMMIT_S replaces its commit interval."""

import os

import httpx
import orjson
from quixstreams import Application

URL = os.environ["OIP_URL"]
JSON = {"content-type": "application/json"}
http = httpx.Client(timeout=30)


def ask(value):
    body = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [value["text"]]}]
    }
    answer = http.post(URL, content=orjson.dumps(body), headers=JSON)
    answer.raise_for_status()
    translation = orjson.loads(answer.content)["outputs"][0]["data"][0]
    return {"text": value["text"], "translation": translation}


def main():
    commit = {"commit_interval": float(os.environ["COMMIT_S"])} if "COMMIT_S" in os.environ else {}
    app = Application(
        broker_address=os.environ["BROKER"],
        consumer_group=os.environ["GROUP"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        auto_create_topics=False,
        loglevel="WARNING",
        state_dir=os.environ["STATE_DIR"],
        **commit,
    )
    source = app.topic(os.environ["IN"], value_deserializer="json", key_deserializer="bytes")
    sink = app.topic(os.environ["OUT"], value_serializer="json", key_serializer="bytes")
    app.dataframe(source).apply(ask).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main()
