"""Reads back what a run left in Kafka: what became of every chart, and what travelled."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core import wire
from headrace.core.record_ids import parsed_id
from headrace.core.records import Record
from headrace.core.topics import TopicKind, needed_topics
from headrace.core.topology import Topology
from headrace.kafka.dead_letters import DeadLetter, DeadLetters
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import held_records, log_bounds, partitions_of

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the charts of a run.

    Attributes:
        pages: Pages of all charts that could be read.
        results: Charts that came out, by record id.
        letters: Open dead letters: of pages, of the steps that lack them, of charts.
        lost: Ids of charts that neither came out nor are a dead letter.
        doubled: Ids of charts that came out more than once.
        unexplained: Ids of pages that are a hole without a dead letter, or the reverse.
        carried: Bytes of keys, headers and values on derived topics.
        whole: Bytes they would have if every record carried the whole page, or chart.
    """

    pages: int
    results: Mapping[str, Document]
    letters: Sequence[DeadLetter]
    lost: Sequence[str]
    doubled: Sequence[str]
    unexplained: Sequence[str]
    carried: int
    whole: int

    @classmethod
    def of(
        cls,
        charts: Mapping[str, Document],
        came: Sequence[tuple[str, Document]],
        letters: Sequence[DeadLetter],
        sizes: tuple[int, int],
    ) -> "Outcome":
        """Compare what went in with what came out.

        Args:
            charts: The source records by id; one that is no chart is empty.
            came: Id and chart of everything in the sink.
            letters: The open dead letters.
            sizes: Bytes that travelled, and those of whole documents.
        """
        results = dict(came)
        given_up = {each.record for each in letters}
        holes = {
            f"{id_}/{number}"
            for id_, chart in results.items()
            for number, page in enumerate(chart["pages"])
            if "failed" in page
        }
        failed = {each.id for each in letters if "/" in each.id and each.record in results}
        return cls(
            pages=sum(len(chart["pages"]) for chart in charts.values() if chart),
            results=results,
            letters=letters,
            lost=sorted(charts.keys() - results.keys() - given_up),
            doubled=sorted(id_ for id_, n in Counter(id_ for id_, _ in came).items() if n > 1),
            unexplained=sorted(holes ^ failed),
            carried=sizes[0],
            whole=sizes[1],
        )

    @property
    def holds(self) -> bool:
        """Whether every chart is out exactly once or dead-lettered, and every hole has a reason."""
        return not (self.lost or self.doubled or self.unexplained)

    @property
    def causes(self) -> Sequence[DeadLetter]:
        """The letters that are no consequence of others."""
        return [each for each in self.letters if not each.because_of]

    @property
    def holes(self) -> int:
        """Pages that failed, in charts that came out."""
        return sum("failed" in page for each in self.results.values() for page in each["pages"])

    def __str__(self) -> str:
        dead = len({each.record for each in self.letters} - self.results.keys())
        with_holes = sum(
            any("failed" in page for page in each["pages"]) for each in self.results.values()
        )
        line = (
            f"{len(self.results) + dead + len(self.lost):,} charts = {len(self.results):,} out, of "
            f"which {with_holes:,} lack {self.holes:,} pages, + {dead:,} dead-lettered; "
            f"{len(self.lost):,} lost, {len(self.doubled):,} doubled"
        )
        wrong = [*self.lost, *self.doubled, *self.unexplained]
        return f"{line}\nwrong: {', '.join(wrong[:10])}" if wrong else line


def read_back(topology: Topology) -> Outcome:
    """Read everything that was committed.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    charts = _charts(topology)
    (sink,) = (sink for stage in topology.stages for sink in stage.sinks)
    came = [
        (header(each, wire.ID), json.loads(each.value or b"{}"))
        for each in records(topology, [sink.topic])
    ]
    letters = DeadLetters(topology).open()
    return Outcome.of(charts, came, letters, _bytes(topology, charts))


def records(topology: Topology, topics: Sequence[str]) -> Sequence[Record]:
    """Return every committed record of topics."""
    connection = admin_properties(topology)
    places = [each for found in partitions_of(connection, topics).values() for each in found]
    return list(held_records(connection, places))


def written(topology: Topology, topic: str) -> int:
    """Return how far a topic was written, transaction markers included."""
    connection = admin_properties(topology)
    found = log_bounds(connection, partitions_of(connection, [topic])[topic])
    return sum(end for _, end in found.values())


def derived_topics(topology: Topology) -> Sequence[str]:
    """Return the topics between the stages."""
    return [each.name for each in needed_topics(topology) if each.kind is TopicKind.DERIVED]


def header(record: Record, name: str) -> str:
    """Return a header's text, empty if there is none."""
    return (dict(record.headers or ()).get(name) or b"").decode()


def _charts(topology: Topology) -> Mapping[str, Document]:
    """Return the source records by id; one that is no chart is empty."""
    found = {}
    for each in records(topology, [source.topic for source in topology.sources]):
        try:
            chart = json.loads(each.value or b"")
            is_chart = isinstance(chart["pages"], list)
        except (ValueError, KeyError, TypeError):
            is_chart = False
        id_ = f"{each.partition.topic}-{each.partition.partition}-{each.offset}"
        found[id_] = chart if is_chart else {}
    return found


def _bytes(topology: Topology, charts: Mapping[str, Document]) -> tuple[int, int]:
    """Return the bytes that travelled, and a lower bound of those of whole documents.

    A whole document is the page as it was split off, or the chart with all its pages, and what
    the record itself carries; what other steps wrote before is left out of it.
    """
    carried = whole = 0
    for each in records(topology, derived_topics(topology)):
        around = len(each.key or b"") + sum(
            len(name) + len(content or b"") for name, content in each.headers or ()
        )
        carried += around + len(each.value or b"")
        whole += around + _whole_size(each, charts)
    return carried, whole


def _whole_size(record: Record, charts: Mapping[str, Document]) -> int:
    value, id_ = record.value, parsed_id(header(record, wire.ID))
    chart = charts[id_.root]
    if value is None or header(record, wire.OUTCOME) or not chart:
        return len(value or b"")
    kept, said = {name: chart[name] for name in ("chart_id", "period")}, json.loads(value)
    if id_.children:
        page = chart["pages"][id_.children[0]]
        document = {**kept, **said, "page": {**page, **said.get("page", {})}}
    else:
        pages = zip(chart["pages"], said["pages"], strict=True)
        document = {**kept, **said, "pages": [{"page": page, **told} for page, told in pages]}
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
