"""The pipelines that a campaign runs: what goes in, what must come out, and how that is told."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from headrace.cli.settings import load_topology
from headrace.core.record_ids import source_of
from headrace.core.records import Record, TopicPartition
from headrace.core.topology import Topology
from headrace.testing.history import Origin

KEYS = 200

_HEAD = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}", membership: {membership}, group_protocol: {protocol}}}
models:
  upper: {{url: "{url}"}}
defaults:
  retry: {{max_attempts: 20, first_delay: 50ms, max_delay: 500ms}}
  batch: {{max_size: 16, max_wait: 5ms}}
"""

Numbered: TypeAlias = Sequence[tuple[int, Record]]
"""Records of sink or dead letters, with the number of the source record that each comes from."""

Check: TypeAlias = Callable[[Numbered, Numbered, bool], Iterator[str]]
"""Yields what is wrong with the contents of sink and dead letters; the last says whether models
answered wrongly for a while, so that good records may have been given up."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a pipeline file says besides its steps."""

    name: str
    bootstrap: str
    url: str
    protocol: str
    membership: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A pipeline whose records carry their number as `n`, and whose texts end in `#n`.

    Attributes:
        name: What reports call it.
        steps: Its steps and sinks; NAME stands for the pipeline's name.
        value: The value of a source record.
        check: What is wrong with the contents.
        functions: The module `rules` beside the file.
        ended_by: The steps whose dead letters end a source record.
        keeps_order: Whether results of a key come in the order of its records.
        ends_early: Whether a record may end while models still work on it.
    """

    name: str
    steps: str
    value: Callable[[int], bytes]
    check: Check
    functions: str = ""
    ended_by: tuple[bytes, ...] = ()
    keeps_order: bool = False
    ends_early: bool = False

    def write(self, folder: Path, setting: Setting) -> Path:
        """Write the pipeline file and what it needs; return the file."""
        file = folder / "pipeline.yaml"
        head = _HEAD.format(
            name=setting.name,
            bootstrap=setting.bootstrap,
            url=setting.url,
            protocol=setting.protocol,
            membership=setting.membership,
        )
        file.write_text(head + self.steps.replace("NAME", setting.name))
        (folder / "rules.py").write_text(self.functions)
        return file

    def endings(self, written: Sequence[Record], letters: Sequence[Record]) -> list[Record]:
        """Return the records that ended a source record each.

        A letter beside a result does not: it tells of the part that the result goes without.
        """
        has_result = {origin_of(each) for each in written}
        ended = (each for each in letters if self.is_ending(each))
        return [*written, *(each for each in ended if origin_of(each) not in has_result)]

    def is_ending(self, record: Record) -> bool:
        """Whether a record of a sink or of the dead letters is a source record's outcome.

        A letter that tells of a part (a page that becomes a hole) is not: models may still be
        asked about the others.
        """
        step = _step(record)
        return step is None or step in self.ended_by


def key(number: int) -> bytes:
    """Return the key of a source record."""
    return b"k%d" % random.Random(number).randrange(KEYS)


def origin_of(record: Record) -> Origin:
    """Return which source record a result or a dead letter comes from, by its record id."""
    source = source_of(dict(record.headers or ())["headrace-id"] or b"").decode()
    topic, partition, offset = source.rsplit("/", 2)
    return TopicPartition(topic, int(partition)), int(offset)


def number_of(source: Record) -> int:
    """Return the number of a source record."""
    value = source.value or b""
    return number_in(value.decode()) if value.startswith(b"not") else int(json.loads(value)["n"])


def number_in(text: str) -> int:
    """Return the number of the source record that a model's input comes from."""
    return int(text.rpartition("#")[2])


def topology_of(file: Path) -> Topology:
    """Return the pipeline that stands in a file."""
    return load_topology(str(file), None)


def _step(record: Record) -> bytes | None:
    """Return the step that gave a record up, None for a result."""
    return dict(record.headers or ()).get("headrace-error-step")


# One step: one record in 200 is bad.


def _one_value(number: int) -> bytes:
    match number % 400:
        case 100:
            return b"not json #%d" % number
        case 300:
            return _json({"n": number, "text": f"!400 #{number}"})
    return _json({"n": number, "text": f"fine #{number}"})


def _one_check(written: Numbered, letters: Numbered, is_spoilt: bool) -> Iterator[str]:
    for number, each in written:
        if _document(each)["translation"] != f"FINE #{number}":
            yield f"the result of {number}"
    for number, each in letters:
        if not is_spoilt and number % 400 not in (100, 300):
            yield f"{number} was given up: {_reason(each)}"


