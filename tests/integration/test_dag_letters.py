"""A page of a chart fails: what is given up with it, and how a replay makes the chart whole."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.core import wire
from headrace.runtime import collecting
from tests.integration.dag_scene import DagScene, header, scenes

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

PIPELINE = """\
sources: {charts: NAME.in}
steps:
  pages: {from: charts, split: {each: pages, as: page, keep: [chart]}}
  clean: {from: pages, function: MODULE:clean, reads: [page.text], writes: [clean]}
  count: {from: pages, function: MODULE:count, reads: [page.text], writes: [words]}
  score: {from: [clean, count], function: MODULE:score, writes: [score]}
  chart: {from: score, gather: {split: pages, into: pages, fields: [page.n, score]MORE}}
sinks: {NAME.out: chart}
"""

RULES = """\
def clean(document):
    text = document["page"]["text"]
    if text.startswith("!"):
        raise ValueError("an unreadable page")
    return {"clean": text.strip()}


def count(document):
    return {"words": len(document["page"]["text"].split())}


def score(document):
    return {"score": len(document["clean"]) * 100 + document["words"]}
"""

FIXED = RULES.replace('raise ValueError("an unreadable page")', 'text = text.lstrip("!")')


def chart(name: str, *texts: str) -> dict[str, Any]:
    return {"chart": name, "pages": [{"n": n, "text": text} for n, text in enumerate(texts)]}


def whole(name: str, *texts: str) -> dict[str, Any]:
    """Return what comes of a chart all of whose pages can be read."""
    clean = [text.lstrip("!").strip() for text in texts]
    scores = [len(text) * 100 + len(text.split()) for text in clean]
    return {
        "chart": name,
        "pages": [{"page": {"n": n}, "score": score} for n, score in enumerate(scores)],
    }


# A page in the middle cannot be read.
TORN = ("two words", "!torn", "and three words")


@pytest.fixture
def scene(
    bootstrap: str, unique: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., DagScene]]:
    with scenes(bootstrap, unique, tmp_path, PIPELINE, RULES) as make:
        yield make


def fix(scene: DagScene) -> None:
    (module,) = scene.modules
    scene.write_module(module, FIXED)


def results(scene: DagScene) -> list[Any]:
    return scene.documents(f"{scene.name}.out")


def stories(scene: DagScene) -> list[str]:
    """Return id, step and error of the open dead letters, a line each, as `dlq ls` lists them."""
    lines = scene.headrace("dlq", "ls", "FILE").splitlines()[1:]
    rows = [line.replace("└ ", "└").split() for line in lines]
    return [f"{id_} {step} {error}" for id_, _key, step, error, *_ in rows]


TIME = r" \d{4}-\d\d-\d\d \S+:\S+"


def told(scene: DagScene, id_: str) -> list[str]:
    """Return the lines of a trace without places, times and reasons; `R` is the source record."""
    record = id_.partition("/")[0]
    lines = scene.headrace("trace", "FILE", id_).splitlines()[1:]
    found = []
    for line in lines:
        said = line.partition(";")[0].replace(record, "R")
        said = re.sub(r" \w+Error: .*| \S+-\d+@\d+ | \d+-\d+$|" + TIME, " ", said)
        if said.strip() and re.match(r" *R|  .*  |now: |read ", said):
            found.append(" ".join(said.split()))
    return found


CHILD = """R/{0}
pages result
clean result
count result
score result"""

FAILED = """R/1
pages result
clean dead letter 1 attempt
clean failed
count result
score dead letter
score failed at clean:"""

GIVEN_UP = """now: R/1: dead-lettered at step clean:
now: R/1: dead-lettered at step score:
now: R: dead-lettered at step chart:"""


def lines(*texts: str) -> Counter[str]:
    return Counter(line for text in texts for line in text.splitlines())


def without_count(trace: list[str]) -> Counter[str]:
    """Return the lines of a trace in no order: two steps may finish in the same millisecond."""
    assert trace[-1].startswith("read ")
    return Counter(trace[:-1])


def test_a_page_that_failed_is_followed_until_its_chart_is_whole(scene):
    s = scene()
    torn, _ = s.feed(f"{s.name}.in", chart("a", *TORN), chart("b", "one"))
    untouched = told(s, torn)

    with s.worker("pages", "count", "score"):
        s.until_finished("pages", "count")
        s.until(lambda: len(s.read(f"{s.name}.count")) == 4)
        waiting = told(s, f"{torn}/1")
    with s.worker():
        s.until(lambda: len(s.letters()) == 3 and len(results(s)) == 1)
        s.until_finished()
    failed, page = told(s, torn), told(s, f"{torn}/1")
    listed = stories(s)
    fix(s)
    replayed = s.headrace("dlq", "replay", "FILE")
    sent_back = told(s, torn)
    with s.worker():
        s.until(lambda: len(results(s)) == 2)
        s.until_finished()
    repaired, its_page = told(s, torn), told(s, f"{torn}/1")

    assert untouched == [
        "R",
        "source source key k",
        "now: R: not finished by step pages yet",
        "read 1 records",
    ]
    assert without_count(waiting) == lines(
        "R\nsource source key k\nR/1\npages result\ncount result",
        "now: R/1: waiting at step clean",
        "now: R/1: waiting at step score for: clean",
    )
    others = [CHILD.format(0), CHILD.format(2)]
    record = "R\nsource source key k\nchart dead letter"
    assert without_count(failed) == lines(record, FAILED, *others, GIVEN_UP)
    assert without_count(page) == lines(record, FAILED, GIVEN_UP)
    assert listed == [
        f"{torn}/1 clean FunctionError",
        f"{torn}/1 └score MissingPartError",
        f"{torn} └chart MissingPartError",
    ]
    assert replayed == "replayed 3\n"
    back = "replay sent back dead letter\n" * 3 + "clean replay\nscore replay\nchart replay"
    assert without_count(sent_back) == lines(
        record,
        FAILED,
        *others,
        back,
        "now: R/1: waiting at step clean again after a replay",
        "now: R/1: waiting at step score for: clean",
        "now: R: waiting at step chart for child 1 of 3",
    )
    assert without_count(repaired) == lines(
        record,
        FAILED,
        *others,
        back,
        "clean result after a replay\nscore result after a replay\nchart result sink",
        "now: finished",
    )
    assert without_count(its_page) == without_count(repaired) - lines(*others)
    assert results(s) == [whole("b", "one"), whole("a", *TORN)]
    assert stories(s) == []


def test_two_operators_who_replay_at_once_make_every_chart_whole_once(scene):
    s = scene()
    names = [f"c{number}" for number in range(60)]
    for partition in (0, 1):
        s.feed(f"{s.name}.in", *[chart(n, *TORN) for n in names[partition::2]], partition=partition)
    with s.worker():
        s.until(lambda: len(s.letters()) == 3 * len(names))
        s.until_finished()
    fix(s)

    with s.worker():
        operators = [s.start("dlq", "replay", "FILE") for _ in range(2)]
        ended = [(verb.communicate(timeout=60), verb.returncode) for verb in operators]
        s.until(lambda: len(results(s)) >= len(names))
        s.until_finished()

    for (_, err), code in ended:
        assert code == 0 or "another replay" in err
    assert 0 in [code for _, code in ended]
    made = sorted(results(s), key=lambda document: int(document["chart"][1:]))
    assert made == [whole(name, *TORN) for name in names]
    assert len(s.letters()) == 3 * len(names)
    assert stories(s) == []


FUSED = re.sub(r"(function: MODULE:\w+)", r"stage: one, \1", PIPELINE).replace(
    "{from: score,", "{from: score, stage: one,"
)
SPREAD = PIPELINE.replace("keep: [chart]", "keep: [chart], spread: true")


@pytest.mark.parametrize("text", [FUSED, SPREAD], ids=["fused", "spread"])
def test_a_replay_that_fails_again_gives_new_letters_which_can_be_replayed(scene, text):
    s = scene(text=text)
    (torn,) = s.feed(f"{s.name}.in", chart("a", *TORN))

    with s.worker():
        s.until(lambda: len(s.letters()) == 3)
        s.headrace("dlq", "replay", "FILE")
        s.until(lambda: len(s.letters()) == 6)
        s.until_finished()
    again = stories(s)
    fix(s)
    s.headrace("dlq", "replay", "FILE")
    with s.worker():
        s.until(lambda: len(results(s)) == 1)
        s.until_finished()

    assert again == [
        f"{torn}/1 clean FunctionError",
        f"{torn}/1 └score MissingPartError",
        f"{torn} └chart MissingPartError",
    ]
    assert results(s) == [whole("a", *TORN)]
    assert stories(s) == []


def test_a_chart_with_a_hole_is_followed_by_the_whole_one_after_a_replay(scene):
    s = scene(more=", on_failed: hole")
    (torn,) = s.feed(f"{s.name}.in", chart("a", *TORN))

    with s.worker():
        s.until(lambda: len(results(s)) == 1)
        s.until_finished()
    (holed,) = results(s)
    state = told(s, torn)
    fix(s)
    s.headrace("dlq", "replay", "FILE")
    with s.worker():
        s.until(lambda: len(results(s)) == 2)
        s.until_finished()

    hole = holed["pages"].pop(1)
    expected = whole("a", *TORN)
    assert holed["pages"] == [expected["pages"][0], expected["pages"][2]]
    assert (hole["failed"]["step"], hole["failed"]["error"]) == ("clean", "FunctionError")
    assert "an unreadable page" in hole["failed"]["message"]
    assert "chart result sink" in state
    assert "now: R: dead-lettered at step chart:" in state
    assert results(s)[1] == expected
    assert {header(each, wire.ID) for each in s.read(f"{s.name}.out")} == {torn}
    assert stories(s) == []


def test_a_replay_long_after_the_timeout_of_a_gather_is_waited_for_anew(scene):
    # Longer than it may take until all stages of a worker have their partitions.
    s = scene(more=", timeout: 6s")
    s.feed(f"{s.name}.in", chart("a", *TORN))
    with s.worker():
        s.until(lambda: len(s.letters()) == 3)
        s.until_finished()
    fix(s)

    time.sleep(6.0)
    s.headrace("dlq", "replay", "FILE")
    with s.worker():
        s.until(lambda: len(results(s)) == 1)
        s.until_finished()

    assert results(s) == [whole("a", *TORN)]
    assert len(s.letters()) == 3


DROPPING = """\
sources: {texts: NAME.in}
steps:
  clean: {from: texts, function: MODULE:clean, reads: [page.text], writes: [clean]}
  count: {from: texts, function: MODULE:count, reads: [page.text], writes: [words]}
  both:
    from: [count, clean]
    optional: [clean]
    on_missing: drop
    function: MODULE:count
    writes: [words]
sinks: {NAME.out: both}
"""


def test_a_replayed_part_of_a_record_that_was_dropped_finds_nobody(scene, monkeypatch):
    s = scene(text=DROPPING.replace("MODULE:both", "MODULE:count"))
    monkeypatch.setattr(collecting, "REPLAY_GRACE_S", 1.0)
    torn, _ = s.feed(f"{s.name}.in", *({"page": {"text": text}} for text in ("!torn", "one")))
    with s.worker():
        s.until(lambda: len(s.letters()) == 1 and len(results(s)) == 1)
        s.until_finished()
    before = stories(s)
    fix(s)
    s.headrace("dlq", "replay", "FILE")

    async def replayed() -> None:
        async with s.worker_here():
            await asyncio.to_thread(s.until, lambda: len(s.letters()) == 2)
            await asyncio.to_thread(s.until_finished)

    asyncio.run(replayed())

    assert before == [f"{torn} clean FunctionError"]
    assert stories(s) == [f"{torn} both StrayPartError"]
    assert "now: R: dead-lettered at step both:" in told(s, torn)
    assert [each["page"]["text"] for each in results(s)] == ["one"]
