"""What a pipeline's topics lack, and how it is supplied."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from headrace.core.topics import NeededTopic, needed_topics
from headrace.core.topology import Topology
from headrace.kafka.properties import admin_properties
from headrace.kafka.topics import TopicAdmin, TopicDefinition

_DEFAULT_MESSAGE_BYTES = 1_048_588


@dataclass(frozen=True, slots=True)
class Change:
    """A topic of the pipeline and what is to be done about it.

    Attributes:
        topic: The topic.
        kind: What it is for.
        action: `create`, `grow` or `none`.
        partitions: Partitions it has afterwards.
        replication: Replication factor, if it is created.
        settings: Topic settings, if it is created.
    """

    topic: str
    kind: str
    action: str
    partitions: int
    replication: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """Return the change as a line for a person."""
        what = {"create": "+ create", "grow": "~ grow  ", "none": "  exists"}[self.action]
        settings = "".join(f", {key}={value}" for key, value in self.settings.items())
        return f"{what} {self.topic} ({self.kind}, {self.partitions} partitions{settings})"


async def plan(topology: Topology) -> list[Change]:
    """Return every topic of the pipeline with what it lacks.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    needed = needed_topics(topology)
    admin = TopicAdmin(admin_properties(topology))
    try:
        existing = await admin.existing([each.name for each in needed])
        sources = [source.topic for source in topology.sources]
        known = [source for source in sources if source in existing]
        sizes = await admin.max_message_bytes(known)
    finally:
        await admin.close()
    largest = max(sizes.values(), default=_DEFAULT_MESSAGE_BYTES)
    return [_change(each, needed, existing, largest) for each in needed]


async def apply(topology: Topology) -> list[Change]:
    """Create and grow what is missing; return what was done.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    changes = [each for each in await plan(topology) if each.action != "none"]
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
    return changes


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
    source_bytes: int,
) -> Change:
    wanted = topic.partitions or _partitions_of(topic.like, needed, existing)
    has = existing.get(topic.name)
    action = "create" if has is None else "none"
    if has is not None and topic.is_internal and has < wanted:
        action = "grow"
    settings = dict(topic.config) if action == "create" else {}
    if settings and topic.room_bytes:
        settings["max.message.bytes"] = str(source_bytes + topic.room_bytes)
    partitions = has if action == "none" and has is not None else wanted
    return Change(topic.name, str(topic.kind), action, partitions, topic.replication, settings)


def _partitions_of(source: str, needed: Sequence[NeededTopic], existing: Mapping[str, int]) -> int:
    planned = next((each.partitions for each in needed if each.name == source), None)
    return existing.get(source) or planned or 1
