"""Who a consumer is in its group, read from the client's own metadata."""

import struct

from confluent_kafka import Consumer

from headrace.ports import GroupToken

_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("=i")


def group_token(consumer: Consumer) -> GroupToken:
    """Capture the membership; only inside `on_assign`, on the consumer's own thread."""
    metadata: bytes = consumer.consumer_group_metadata()
    generation, member = parsed(metadata, consumer.memberid() or "")
    return GroupToken(value=metadata, generation=generation, member=member)


def parsed(metadata: bytes, member: str) -> tuple[int, str]:
    """Return generation (member epoch under KIP-848) and member id.

    librdkafka writes its metadata as a magic, the generation in the machine's byte order, and
    the group, member and instance ids, each ended by a zero byte. In a layout that is not known
    a member id has to do: it is captured inside `on_assign`, after a join.

    Args:
        metadata: What `consumer_group_metadata()` returned.
        member: What `memberid()` returned; used where the layout is unknown.
    """
    start = len(_MAGIC)
    ids = metadata[start + _GENERATION.size :].split(b"\0")
    if not metadata.startswith(_MAGIC) or len(ids) < 3:  # group, member, the rest
        return (0 if member else -1), member
    (generation,) = _GENERATION.unpack_from(metadata, start)
    return generation, ids[1].decode()
