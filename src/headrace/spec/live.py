"""What is wrong between a pipeline and the models and the cluster that are there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.core.topics import NeededTopic, TopicKind, needed_topics
from headrace.core.topology import Stage, Topology
from headrace.spec.lint import Path, Report

METADATA_BYTES = 4096
"""What a commit's metadata must have room for: `offset.metadata.max.bytes` of a broker."""

_SIZE = "max.message.bytes"
_NEEDS: Mapping[TopicKind, tuple[str, ...]] = {
    TopicKind.SOURCE: ("READ", "DESCRIBE_CONFIGS"),
    TopicKind.SINK: ("WRITE", "DESCRIBE_CONFIGS"),
    TopicKind.DERIVED: ("READ", "WRITE", "DELETE", "DESCRIBE_CONFIGS"),
    TopicKind.RETRY: ("READ", "WRITE", "DELETE", "DESCRIBE_CONFIGS"),
    TopicKind.DEAD_LETTERS: ("WRITE", "DESCRIBE_CONFIGS"),
    TopicKind.CONTROL: ("DESCRIBE_CONFIGS",),
}


_DELETE = "delete it while it is empty, and apply again"


@dataclass(frozen=True, slots=True)
class LiveModel:
    """What a step's model says about itself.

    Attributes:
        problems: Its disagreements with the step, one sentence each.
        is_described: Whether it lists its tensors at all.
        silence: Why there was no answer, empty if there was one.
    """

    problems: tuple[str, ...] = ()
    is_described: bool = True
    silence: str = ""


@dataclass(frozen=True, slots=True)
class LiveTopic:
    """A topic as the cluster describes it.

    Attributes:
        partitions: How many it has; 0 where the user may not know.
        settings: Its settings, empty where the user may not ask.
        operations: What the user may do with it; None where the cluster does not say.
        copies: Fewest replicas of a partition; 0 where the user may not know.
    """

    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)
    operations: frozenset[str] | None = None
    copies: int = 0


@dataclass(frozen=True, slots=True)
class LiveCluster:
    """A cluster as it describes itself to the pipeline's user.

    Attributes:
        topics: Those of the pipeline's topics that exist.
        groups: What the user may do with each consumer group; None where it does not say.
        metadata_bytes: Smallest `offset.metadata.max.bytes`; None where the user may not ask.
        brokers: How many there are.
    """

    topics: Mapping[str, LiveTopic]
    groups: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    metadata_bytes: int | None = METADATA_BYTES
    brokers: int = 1


def check_models(topology: Topology, models: Mapping[str, LiveModel], report: Report) -> None:
    """Report what models say that the steps did not expect; `models` are by step."""
    for step in topology.models:
        path = ("steps", step.name, "model")
        found = models[step.name]
        if found.silence:
            is_served = bool(topology.serves)
            hint = "start it, for instance with `headrace up`" if is_served else "is it running?"
            report.add("E081", path, found.silence, hint)
        code = "E080" if found.is_described else "W080"
        for problem in found.problems:
            report.add(code, path, f"step '{step.name}': {problem}")


def check_cluster(topology: Topology, cluster: LiveCluster, report: Report) -> None:
    """Report topics that are missing or do not fit, and what the user may not do."""
    needed = needed_topics(topology)
    for topic in needed:
        path = _path(topic, topology)
        found = cluster.topics.get(topic.name)
        if found is None:
            hint = "create it with `headrace topics apply`"
            report.add("E083", path, f"topic '{topic.name}' does not exist", hint)
            continue
        _check_permissions(topic, found, path, report)
        if found.copies == 1 < cluster.brokers and "WRITE" in _NEEDS[topic.kind]:
            text = (
                f"topic '{topic.name}' has one copy: a commit during the absence of its broker may"
                " leave what was written there invisible"
            )
            report.add("W089", path, text, "give it a replication factor of 3")
        if topic.is_internal:
            _check_own(topic, found, cluster, path, report)
    for stage in topology.stages:
        _check_sinks(stage, cluster, report)
        allowed = cluster.groups.get(stage.group)
        if allowed is not None and "READ" not in allowed:
            text = f"this user may not READ the consumer group '{stage.group}'"
            report.add("E087", ("steps", stage.steps[0].name), text, "allow it with an ACL")
    _check_metadata_bytes(cluster, report)


