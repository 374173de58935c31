"""What a pipeline's topics lack, and how it is supplied."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from headrace.core.topics import NeededTopic, TopicKind, needed_topics
from headrace.core.topology import Topology
from headrace.errors import ConfigError
from headrace.kafka.properties import admin_properties
from headrace.kafka.topics import TopicAdmin, TopicDefinition

_DEFAULT_MESSAGE_BYTES = 1_048_588
_SIZE = "max.message.bytes"
_DECLARED = (TopicKind.SOURCE, TopicKind.SINK)
_WORDS = {"create": "+ create", "grow": "~ grow  ", "refuse": "! refuse", "none": "  exists"}


@dataclass(frozen=True, slots=True)
class Change:
    """A topic of the pipeline and what is to be done about it.

    Attributes:
        topic: The topic.
        kind: What it is for.
        action: `create`, `grow`, `refuse` or `none`.
        partitions: Partitions it has afterwards.
        replication: Replication factor, if it is created.
        settings: Topic settings, if it is created.
        problem: Why it cannot be used as it is, and the way out; empty if it can.
    """

    topic: str
    kind: str
    action: str
    partitions: int
    replication: int
    settings: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def render(self) -> str:
        """Return the change as a line for a person."""
        what = _WORDS[self.action]
        settings = "".join(f", {key}={value}" for key, value in self.settings.items())
        problem = f": {self.problem}" if self.problem else ""
        return f"{what} {self.topic} ({self.kind}, {self.partitions} partitions{settings}){problem}"


async def plan(topology: Topology) -> list[Change]:
    """Return every topic of the pipeline with what it lacks.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    needed = needed_topics(topology)
    admin = TopicAdmin(admin_properties(topology))
    try:
        existing = await admin.existing([each.name for each in needed])
        sources = {source.topic for source in topology.sources}
        asked = [each.name for each in needed if each.name in sources or each.is_exact]
        settings = await admin.settings([name for name in asked if name in existing])
    finally:
        await admin.close()
    return [_change(each, needed, existing, settings) for each in needed]


async def apply(topology: Topology) -> list[Change]:
    """Create and grow what is missing; return what was done.

    Raises:
        ConfigError: A topic that exists cannot be used as it is; nothing was done.
        BrokerError: Kafka refuses, or no broker answers.
    """
    declared = [each for each in await _missing(topology) if each.kind in _DECLARED]
    await _change_topics(topology, declared)
    # Only now: a source that somebody else made a moment ago has partitions of its own.
    own = await _missing(topology)
    await _change_topics(topology, own)
    return [*declared, *own]


async def _missing(topology: Topology) -> list[Change]:
    """Return what is to be done.

    Raises:
        ConfigError: A topic that exists cannot be used as it is.
        BrokerError: Kafka refuses, or no broker answers.
    """
    changes = [each for each in await plan(topology) if each.action != "none"]
    refused = [each.problem for each in changes if each.action == "refuse"]
    if refused:
        raise ConfigError("; ".join(refused))
    return changes


async def _change_topics(topology: Topology, changes: Sequence[Change]) -> None:
    if not changes:
        return
    admin = TopicAdmin(admin_properties(topology))
    try:
        await admin.create(
            [
                TopicDefinition(each.topic, each.partitions, each.replication, each.settings)
                for each in changes
                if each.action == "create"
            ]
        )
        await admin.create_partitions(
            {each.topic: each.partitions for each in changes if each.action == "grow"}
        )
    finally:
        await admin.close()


async def internal_topics(topology: Topology) -> list[str]:
    """Return those of headrace's own topics of this pipeline that exist.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    own = [each.name for each in needed_topics(topology) if each.is_internal]
    admin = TopicAdmin(admin_properties(topology))
    try:
        return sorted(await admin.existing(own))
    finally:
        await admin.close()


async def delete(topology: Topology, names: Sequence[str]) -> None:
    """Delete topics; those that are gone already do not matter.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    admin = TopicAdmin(admin_properties(topology))
    try:
        await admin.delete(names)
    finally:
        await admin.close()


def rendered(changes: Sequence[Change], *, as_json: bool) -> str:
    """Return the changes as text: a line each, or one JSON object."""
    if as_json:
        return json.dumps({"topics": [asdict(each) for each in changes]})
    return "\n".join(each.render() for each in changes)


def _change(
    topic: NeededTopic,
    needed: Sequence[NeededTopic],
    existing: Mapping[str, int],
    settings: Mapping[str, Mapping[str, str]],
) -> Change:
    wanted = topic.partitions or max(_planned(each, needed, existing) for each in topic.sources)
    has = existing.get(topic.name)
    kind, replication = str(topic.kind), topic.replication
    if has is None:
        sizes = [int(settings[each][_SIZE]) for each in topic.sources if each in settings]
        size = max(sizes, default=_DEFAULT_MESSAGE_BYTES) + topic.room_bytes
        config = {**topic.config, _SIZE: str(size)} if topic.room_bytes else topic.config
        return Change(topic.name, kind, "create", wanted, replication, config)
    problem = _problem(topic, existing, settings.get(topic.name, {}))
    if problem:
        return Change(topic.name, kind, "refuse", has, replication, problem=problem)
    if topic.is_internal and has < wanted:
        return Change(topic.name, kind, "grow", wanted, replication)
    return Change(topic.name, kind, "none", has, replication)


def _problem(topic: NeededTopic, existing: Mapping[str, int], settings: Mapping[str, str]) -> str:
    """Return why a topic cannot be used as it is, and the way out; empty if it can."""
    if not topic.is_exact:
        return ""
    misfit = topic.misfit(existing)
    if misfit and existing[topic.name] > existing[topic.like]:
        return (
            f"{misfit}; let the workers finish and stop them, remove headrace's own topics with"
            " `headrace topics delete`, and apply again"
        )
    for name, wanted in topic.config.items():
        has = settings.get(name, wanted)
        if has != wanted:
            return (
                f"topic '{topic.name}' has {name}={has}, which may remove records that are not"
                f" finished; set {name} of it to {wanted}"
            )
    return ""


def _planned(source: str, needed: Sequence[NeededTopic], existing: Mapping[str, int]) -> int:
    planned = next((each.partitions for each in needed if each.name == source), None)
    return existing.get(source) or planned or 1
