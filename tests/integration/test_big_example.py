"""The pipeline of medical records, which uses everything at once, with scripted and real models."""

import itertools
import json
import random
import shlex
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.core import wire
from headrace.core.steps import ModelStep
from headrace.errors import InvalidInputError
from headrace.local.model_server import ModelServer
from headrace.local.uv_environment import synced_environment
from headrace.ports import Prediction
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing import run
from headrace.testing.rehearsal import rehearse
from tests.integration.dag_scene import DagScene, header

TESTS = Path(__file__).parents[1]
MODELS = TESTS / "integration" / "chart_models"
LOCKED = TESTS.parent / "benchmarks" / "model-upper"
"""The folder whose environment holds MLServer."""

PIPELINE = (TESTS / "unit" / "spec" / "records" / "pipeline.yaml").read_text()
CHARTS = 60

RULES = """\
def drop_impossible(document):
    is_early = document["page"]["date"] < "2019"
    codes = [code for code in document["codes"] if code]
    return {"codes": [c for c in codes if not (is_early and c.startswith("COVID"))]}
"""

TEXTS = {
    "note: FEVER and COVID": 4,
    "note: PAIN but no FEVER": 4,
    "note: nothing at all": 1,
    "lab: hb crp": 4,
    "": 1,
    "letter: dear colleague": 2,
    "!torn": 1,
}
"""Texts of pages and how often they come."""


def chart(number: int) -> dict[str, Any]:
    """Return a chart; the first has no pages, the second one that cannot be read."""
    rng = random.Random(number)
    count = 0 if number == 0 else rng.choice([1, 2, 5, 9])
    texts = rng.choices(list(TEXTS), list(TEXTS.values()), k=count)
    if number == 1:
        texts = ["note: FEVER and COVID", "!torn", "lab: hb crp"]
    pages = [{"text": text, "date": f"{rng.choice([2015, 2021])}-03-01"} for text in texts]
    return {"chart_id": f"c{number}", "patient": "is not needed", "pages": pages}


def version_of(id_: str) -> str:
    """Return which version of icd10 codes a page."""
    return "3" if zlib.crc32(id_.encode()) % 100 < 95 else "4"


def entry(page: dict[str, Any], id_: str) -> Any:
    """Return what comes of a page: None where it is dropped, what failed for a hole."""
    text = page["text"]
    match text.partition(":")[0]:
        case "note":
            words = text.split()
            negated = {after for word, after in itertools.pairwise(words) if word == "no"}
            found = [word for word in words if word.isupper() and word not in negated]
            if page["date"] < "2019":
                found = [word for word in found if word != "COVID"]
            return {"kind": "note", "codes": [f"{word}.{version_of(id_)}" for word in found]}
        case "lab":
            return {"kind": "lab", "codes": ["L-hb", "L-crp", ""]}
        case "":
            return None
        case "!torn":
            return ("kind", "InvalidInputError")
        case kind:
            return {"kind": kind}


def expected(number: int, id_: str) -> dict[str, Any]:
    pages = [entry(page, f"{id_}/{n}") for n, page in enumerate(chart(number)["pages"])]
    return {"chart_id": f"c{number}", "pages": [page for page in pages if page is not None]}


def came_out(value: bytes | None) -> dict[str, Any]:
    """Return a result, of holes only which step failed and how."""
    document: dict[str, Any] = json.loads(value or b"null")
    for n, page in enumerate(document["pages"]):
        if "failed" in page:
            document["pages"][n] = (page["failed"]["step"], page["failed"]["error"])
    return document


def versions_asked(number: int, id_: str) -> set[str]:
    pages = enumerate(chart(number)["pages"])
    return {version_of(f"{id_}/{n}") for n, page in pages if page["text"].startswith("note")}


def models_of(models: str) -> dict[str, set[str]]:
    """Return the versions that `headrace-models` tells, by step and model."""
    found: dict[str, set[str]] = {}
    for each in filter(None, models.split(", ")):
        name, _, version = each.partition("@")
        found.setdefault(name, set()).add(version)
    return found


def models_asked(number: int, id_: str) -> dict[str, set[str]]:
    """Return step and model of everything that some page passed, with versions where they count."""
    kinds = {page["text"].partition(":")[0] for page in chart(number)["pages"]}
    asked: dict[str, set[str]] = {}
    if kinds - {"!torn"}:
        asked["kind=doc-type"] = {""}
    if "note" in kinds:
        asked |= {"entities=entities": {""}, "negation=negation": {""}}
        asked["codes=icd10"] = versions_asked(number, id_)
    if "lab" in kinds:
        asked["labs=labs"] = {""}
    return asked


