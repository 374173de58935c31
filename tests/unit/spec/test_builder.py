"""A pipeline built in Python is the pipeline of the file."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

import headrace
from headrace.builder import Batch, Defaults, Pipeline, Retry
from headrace.errors import SpecError
from headrace.spec.loader import check_text, load

EXAMPLE = Path(__file__).parents[3] / "examples" / "tweets"

CODES = """\
pipeline: records
kafka: {bootstrap_servers: "${KAFKA:-embedded}", properties: {linger.ms: 3}}
delivery: at_least_once
topics: {partitions: 3}
sources: {charts: {topic: medical.charts, start: latest}}
servers:
  mlserver: {url: "${MLSERVER:-grpc://localhost:8081}", serve: models, timeout: 2s}
models:
  codes: {server: mlserver, name: icd10, version: "3", headers: {a: b}}
defaults: {ordering: partition, batch: {max_size: 64, max_wait: 5ms}, retry: {max_attempts: 5}}
steps:
  codes:
    from: charts
    model: codes
    inputs: {text: {path: page.text, shape: [1]}}
    outputs: {codes: {tensor: codes, nan: null}}
    batch: {max_wait: 20ms}
    retry: {max_attempts: 8}
    strict: true
sinks:
  risk.charts: {from: codes, key: chart_id, fields: [chart_id, codes]}
  risk.all: codes
"""


def codes():
    p = Pipeline(
        "records",
        defaults=Defaults("partition", Batch(64, "5ms"), Retry(5)),
        kafka={"bootstrap_servers": "${KAFKA:-embedded}", "properties": {"linger.ms": 3}},
        delivery="at_least_once",
        topics={"partitions": 3},
    )
    url = "${MLSERVER:-grpc://localhost:8081}"
    server = p.server("mlserver", url, serve="models", timeout="2s")
    stream = p.source("charts", "medical.charts", start="latest").infer(
        "codes",
        p.model("codes", server, name="icd10", version="3", headers={"a": "b"}),
        inputs={"text": {"path": "page.text", "shape": (1,)}},
        outputs={"codes": {"tensor": "codes", "nan": None}},
        batch=Batch(max_wait=timedelta(milliseconds=20)),
        retry=Retry(8),
        strict=True,
    )
    stream.to("risk.charts", key="chart_id", fields=["chart_id", "codes"])
    stream.to("risk.all")
    return p


@pytest.mark.parametrize("environ", [{}, {"MLSERVER": "grpcs://a:1", "KAFKA": "b:9092"}])
def test_python_and_yaml_give_the_same_pipeline(environ):
    assert codes().spec(environ) == check_text(CODES, environ, "f").unwrap()


def test_the_example_is_the_same_in_python_and_yaml():
    from_python = load(f"{EXAMPLE / 'pipeline.py'}:pipeline", {})

    assert from_python == load(EXAMPLE / "pipeline.yaml", {})


def test_the_environment_of_the_process_fills_variables_by_default(monkeypatch):
    monkeypatch.setenv("KAFKA", "here:9092")

    assert codes().spec().kafka.bootstrap_servers == "here:9092"


def test_problems_have_the_same_codes_and_a_place_instead_of_a_line():
    p = Pipeline("tweets", kafka={"bootstrap_servers": "${KAFKA}"})
    model = p.model("translator", url="ftp://a:1")
    p.source("tweets").infer(
        "translate", model, inputs={"text": 3}, outputs={"a": "b"}, batch=Batch(max_size=0)
    ).to("tweets")

    with pytest.raises(SpecError) as caught:
        p.spec({})

    lines = str(caught.value).replace(", not 3", "").splitlines()
    assert [re.split(": |:-", line)[1:3] for line in lines] == [
        ["kafka.bootstrap_servers", "E003 variable 'KAFKA' is not set; set it, or write ${KAFKA"],
        ["models.translator.url", "E044 'url' of model 'translator'"],
        ["sinks.tweets", "E042 sink 'tweets' writes to a topic that the pipeline reads"],
        ["steps.translate.batch.max_size", "E013 'batch.max_size' of step 'translate', not 0"],
        ["steps.translate.inputs.text", "E012 'inputs.text' of step 'translate' expects a mapping"],
    ]
    assert lines[0].startswith("pipeline tweets: ")


def test_a_name_declared_twice_is_refused():
    p = codes()
    p.source("charts", "other")

    assert (
        p.check({}, "p.py").text
        == "p.py: sources.charts: E002 'charts' is declared twice in sources"
    )


def test_several_steps_are_refused_by_name():
    p = Pipeline("p")
    model = p.model("m", url="grpc://a:1")
    first = p.source("t").infer("first", model, inputs={"a": "a"}, outputs={"b": "b"})
    first.infer("second", model, inputs={"a": "b"}, outputs={"c": "c"}).to("out")

    text = p.check({}).text

    assert text.startswith("pipeline p: steps.second: E020 not built yet: several steps")


def test_a_value_of_no_kind_that_yaml_has_is_refused():
    p = Pipeline("p", topics={"partitions": {3}, "prefix": b"x"})

    text = p.check({}).text

    assert "E012 'topics.partitions' expects a whole number, not a set" in text


def test_the_package_offers_the_builder_and_nothing_unknown():
    assert headrace.Pipeline is Pipeline
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        headrace.Pipelin  # noqa: B018
