"""What a type checker must know of a pipeline in Python: checked by mypy, never run."""

from datetime import timedelta
from typing import assert_type

import headrace
from headrace import ELSE, Batch, Defaults, Pipeline, Retry
from headrace.builder import Joined, Model, Server, Stream, Union
from headrace.spec.models import PipelineSpec

pipeline = Pipeline(
    "tweets",
    defaults=Defaults(ordering="key", batch=Batch(64, "5ms"), retry=Retry(5, "200ms", "30s")),
    delivery="exactly_once",
)
server = assert_type(pipeline.server("mlserver", "grpc://localhost:8081", timeout="2s"), Server)
model = assert_type(pipeline.model("translator", server, name="en-es"), Model)
replicated = pipeline.model("other", url=["grpc://a:8081", "grpc://b:8081"], max_in_flight=8)
tweets = assert_type(pipeline.source("tweets"), Stream)
spanish = assert_type(
    tweets.infer(
        "translate",
        model,
        inputs={"text": "text"},
        outputs={"translation": "translation"},
        batch=Batch(max_wait=timedelta(milliseconds=5)),
        strict=True,
    ),
    Stream,
)
spanish.to("tweets-es", key="id", fields=["id", "translation"])
kind = assert_type(
    tweets.infer(
        "kind",
        pipeline.model("kinds", server, versions={"3": 95, "4": 5}),
        inputs={"text": "text"},
        outputs={"kind": "label"},
        routes={"good": 'kind == "good"', "other": ELSE},
        when="text.size() > 0",
    ),
    Stream,
)


def shout(document: dict[str, str]) -> dict[str, str]:
    return document


loud = assert_type(kind["good"].apply("shout", shout, reads=["text"], writes=["text"]), Stream)
met = assert_type(pipeline.join(loud, spanish, optional=[spanish], timeout="1m"), Joined)
words = met.split("words", each="words", as_="word", keep=["id"], spread=True, stage="words")
whole = assert_type(words.gather("whole", split=words, into="words", on_failed="hole"), Stream)
assert_type(pipeline.union(whole, kind["other"]), Union)
pipeline.union(whole, kind["other"]).to("whole", fields=["id"])
assert_type(pipeline.spec(), PipelineSpec)
headrace.run(pipeline, slot="w0")

Pipeline("tweets", delivry="exactly_once")  # type: ignore[call-arg]
Batch("many")  # type: ignore[arg-type]
pipeline.model("m", url="grpc://a", max_in_flight="8")  # type: ignore[arg-type]
tweets.infer("s", "translator", inputs={}, outputs={})  # type: ignore[arg-type]
tweets.infer("s", model, inputs={}, outputs={}, oredring="key")  # type: ignore[call-arg]
spanish.to("tweets-es", fields="id").spec()  # type: ignore[func-returns-value, attr-defined]
headrace.run("pipeline.yaml")  # type: ignore[arg-type]
tweets.split("s", each="a", as_="b", inputs={})  # type: ignore[call-arg]
whole.gather("g", split="words", into="words")  # type: ignore[arg-type]
met.to("tweets-es")  # type: ignore[attr-defined]
kind.apply("a", 3)  # type: ignore[arg-type]
