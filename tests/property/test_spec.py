"""Whatever stands in a pipeline file: it survives being written down, or it is a SpecError."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from headrace.errors import SpecError
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.spec.models import PipelineSpec

NAMES = st.from_regex(r"[a-z][a-z0-9_]{5,12}", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1
)
PATHS = st.lists(st.from_regex(r"[a-z$é{}\-:# ]{1,6}", fullmatch=True), min_size=1, max_size=3).map(
    ".".join
)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
DURATIONS = st.integers(1, 60_000).map(lambda ms: f"{ms}ms")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


INPUTS = st.fixed_dictionaries(
    {"path": PATHS},
    optional={
        "datatype": st.sampled_from(["BYTES", "FP32"]),
        "shape": st.lists(st.integers(-1, 9), max_size=3),
        "default": JSON,
        "parameters": st.dictionaries(TEXTS, SCALARS, max_size=2),
    },
)
OUTPUTS = st.fixed_dictionaries(
    {"tensor": TEXTS},
    optional={"as": st.just("base64"), "nan": st.sampled_from([None, "null", "dead_letter"])},
)
BATCH = some(max_size=st.integers(1, 999), max_wait=DURATIONS)
RETRY = some(max_attempts=st.integers(1, 9), first_delay=st.just("5ms"), max_delay=DURATIONS)
ORDERINGS = st.sampled_from(["key", "partition", "none"])


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    topic = draw(st.sampled_from(["tweets", "medical.charts"]))
    step = draw(st.sampled_from(["translate", "codes"]))
    sink, model = f"out.{draw(NAMES)}", draw(TEXTS)
    url = st.lists(st.sampled_from(["grpc://a:1", "grpcs://b:2"]), min_size=1, max_size=3)
    settings = some(
        name=TEXTS,
        version=TEXTS,
        timeout=DURATIONS,
        token=TEXTS,
        headers=st.dictionaries(TEXTS, TEXTS, max_size=2),
        parameters=st.dictionaries(TEXTS, SCALARS, max_size=2),
        tls=some(ca=TEXTS, server_name=TEXTS),
        max_in_flight=st.integers(1, 99),
    )
    body = {
        "from": topic,
        "model": model,
        "inputs": draw(st.dictionaries(TEXTS, PATHS | INPUTS, min_size=1, max_size=3)),
        "outputs": draw(st.dictionaries(PATHS, TEXTS | OUTPUTS, min_size=1, max_size=3)),
        **draw(some(ordering=ORDERINGS, batch=BATCH, strict=st.booleans())),
    }
    long_sink = some(key=PATHS, fields=st.lists(PATHS, max_size=3))
    return {
        "pipeline": draw(NAMES),
        "models": {model: {"url": draw(url), **draw(settings)}},
        "steps": {step: body},
        "sinks": {sink: {"from": step, **draw(long_sink)}},
        "defaults": draw(some(ordering=ORDERINGS, batch=BATCH)),
        **draw(some(sources=st.just({topic: {"topic": topic, "start": 5}}))),
    }


def written(value: Any) -> Any:
    """Return what would stand in a file for a value of a spec, secrets included."""
    if isinstance(value, dict):
        return {written(key): written(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    if isinstance(value, SecretStr):
        return written(value.get_secret_value())
    return value.replace("${", "$${") if isinstance(value, str) else value


class Quoting(yaml.SafeDumper):
    """Writes every text in quotes: `0E0` is a number to YAML 1.2, not to this dumper."""


Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def as_yaml(value: Any) -> str:
    return yaml.dump(written(value), Dumper=Quoting, allow_unicode=True, sort_keys=False)


@given(pipelines())
@settings(max_examples=40, deadline=None)
def test_a_pipeline_survives_being_written_down(data):
    spec = check_text(as_yaml(data), {}, "f").unwrap()

    again = check_text(as_yaml(spec.model_dump(by_alias=True, exclude_none=True)), {}, "f").unwrap()

    assert again == spec
    assert compile_pipeline(again, Path()) == compile_pipeline(spec, Path())


def loads_or_refuses(text: str) -> PipelineSpec | None:
    checked = check_text(text, {"A": "x"}, "f")
    if checked.spec is None:
        with pytest.raises(SpecError, match="f:") as caught:
            checked.unwrap()
        assert all(problem.line > 0 for problem in caught.value.problems)
    else:
        compile_pipeline(checked.spec, Path())
    return checked.spec


@given(st.text(max_size=200) | st.text("{}[]:-,&*!|>'\"%@`#?$ab \n\t", max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_does_more_than_be_refused(text):
    assert loads_or_refuses(text) is None


WORDS = ["pipeline", "models", "steps", "sinks", "sources", "servers", "kafka", "from", "model"]
WORDS += ["inputs", "outputs", "url", "batch", "security", "topic", "split", "a", "${A}", "${B}"]
WORDS += ["gather", "function", "routes", "join", "optional", "prefer", "reads", "writes", "stage"]
WORDS += ["when", "each", "as", "keep", "into", "m:f", "else", "a.a", "versions", "timeout"]
KEYS = st.sampled_from(WORDS)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KEYS
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, SHAPES))
@settings(max_examples=100, deadline=None)
def test_no_structure_does_more_than_be_refused(data):
    assert loads_or_refuses(yaml.safe_dump(data)) is None


@given(pipelines(), st.data())
@settings(max_examples=60, deadline=None)
def test_one_strange_value_in_a_good_pipeline_is_accepted_or_refused(data, choice):
    at: Any = data
    key = choice.draw(st.sampled_from(sorted(at)))
    while isinstance(at[key], dict) and at[key] and choice.draw(st.booleans()):
        at = at[key]
        key = choice.draw(st.sampled_from(sorted(at)))
    at[key] = choice.draw(SHAPES)

    loads_or_refuses(as_yaml(data))
