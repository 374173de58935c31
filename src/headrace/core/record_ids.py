"""The identity of a source record, and of the children that splits made of it."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

from headrace.core import wire
from headrace.errors import ConfigError

_NUMBER = r"[0-9]{1,18}"
_FORM = re.compile(
    rf"(?P<topic>.+)-(?P<partition>{_NUMBER})-(?P<offset>{_NUMBER})(?P<children>(?:/{_NUMBER})*)"
)


@dataclass(frozen=True, slots=True)
class RecordId:
    """A record id, taken apart.

    Attributes:
        topic: The source topic.
        partition: The source record's partition.
        offset: Its offset there.
        children: Number of the child at every split on the way, outermost first.
    """

    topic: str
    partition: int
    offset: int
    children: tuple[int, ...] = ()

    @property
    def root(self) -> str:
        """Id of the source record."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    def __str__(self) -> str:
        return "/".join([self.root, *map(str, self.children)])


def parsed_id(text: str) -> RecordId:
    """Return what a record id says.

    Raises:
        ConfigError: It is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"{text!r} is no record id; one is made of topic, partition and offset of the source "
            "record, as in tweets-3-1204, and of the child's number where there was a split, as in "
            "tweets-3-1204/7"
        )
    children = match["children"].split("/")[1:]
    return RecordId(
        match["topic"], int(match["partition"]), int(match["offset"]), tuple(map(int, children))
    )


def source_of(id_: bytes) -> bytes:
    """Return topic/partition/offset of the source record that an id names, as headers say it."""
    return b"/".join(id_.partition(b"/")[0].rsplit(b"-", 2))


def source_offset(id_: bytes) -> int:
    """Return the offset of the source record that an id names, 0 where it names none."""
    return wire.number(id_.partition(b"/")[0].rpartition(b"-")[2])


def level_of(id_: str) -> int:
    """Return inside how many splits a record is, by its id."""
    return id_.count("/")


def ancestor(id_: str, level: int) -> str:
    """Return the id of the record at that level from which this one came; itself if it is above."""
    return "/".join(id_.split("/")[: level + 1])


def is_within(id_: str, whole: str) -> bool:
    """Whether a record is that one or came from it."""
    return id_ == whole or id_.startswith(f"{whole}/")


def covers(found: Container[str], id_: str, level: int, counts: Mapping[str, int]) -> bool:
    """Whether everything that a record becomes at a level was found.

    Args:
        found: Ids that were found.
        id_: The record.
        level: Inside how many splits the ids are; a shorter one stands for all of its children.
        counts: How many children the record with that id was split into, where it is known.
    """
    if id_ in found:
        return True
    count = counts.get(id_)
    if level_of(id_) >= level or count is None:
        return False
    return all(covers(found, f"{id_}/{index}", level, counts) for index in range(count))
