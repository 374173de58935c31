"""Reads back what a run left in Kafka, and says whether every record is there once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.core.records import Record, TopicPartition
from headrace.core.topology import Topology
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, existing_partitions, log_bounds
from headrace.testing.history import Verdict, judge

LEAST_KILLS = 5
"""A run with fewer kills proves too little."""

Ends = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of the records of a run in which workers were killed.

    Attributes:
        kills: Workers killed with -9 meanwhile.
        read: Source records of the run.
        written: Results that a reader of the sink sees.
        dead_lettered: Dead letters likewise.
        verdict: What is wrong with them.
    """

    kills: int
    read: int
    written: int
    dead_lettered: int
    verdict: Verdict

    @classmethod
    def of(
        cls, kills: int, inputs: Sequence[Record], results: Sequence[Record], dead: Sequence[Record]
    ) -> "Proof":
        """Compare what went in with what came out."""
        verdict = judge(inputs, [*results, *dead])
        return cls(kills, len(inputs), len(results), len(dead), verdict)

    @property
    def holds(self) -> bool:
        """Whether enough workers were killed and nothing is wrong."""
        return self.kills >= LEAST_KILLS and not self.verdict

    def __str__(self) -> str:
        """Return the proof as one line, and whatever is wrong below it."""
        wrong = self.verdict
        line = (
            f"killed {self.kills} workers with -9: {self.read:,} read = {self.written:,} written"
            f" + {self.dead_lettered:,} dead-lettered, {len(wrong.lost):,} lost,"
            f" {len(wrong.duplicated):,} doubled"
        )
        if self.kills < LEAST_KILLS:
            line += f"\nfewer than {LEAST_KILLS} kills prove nothing"
        return f"{line}\n{wrong}" if wrong else line


def ends(topology: Topology) -> Ends:
    """Return where the topics of a pipeline's first stage end now."""
    stage = topology.stages[0]
    connection = admin_properties(topology)
    topics = (stage.sources[0].topic, stage.sinks[0].topic, stage.dead_letter_topic)
    places = [each for topic in topics for each in existing_partitions(connection, topic)]
    return {place: end for place, (_, end) in log_bounds(connection, places).items()}


def read_back(topology: Topology, since: Ends, kills: int) -> Proof:
    """Read everything that was committed since then."""
    stage = topology.stages[0]
    with CommittedReader(admin_properties(topology), since) as reader:
        records = list(reader.to_end(ends(topology)))

    def of(topic: str) -> list[Record]:
        return [each for each in records if each.partition.topic == topic]

    inputs, results = of(stage.sources[0].topic), of(stage.sinks[0].topic)
    return Proof.of(kills, inputs, results, of(stage.dead_letter_topic))