def _check_permissions(topic: NeededTopic, found: LiveTopic, path: Path, report: Report) -> None:
    if found.operations is None:
        return
    missing = [name for name in _NEEDS[topic.kind] if name not in found.operations]
    if missing:
        text = f"this user may not {' or '.join(missing)} topic '{topic.name}'"
        report.add("E087", path, text, "allow it with an ACL")


def _check_own(
    topic: NeededTopic, found: LiveTopic, cluster: LiveCluster, path: Path, report: Report
) -> None:
    counts = {name: each.partitions for name, each in cluster.topics.items()}
    text = topic.misfit(counts)
    if text:
        is_short = found.partitions < max(counts.get(each, 0) for each in topic.sources)
        hint = "let it grow with `headrace topics apply`" if is_short else _DELETE
        report.add("E084", path, text, hint)
    code = "E088" if topic.is_exact else "W088"
    for name, wanted in topic.config.items():
        has = found.settings.get(name, wanted)
        if has != wanted:
            text = f"topic '{topic.name}' has {name}={has}, not {wanted}: records may be lost"
            report.add(code, path, text, f"set {name} of it to {wanted}")
    sizes = {each: _bytes(cluster.topics[each]) for each in topic.sources if each in cluster.topics}
    largest = max(sizes, key=lambda each: sizes[each], default="")
    if topic.kind is not TopicKind.CONTROL and sizes.get(largest):
        wanted_bytes = sizes[largest] + topic.room_bytes
        if 0 < _bytes(found) < wanted_bytes:
            text = (
                f"topic '{topic.name}' takes {_bytes(found)} bytes a record, which is too little"
                f" for one of '{largest}' with headers"
            )
            report.add("E085", path, text, f"set its {_SIZE} to {wanted_bytes}")


def _check_sinks(stage: Stage, cluster: LiveCluster, report: Report) -> None:
    """Report sinks that take less than the source gives from which the stage's records come."""
    source = cluster.topics.get(stage.root_topic)
    largest = 0 if source is None else _bytes(source)
    for sink in stage.sinks:
        found = cluster.topics.get(sink.topic)
        if found is not None and 0 < _bytes(found) < largest:
            text = (
                f"sink '{sink.topic}' takes {_bytes(found)} bytes a record, its source gives up to"
                f" {largest}: larger results become dead letters"
            )
            report.add("W085", ("sinks", sink.topic), text, f"set its {_SIZE} to {largest} or more")


def _check_metadata_bytes(cluster: LiveCluster, report: Report) -> None:
    path = ("kafka",)
    if cluster.metadata_bytes is None:
        text = "this user may not ask for the brokers' offset.metadata.max.bytes"
        report.add("N080", path, text, f"it must be {METADATA_BYTES} or more, as is the default")
    elif cluster.metadata_bytes < METADATA_BYTES:
        text = f"the brokers' offset.metadata.max.bytes is {cluster.metadata_bytes}"
        report.add("E086", path, text, f"set it to {METADATA_BYTES} or more")


def _path(topic: NeededTopic, topology: Topology) -> Path:
    """Return what the file says that a topic is needed for: its writer, or else who reads it."""
    if topic.kind is TopicKind.SINK:
        return ("sinks", topic.name)
    own = {outlet.topic: step.name for step in topology.steps for outlet in step.outlets}
    own |= {name: step for step, name in topology.retry_topics.items()}
    readers = {inlet.topic: step.name for step in reversed(topology.steps) for inlet in step.inlets}
    return ("steps", own.get(topic.name) or readers[topic.like or topic.name])


def _bytes(topic: LiveTopic) -> int:
    """Return the largest record a topic takes, 0 where that is not known."""
    return int(topic.settings.get(_SIZE, 0))
