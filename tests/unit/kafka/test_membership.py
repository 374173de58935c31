"""Generation and member id, read from the bytes librdkafka passes around."""

import struct

import pytest

from headrace.kafka.membership import parsed
from headrace.ports import GroupToken


def metadata(generation: int, member: str, rest: bytes = b"\x01") -> bytes:
    return b"CGMDv2:" + struct.pack("=i", generation) + b"group\0" + member.encode() + b"\0" + rest


@pytest.mark.parametrize("rest", [b"\x01", b"\x00instance\0"], ids=["dynamic", "static"])
def test_generation_and_member_are_read(rest):
    assert parsed(metadata(7, "m-1", rest), "other") == (7, "m-1")


def test_a_consumer_that_never_joined_is_no_member():
    generation, member = parsed(metadata(-1, ""), "")

    assert not GroupToken(b"", generation, member).is_member


def test_a_member_id_without_a_generation_is_no_member():
    generation, member = parsed(metadata(-1, "chosen-by-itself"), "chosen-by-itself")

    assert not GroupToken(b"", generation, member).is_member


@pytest.mark.parametrize("unknown", [b"CGMDv9:whatever", b"CGMDv2:\x01", b""])
def test_in_an_unknown_layout_the_member_id_decides(unknown):
    assert parsed(unknown, "m-1") == (0, "m-1")
    assert parsed(unknown, "") == (-1, "")
