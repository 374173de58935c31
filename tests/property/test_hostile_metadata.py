"""Commit metadata of anybody is read or refused, in little time and memory."""

import time
import tracemalloc
import zlib
from base64 import b85encode

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.core import offset_map
from headrace.core.offset_map import LIMIT, decode, encode
from headrace.core.runs import Runs
from headrace.errors import MetadataError
from headrace.kafka.tracing import _reached
from tests.property.hostile import examples

MOST_BYTES = 60_000_000
MOST_S = 5.0

BASES = st.sampled_from([-(2**63), -1, 0, 1, 17, 2**31, 2**53, 2**63 - 2, 2**63 - 1])
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(max_size=40).map("h1".__add__),
    st.sampled_from(
        [
            *("h", "h1", "h2", "h1\0", "\0\0", "h1\ud800", "h1\u0663", "h1" + "~" * (LIMIT - 2)),
            *("h1" + "0" * 10_000_000, "x" * 10_000_000, "\x1b[2J", '{"offset":1}', "h1\n"),
        ]
    ),
)


def deflated(raw: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(raw) + deflater.flush()


def sealed(base: int, body: bytes) -> str:
    """Return a text whose checksum is right, as somebody would write it who knows how."""
    crc = zlib.crc32(body, zlib.crc32(base.to_bytes(8, "big", signed=True)))
    return "h1" + b85encode(body + crc.to_bytes(4, "big")).decode()


def looked_at(text: str, base: int) -> offset_map.Decoded | None:
    """Return what a text says, None if it was refused."""
    try:
        found = decode(text, base)
    except MetadataError:
        return None
    assert all(base < start < stop <= 2**63 for start, stop in found.finished)
    return found


@examples(200)
@given(TEXTS, BASES)
def test_any_text_is_read_or_refused(text, base):
    assert looked_at(text, base) is None or text in ("", "\0")


@examples(150)
@given(BASES.filter(lambda base: base >= 0), st.data())
def test_a_turned_bit_is_refused(base, data):
    text = encode("w0", 7, base, Runs([(base + 2, base + 9)]) if base < 2**62 else Runs())
    at = data.draw(st.integers(0, len(text) - 1))
    turned = chr(ord(text[at]) ^ (1 << data.draw(st.integers(0, 6))))

    found = looked_at(text[:at] + turned + text[at + 1 :], base)

    # The last characters of base85 hold bits that mean nothing.
    assert found is None or found == decode(text, base)


RAWS = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            bytes(65_536),
            bytes(65_537),
            bytes(3_000_000),  # more would not fit commit metadata
            b"\x55" * 1_000_000,
            b"\xff" * 65_536,
            b"\x55" * 65_536,
            b"\x80" * 65_536,
            b"\x01\x00" * 32_768,
            b"\xff" * 8 + b"\x7f",
        ]
    ),
)


@examples(12)
@given(BASES, st.integers(0, 255), RAWS, st.booleans())
@example(0, 2, bytes(3_000_000), True)
@example(0, 3, b"\x55" * 1_000_000, True)
@example(0, 3, b"\x55" * 65_536, True)
def test_a_bomb_with_a_right_checksum_costs_little(base, kind, raw, deflate):
    content = deflated(raw) if deflate else raw[:3_000]
    text = sealed(base, bytes((kind, 1)) + b"w" + bytes(8) + content)

    begun = time.process_time()
    looked_at(text, base)
    assert time.process_time() - begun < MOST_S
    tracemalloc.start()
    try:
        looked_at(text, base)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@examples(60)
@given(TEXTS, BASES)
def test_who_only_looks_takes_foreign_text_for_no_map(text, base):
    reached = _reached(base, text)

    assert reached.offset == base
    assert reached.has(base - 1)
    assert not reached.has(base)
