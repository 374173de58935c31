"""The pipeline of pipeline.yaml, built in Python."""

import rules

from headrace import ELSE, Batch, Defaults, Pipeline, Retry

pipeline = Pipeline(
    "records",
    kafka={"bootstrap_servers": "${KAFKA_BOOTSTRAP_SERVERS:-embedded}"},
    defaults=Defaults(ordering="key", batch=Batch(64, "5ms"), retry=Retry(5, "200ms", "30s")),
)
mlserver = pipeline.server(
    "mlserver", "${MLSERVER:-grpc://localhost:8081}", serve="models", timeout="2s"
)
gpu = pipeline.server(
    "gpu", ["grpcs://a:8001", "grpcs://b:8001"], token="${GPU_TOKEN:-}", max_in_flight=32
)
text = {"text": "page.text"}

charts = pipeline.source("charts", "medical.charts")
pages = charts.split("pages", each="pages", as_="page", keep=["chart_id"])
kind = pages.infer(
    "kind",
    pipeline.model("doc-type", mlserver),
    inputs=text,
    outputs={"kind": "label"},
    routes={"note": 'kind == "note"', "lab": 'kind == "lab"', "other": ELSE},
)
entities = kind["note"].infer(
    "entities", pipeline.model("entities", mlserver), inputs=text, outputs={"entities": "spans"}
)
negation = kind["note"].infer(
    "negation", pipeline.model("negation", mlserver), inputs=text, outputs={"negated": "spans"}
)
checked = (
    pipeline.join(entities, negation)
    .infer(
        "codes",
        pipeline.model("icd10", gpu, versions={"3": 95, "4": 5}),
        inputs={"entities": "entities", "negated": "negated"},
        outputs={"codes": "codes"},
        stage="coding",
        batch=Batch(256, "20ms"),
        retry=Retry(8),
    )
    .apply(
        "checked",
        rules.drop_impossible,
        reads=["codes", "page.date"],
        writes=["codes"],
        stage="coding",
    )
)
labs = kind["lab"].infer(
    "labs",
    pipeline.model("labs", mlserver),
    inputs=text,
    outputs={"codes": "codes"},
    when="page.text.size() > 0",
)
chart = pipeline.join(checked, labs, kind["other"], mode="first").gather(
    "chart",
    split=pages,
    into="pages",
    fields=["kind", "codes"],
    on_failed="hole",
    on_missing="dead_letter",
    timeout="10m",
)
chart.to("risk.charts", key="chart_id", fields=["chart_id", "pages"])
