"""A pipeline built in Python is the pipeline of the file."""

import re
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import headrace
from headrace.builder import Batch, Defaults, Pipeline, Retry
from headrace.errors import SpecError
from headrace.spec.loader import check_text, load

EXAMPLES = Path(__file__).parents[3] / "examples"

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


@pytest.mark.parametrize("example", ["tweets", "records"])
def test_an_example_is_the_same_in_python_and_yaml(example):
    from_python = load(f"{EXAMPLES / example / 'pipeline.py'}:pipeline", {})

    assert from_python == load(EXAMPLES / example / "pipeline.yaml", {})


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


DAG = """\
pipeline: p
sources: {docs: {topic: docs, deadline: 30s}}
models: {m: {url: grpc://a:1, versions: {"1": 50, "2": 50}}}
steps:
  cut:
    from: docs
    split: {each: pages, as: page, keep: [id], max_children: 9, spread: true}
    stage: s
    when: pages.size() > 0
  kind:
    {from: cut, model: m, inputs: {x: page}, outputs: {kind: y}, routes: {a: kind == 1, b: else}}
  left:
    from: kind.a
    function: {call: "rules:f", timeout: 3s, workers: 2, pool: process}
    reads: [page]
    writes: [x]
    tombstones: drop
  right: {from: kind.b, function: "rules:g", writes: [y]}
  met:
    from: [kind, left, right]
    optional: [left, right]
    prefer: left
    on_missing: proceed
    timeout: 1m
    late_after: 2d
    model: m
    inputs: {x: x}
    outputs: {z: y}
  doc:
    from: met
    gather:
      split: cut
      into: all
      fields: [z]
      on_failed: hole
      on_missing: drop
      timeout: 1h
      late_after: 1d
      max_bytes: 1MiB
    strict: true
sinks:
  out: {from: [doc, kind.a], key: id, fields: [id]}
  one: {from: kind.b}
"""


def dag():
    p = Pipeline("p")
    m = p.model("m", url="grpc://a:1", versions={"1": 50, "2": 50})
    docs = p.source("docs", deadline="30s")
    cut = docs.split(
        "cut",
        each="pages",
        as_="page",
        keep=["id"],
        max_children=9,
        spread=True,
        stage="s",
        when="pages.size() > 0",
    )
    routes = {"a": "kind == 1", "b": headrace.ELSE}
    kind = cut.infer("kind", m, inputs={"x": "page"}, outputs={"kind": "y"}, routes=routes)
    left = kind["a"].apply(
        "left",
        "rules:f",
        reads=["page"],
        writes=["x"],
        timeout="3s",
        workers=2,
        pool="process",
        tombstones="drop",
    )
    right = kind["b"].apply("right", "rules:g", writes=["y"])
    met = p.join(
        kind,
        left,
        right,
        optional=[left, right],
        prefer=left,
        on_missing="proceed",
        timeout="1m",
        late_after="2d",
    ).infer("met", m, inputs={"x": "x"}, outputs={"z": "y"})
    doc = met.gather(
        "doc",
        split=cut,
        into="all",
        fields=["z"],
        on_failed="hole",
        on_missing="drop",
        timeout="1h",
        late_after="1d",
        max_bytes="1MiB",
        strict=True,
    )
    p.union(doc, kind["a"]).to("out", key="id", fields=["id"])
    kind["b"].to("one")
    return p


def test_everything_about_a_dag_can_be_said_in_python():
    assert dag().spec({}) == check_text(DAG, {}, "f").unwrap()


def top_level(document):
    return document


class Rules:
    def method(self, document):
        return document


def test_a_function_is_named_as_workers_import_it():
    def named(function):
        p = Pipeline("p")
        p.source("docs").apply("f", function).to("out")
        checked = p.check({})
        return checked.spec.steps["f"].function.call if checked.spec else checked.text

    assert named(top_level) == f"{__name__}:top_level"
    assert named(Rules.method) == f"{__name__}:Rules.method"
    assert named("rules:f") == "rules:f"
    for unnamed in (lambda document: document, partial(top_level), Rules().method.__call__):
        assert "E060 'function.call' of step 'f'" in named(unnamed)


def test_a_function_of_the_pipelines_own_module_is_named_by_its_file(tmp_path):
    file = tmp_path / "dag.py"
    file.write_text(
        "import sys\nfrom headrace import Pipeline\n"
        "def own(document):\n    return document\n"
        "pipeline = Pipeline('p')\npipeline.source('docs').apply('f', own).to('out')\n"
    )

    spec = load(f"{file}:pipeline", {})

    assert spec.steps["f"].function.call == "dag:own"


def test_a_function_of_a_program_is_named_by_the_programs_file(monkeypatch):
    def named(main):
        monkeypatch.setitem(sys.modules, "__main__", main)
        p = Pipeline("p")
        p.source("docs").apply("f", own).to("out")
        return p.spec({}).steps["f"].function.call

    def own(document):
        return document

    own.__module__, own.__qualname__ = "__main__", "own"

    assert named(SimpleNamespace(__file__="/somewhere/scoring.py")) == "scoring:own"
    assert named(SimpleNamespace()) == "__main__:own"


def test_a_value_of_no_kind_that_yaml_has_is_refused():
    p = Pipeline("p", topics={"partitions": {3}, "prefix": b"x"})

    text = p.check({}).text

    assert "E012 'topics.partitions' expects a whole number, not a set" in text


def test_the_package_offers_the_builder_and_nothing_unknown():
    assert headrace.Pipeline is Pipeline
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        headrace.Pipelin  # noqa: B018
