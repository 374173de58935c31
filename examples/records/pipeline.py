"""The pipeline of pipeline.yaml, built in Python: charts of scanned pages in, coded charts out."""

from headrace import ELSE, Batch, Defaults, Pipeline, Retry

BY_64 = Batch(64, "10ms")
CODED = 'kind in ["progress_note", "discharge_summary", "referral"]'

pipeline = Pipeline(
    "records",
    kafka={"bootstrap_servers": "${KAFKA_BOOTSTRAP_SERVERS:-embedded}"},
    topics={"partitions": 4},
    defaults=Defaults(ordering="key", batch=Batch(32, "10ms"), retry=Retry(6, "200ms", "5s")),
)
mlserver = pipeline.server(
    "mlserver", "${MLSERVER:-grpc://localhost:8081}", serve="models", timeout="30s"
)
TEXT = {"text": "page.text"}


# What kind of page is it?
pages = pipeline.source("charts", "medical.charts").split(
    "pages", each="pages", as_="page", keep=["chart_id", "period"]
)
layout = pages.infer(
    "layout",
    pipeline.model("layout", mlserver),
    inputs=TEXT,
    outputs={"layout": "label"},
    batch=BY_64,
    routes={
        "upright": 'layout == "upright"',
        "turned": 'layout == "upside_down"',
        "blank": ELSE,
    },
)
turn = layout["turned"].apply(
    "turn", "rules:turn", stage="sorting", reads=["page.text"], writes=["page.text"]
)
language = pipeline.join(layout["upright"], turn, mode="first").infer(
    "language",
    pipeline.model("language", mlserver),
    stage="sorting",
    inputs=TEXT,
    outputs={"language": "label"},
    batch=BY_64,
    routes={"english": 'language == "en"', "foreign": ELSE},
)
kind = language["english"].infer(
    "kind",
    pipeline.model("doc-type", mlserver),
    stage="sorting",
    inputs=TEXT,
    outputs={"kind": "label"},
    batch=BY_64,
    routes={"clinical": CODED, "other": ELSE},
)

# Seven models read a clinical page.
clinical = kind["clinical"]
quality = clinical.infer(
    "quality", pipeline.model("quality", mlserver), inputs=TEXT, outputs={"quality": "label"}
)
dates = clinical.infer(
    "dates",
    pipeline.model("dates", mlserver),
    inputs=TEXT,
    outputs={"date_of_service": "date_of_service"},
)
signature = clinical.infer(
    "signature", pipeline.model("signature", mlserver), inputs=TEXT, outputs={"signed": "signed"}
)
credentials = clinical.infer(
    "credentials",
    pipeline.model("credentials", mlserver),
    inputs=TEXT,
    outputs={"credential": "label"},
)
deid = clinical.infer(
    "deid", pipeline.model("deid", mlserver), inputs=TEXT, outputs={"masked": "masked"}
)
sections = clinical.infer(
    "sections", pipeline.model("sections", mlserver), inputs=TEXT, outputs={"sections": "labels"}
)
entities = clinical.infer(
    "entities",
    pipeline.model("entities", mlserver),
    inputs=TEXT,
    outputs={"conditions": "conditions", "drugs": "drugs"},
    batch=Batch(16, "20ms"),
    retry=Retry(max_attempts=10),
)

# Which of the conditions are there, and are the patient's own?
mentions = pipeline.join(entities, sections).apply(
    "mentions",
    "rules:mentions",
    reads=["page.text", "conditions", "sections"],
    writes=["mentions", "contexts"],
)
negation = mentions.infer(
    "negation",
    pipeline.model("negation", mlserver),
    inputs={"contexts": "contexts"},
    outputs={"assertions": "assertions", "certain": "certainties"},
)
family = mentions.infer(
    "family",
    pipeline.model("family", mlserver),
    inputs={"contexts": "contexts"},
    outputs={"family": "scores"},
)

# From here to the code of each finding: one stage.
findings = pipeline.join(negation, family).apply(
    "findings",
    "rules:findings",
    stage="coding",
    reads=["mentions", "assertions", "certain", "family"],
    writes=["findings", "terms"],
)
icd10 = findings.infer(
    "icd10",
    pipeline.model("icd10", mlserver),
    stage="coding",
    when="size(findings) > 0",
    inputs={"terms": "terms"},
    outputs={
        "icd10": "codes",
        "scores": "scores",
        "margins": "margins",
        "categories": "categories",
    },
    batch=Batch(128, "20ms"),
)
hcc = findings.infer(
    "hcc",
    pipeline.model("hcc", mlserver),
    stage="coding",
    when="size(findings) > 0",
    inputs={"terms": "terms"},
    outputs={"opinions": "categories"},
)
codes = (
    pipeline.join(icd10, hcc)
    .apply(
        "signals",
        "rules:signals",
        stage="coding",
        reads=["findings", "icd10", "scores", "margins", "categories", "opinions"],
        writes=["signals"],
    )
    .infer(
        "confidence",
        pipeline.model("confidence", mlserver),
        stage="coding",
        inputs={"signals": "signals"},
        outputs={"confidence": "confidence"},
    )
    .apply(
        "codes",
        "rules:codes",
        stage="coding",
        reads=["findings", "icd10", "categories", "confidence"],
        writes=["codes"],
    )
)

# The page is done when all have told; the chart when all its pages are.
page = pipeline.join(quality, dates, signature, credentials, deid, codes, optional=[codes]).apply(
    "page", "rules:evidence", reads=["codes", "masked"], writes=["codes"]
)
chart = pipeline.join(
    page, kind["other"], language["foreign"], layout["blank"], mode="first"
).gather(
    "chart",
    split=pages,
    into="pages",
    fields=[
        *("layout", "language", "kind", "quality"),
        *("date_of_service", "signed", "credential", "codes"),
    ],
    on_failed="hole",
)
decision = chart.apply(
    "summary",
    "rules:summary",
    stage="deciding",
    reads=["period", "pages"],
    writes=["codes", "traits"],
).infer(
    "decision",
    pipeline.model("decision", mlserver),
    stage="deciding",
    inputs={"traits": "traits"},
    outputs={"decision": "label", "certainty": "certainty"},
    retry=Retry(max_attempts=10),
)
decision.to(
    "risk.charts",
    key="chart_id",
    fields=["chart_id", "period", "decision", "certainty", "codes", "pages"],
)
