"""The pipeline of pipeline.yaml, built in Python: tweets in, the same tweets with Spanish out."""

from headrace import Batch, Defaults, Pipeline

pipeline = Pipeline("tweets", defaults=Defaults(ordering="key"))
pipeline.source("tweets").infer(
    "translate",
    pipeline.model("translator", url="grpc://localhost:8081", serve="models"),
    inputs={"text": "text"},
    outputs={"translation": "translation"},
    batch=Batch(64, "5ms"),
).to("tweets-es")
