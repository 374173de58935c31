"""What is known of the topics that a stage writes to."""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_LIMIT_BYTES = 1_048_588
"""A topic's `max.message.bytes` where it is not known."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the outputs must know of the topics they are written to.

    Attributes:
        partitions: Partition count per topic.
        max_bytes: Largest record per topic, bytes.
    """

    partitions: Mapping[str, int]
    max_bytes: Mapping[str, int]

    def limit(self, topic: str) -> int:
        """Return the largest record the topic takes, bytes."""
        return self.max_bytes.get(topic, DEFAULT_LIMIT_BYTES)