def letters_due(numbers: Sequence[int]) -> Counter[tuple[str, str]]:
    """Return step and error of the letters: of a page, of the join that lacks it, of its chart."""
    torn = [[page["text"] == "!torn" for page in chart(n)["pages"]] for n in numbers]
    return Counter(
        {
            ("kind", "InvalidInputError"): sum(map(sum, torn)),
            ("codes", "MissingPartError"): sum(map(sum, torn)),
            ("chart", "MissingPartError"): sum(map(any, torn)),
        }
    )


class Scripted:
    """Answers as the models of `chart_models` do."""

    def __init__(self, step: ModelStep) -> None:
        self._model = step.model

    async def infer(self, columns: Sequence[Sequence[Any]]) -> Prediction:
        rows = [self._answer(*row) for row in zip(*columns, strict=True)]
        return Prediction([rows], self._model.version)

    async def ready(self) -> bool:
        return True

    async def close(self) -> None:
        pass

    def _answer(self, text: Any, negated: Sequence[str] = ()) -> Any:
        match self._model.name:
            case "doc-type":
                if text.startswith("!"):
                    raise InvalidInputError(f"cannot read {text!r}")
                return text.partition(":")[0] or "lab"
            case "entities":
                return [word for word in text.split() if word.isupper()]
            case "negation":
                words = text.split()
                return [b for a, b in itertools.pairwise(words) if a == "no"]
            case "labs":
                return [*(f"L-{word}" for word in text.split()[1:]), ""]
            case _:
                return [f"{w}.{self._model.version}" for w in text if w not in negated]


@pytest.mark.parametrize(
    "text", [PIPELINE, PIPELINE.replace("    stage: coding\n", "")], ids=["fused", "unfused"]
)
def test_every_chart_comes_out_with_scripted_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
):
    # Python knows one module of a name, and the other case has one like it.
    monkeypatch.delitem(sys.modules, "rules", raising=False)
    (tmp_path / "rules.py").write_text(RULES)
    topology = compile_pipeline(check_text(text, {}, "records.yaml").unwrap(), tmp_path)
    sources = [("medical.charts", json.dumps(chart(n)).encode()) for n in range(CHARTS)]

    done = run(rehearse(topology, sources, Scripted))

    ids = [f"medical.charts-0-{number}" for number in range(CHARTS)]
    made = [came_out(result.value) for result in done.results]
    models = [models_of(result.models) for result in done.results]
    assert made == [expected(number, id_) for number, id_ in enumerate(ids)]
    assert models == [models_asked(number, id_) for number, id_ in enumerate(ids)]
    assert set().union(*(each.get("codes=icd10", ()) for each in models)) == {"3", "4"}
    assert Counter((each.step, each.error) for each in done.letters) == letters_due(range(CHARTS))
    assert done.halted == []


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    """The models of the example behind MLServer, in the environment of the benchmark's."""
    mlserver = synced_environment(LOCKED) / "bin" / "mlserver"
    with ModelServer(
        f"{shlex.quote(str(mlserver))} start {MODELS.name}", directory=MODELS.parent
    ) as s:
        yield s


@pytest.mark.kafka
@pytest.mark.mlserver
@pytest.mark.timeout(180)
def test_every_chart_comes_out_of_kafka_with_a_real_model_server(
    bootstrap: str, models: ModelServer, tmp_path: Path
):
    _, _, text = PIPELINE.partition("sources:")
    for old, new in {
        "${MLSERVER:-grpc://localhost:8081}": models.url("grpc"),
        '["grpcs://a:8001", "grpcs://b:8001"], token: "${GPU_TOKEN:-}"': f'"{models.url("http")}"',
        ", serve: models": "",
        "medical.charts": "NAME.in",
        "risk.charts": "NAME.out",
        "rules:": "chart_rules:",
    }.items():
        assert old in text
        text = text.replace(old, new)
    scene = DagScene(bootstrap, "big-example", tmp_path, f"sources:{text}", {"chart_rules": RULES})
    scene.create_topics()
    source, sink = "big-example.in", "big-example.out"
    ids: dict[int, str] = {}
    for partition in (0, 1):
        numbers = range(partition, CHARTS, 2)
        fed = scene.feed(source, *map(chart, numbers), partition=partition)
        ids |= dict(zip(numbers, fed, strict=True))

    with scene.worker():
        scene.until(lambda: len(scene.read(sink)) >= CHARTS, within_s=60)
        scene.until_finished()

    scene.close()
    results = scene.read(sink)
    made = {header(each, wire.ID): came_out(each.value) for each in results}
    models_said = {header(each, wire.ID): models_of(header(each, wire.MODELS)) for each in results}
    assert len(results) == CHARTS
    assert made == {id_: expected(number, id_) for number, id_ in ids.items()}
    assert {each.key for each in results} == {f"c{number}".encode() for number in ids}
    assert models_said == {id_: models_asked(number, id_) for number, id_ in ids.items()}
    letters = Counter(
        (header(each, wire.ERROR_STEP), header(each, wire.ERROR_CLASS)) for each in scene.letters()
    )
    assert letters == letters_due(range(CHARTS))