ONE_STEP = Shape(
    name="one step",
    steps="""\
steps:
  shout: {from: NAME.in, model: upper, inputs: {text: text}, outputs: {translation: translation}}
sinks: {NAME.out: shout}
""",
    value=_one_value,
    check=_one_check,
    ended_by=(b"shout",),
    keeps_order=True,
)

# A DAG of a split, two branches that join, and a gather: some pages are blank, some torn.

_CHARTS = """\
sources: {charts: NAME.in}
steps:
  pages: {from: charts, split: {each: pages, as: page, keep: [n]}STAGE}
  clean: {from: pages, function: "rules:clean", reads: [page.text], writes: [clean]STAGE}
  loud: {from: pages, model: upper, inputs: {text: page.text}, outputs: {loud: translation}STAGE}
  score: {from: [clean, loud], function: "rules:score", reads: [clean, loud], writes: [score]STAGE}
  chart:
    from: score
    gather: {split: pages, into: pages, fields: [page.p, score], on_failed: hole}CHART
sinks: {NAME.out: chart}
"""

_CHART_RULES = """\
def clean(document):
    text = document["page"]["text"].partition("#")[0].strip()
    if text == "torn":
        raise ValueError("an unreadable page")
    return None if text == "blank" else {"clean": text}


def score(document):
    return {"score": [document["clean"], document["loud"]]}
"""


def _pages(number: int) -> list[str]:
    rng = random.Random(number)
    return rng.choices(["good", "blank", "torn"], [12, 2, 1], k=rng.choice([0, 1, 2, 3, 6]))


def _chart_value(number: int) -> bytes:
    pages = [{"p": p, "text": f"{text} #{number}"} for p, text in enumerate(_pages(number))]
    return _json({"n": number, "pages": pages})


def _chart_check(written: Numbered, letters: Numbered, is_spoilt: bool) -> Iterator[str]:
    given_up: Counter[int] = Counter()
    for number, each in written:
        pages = [None if "failed" in page else page for page in _document(each)["pages"]]
        wanted = [
            None
            if text == "torn"
            else {"page": {"p": p}, "score": [text, f"{text} #{number}".upper()]}
            for p, text in enumerate(_pages(number))
            if text != "blank" or is_spoilt
        ]
        if is_spoilt:
            given_up[number] += pages.count(None)
            is_right = all(page in wanted for page in pages if page is not None)
        else:
            given_up[number] += wanted.count(None)
            is_right = pages == wanted
        if not is_right:
            yield f"the pages of {number}: {pages}"
    holes = Counter(number for number, each in letters if _step(each) == b"score")
    for number in given_up:
        if holes[number] != given_up[number]:
            yield f"{holes[number]} letters for {given_up[number]} holes of {number}"


def _charts(name: str, stage: str) -> Shape:
    chart = f"\n    stage: {stage}" if stage else ""
    steps = _CHARTS.replace("STAGE", f", stage: {stage}" if stage else "")
    return Shape(
        name=name,
        steps=steps.replace("CHART", chart),
        value=_chart_value,
        check=_chart_check,
        functions=_CHART_RULES,
    )


DAG = _charts("DAG", "")
FUSED = _charts("fused DAG", "all")

# A join that does not wait for ever: parts of one record in 20 come late.


def _late_value(number: int) -> bytes:
    order = "!slow=2.5 " if number % 20 == 7 else ""
    return _json({"n": number, "quick": f"quick #{number}", "slow": f"{order}slow #{number}"})


def _late_check(written: Numbered, letters: Numbered, is_spoilt: bool) -> Iterator[str]:
    for number, each in written:
        document = _document(each)
        if document["a"] != f"QUICK #{number}":
            yield f"the first part of {number}"
        if "b" in document and not document["b"].endswith(f"SLOW #{number}"):
            yield f"the second part of {number}"


LATE = Shape(
    name="late parts",
    steps="""\
sources: {twins: NAME.in}
steps:
  quick: {from: twins, model: upper, inputs: {text: quick}, outputs: {a: translation}}
  slow: {from: twins, model: upper, inputs: {text: slow}, outputs: {b: translation}}
  both:
    from: [quick, slow]
    optional: [slow]
    on_missing: proceed
    timeout: 1s
    function: "rules:both"
    reads: [n]
    writes: [met]
sinks: {NAME.out: both}
""",
    value=_late_value,
    check=_late_check,
    functions="def both(document):\n    return {'met': True}\n",
    ended_by=(b"both",),
    ends_early=True,
)

SHAPES = (ONE_STEP, DAG, FUSED, LATE)


def _document(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(record.value or b"")
    return document


def _reason(letter: Record) -> str:
    said = dict(letter.headers or ()).get("headrace-error-message") or b""
    return said.decode(errors="replace")[:120]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
