"""Every verb on a pipeline with a split, routes, a join, a gather and a fused stage."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.test_cli import SERVER, Cli

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(170)]

PIPELINE = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}"}}
sources: {{albums: {{topic: {source}}}}}
servers: {{texts: {{url: "grpc://127.0.0.1:1", serve: "{serve}"}}}}
models:
  shouter: {{server: texts, name: upper}}
  again: {{server: texts, name: upper}}
topics: {{partitions: 4}}
defaults: {{ordering: key, batch: {{max_wait: 1ms}}}}
steps:
  pages:
    from: albums
    split: {{each: pages, as: page, keep: [id]}}
  loud:
    from: pages
    when: page.text != "skip"
    model: shouter
    inputs: {{text: {{path: page.text, datatype: BYTES, shape: []}}}}
    outputs: {{loud: translation}}
    routes: {{short: loud.size() < 8, long: else}}
  louder:
    from: loud.long
    stage: longer
    model: again
    inputs: {{text: {{path: loud, datatype: BYTES, shape: []}}}}
    outputs: {{again: translation}}
  tidy:
    from: louder
    stage: longer
    function: tidying:tidy
    reads: [again]
    writes: [again]
  album:
    from: [tidy, loud.short]
    join: first
    gather: {{split: pages, into: pages, fields: [loud, again], on_failed: hole}}
sinks:
  {sink}: {{from: album}}
"""
TIDYING = """\
def tidy(document):
    document["again"] = document["again"].rstrip("!")
    return document
"""


@pytest.fixture
def cli(bootstrap: str, tmp_path: Path) -> Iterator[Cli]:
    runner = Cli(bootstrap, tmp_path)
    yield runner
    runner.close()


@pytest.fixture
def names(unique: Callable[[str], str]) -> dict[str, str]:
    found = {each: unique(each) for each in ("name", "source", "sink")}
    return found | {"name": re.sub("[^a-z0-9]+", "-", found["name"])[-40:].strip("-")}


@pytest.fixture
def pipeline(names: dict[str, str], bootstrap: str, tmp_path: Path) -> Path:
    (tmp_path / "tidying.py").write_text(TIDYING)
    path = tmp_path / "pipeline.yaml"
    serve = f"{sys.executable} {SERVER}"
    path.write_text(PIPELINE.format(bootstrap=bootstrap, serve=serve, **names))
    return path


def albums(path: Path, count: int) -> Path:
    """Write albums of 0 to 4 pages: short ones, long ones, ones that fail or are left out."""
    kinds = ["short", "a long one!", "skip", "bad page"]
    lines = [
        json.dumps({"id": n, "pages": [{"text": kinds[(n + p) % 4]} for p in range(n % 5)]})
        for n in range(count)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def expected(path: Path) -> list[dict[str, object]]:
    found = []
    for line in path.read_text().splitlines():
        album = json.loads(line)
        pages: list[object] = []
        for page in album["pages"]:
            text = page["text"]
            if text == "short":
                pages.append({"loud": "SHORT"})
            elif text.startswith("a long"):
                pages.append({"loud": "A LONG ONE!", "again": "A LONG ONE"})
            elif text.startswith("bad"):
                pages.append("failed")
        found.append({"id": album["id"], "pages": pages})
    return found


def told(lines: str) -> list[dict[str, object]]:
    """Return documents by id, holes without their words."""
    documents = [json.loads(line) for line in lines.splitlines()]
    for each in documents:
        each["pages"] = ["failed" if "failed" in page else page for page in each["pages"]]
    return sorted(documents, key=lambda each: each["id"])


def test_up_carries_a_dag_and_counts_what_became_of_it(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    lines = albums(tmp_path / "in.jsonl", 100)
    bad = lines.read_text().count("bad page")
    holed = sum("bad page" in line for line in lines.read_text().splitlines())

    ended = cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")
    tailed = cli("tail", names["sink"], "--from-beginning", "--until-idle").stdout
    status = json.loads(cli("status", pipeline, "--json").stdout)["steps"]

    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert told(tailed) == expected(lines)
    counts = ("read", "written", "dropped", "retried")
    assert [summary[each] for each in counts] == [100, 100, 0, 0]
    # One for every page that failed, and one for every album that has a hole.
    assert summary["dead_lettered"] == bad + holed
    assert [each["step"] for each in status] == ["pages", "loud", "louder", "tidy", "album"]
    assert {each["remaining"] for each in status} == {0}
    assert status[-1]["inlets"].keys() == {"tidy", "loud.short", "retry"}


def test_try_says_which_child_of_which_line_failed(cli: Cli, pipeline: Path, tmp_path: Path):
    lines = albums(tmp_path / "in.jsonl", 20)

    ended = cli("try", pipeline, lines)

    assert ended.returncode == 0, ended.stderr
    assert told(ended.stdout) == expected(lines)
    assert "line 4, child 0: dead letter at loud: InvalidInputError" in ended.stderr


def test_topics_and_graph_name_every_derived_topic(cli: Cli, pipeline: Path, names: dict[str, str]):
    applied = cli("topics", "apply", pipeline).stdout
    again = cli("topics", "plan", pipeline, "--json").stdout
    graph = json.loads(cli("graph", pipeline, "--live", "--format", "json").stdout)

    derived = {f"{names['name']}.{each}" for each in ("pages", "loud.short", "loud.long", "tidy")}
    assert all(f"+ create {each} (derived, 4 partitions" in applied for each in derived)
    assert {each["action"] for each in json.loads(again)["topics"]} == {"none"}
    found = {each["name"]: each for each in graph["topics"] if each["kind"] == "derived"}
    assert found.keys() == derived
    assert {each["partitions"] for each in found.values()} == {4}


def test_lint_live_finds_nothing_wrong_with_topics_that_apply_made(cli: Cli, pipeline: Path):
    cli("topics", "apply", pipeline)

    ended = cli("lint", pipeline, "--live", "--json")

    codes = {each["code"] for each in json.loads(ended.stdout)["problems"]}
    # The model server is not running.
    assert "E081" in codes
    assert not codes & {"E083", "E084", "E085", "E086", "E087", "E088", "W088"}
