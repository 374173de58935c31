"""Finished offsets above `committable`, written as the metadata of a commit.

The text is `h1` and the base85 of: a byte that names the encoding of the set, the writer's slot
(a length byte and UTF-8), the commit's nonce (8 bytes), the set itself, and a CRC-32. The set is
the smallest of

- varint runs: gap and length of every run in turn, each less one, since neither can be zero;
- a bitset: one bit per offset after `committable`, the first in the highest bit;
- either of them deflated.

Capacity, measured with a slot of 8 characters: half of 26,000 offsets finished at random, nine
in ten of 52,000, or any 180 runs, however far apart. Base85 is plain ASCII, which every broker
counts alike whether by bytes or by characters, and holds 7 % more than base64.
"""

import zlib
from base64 import b85decode, b85encode
from dataclasses import dataclass
from typing import Final

from headrace.core.runs import Runs
from headrace.errors import InvariantError, MetadataError

LIMIT: Final = 4095
"""Most characters of metadata; the client adds a NUL and brokers accept 4096 by default."""

MAX_SLOT_BYTES: Final = 64

_MAGIC: Final = "h"
_VERSION: Final = "1"
_PREFIX: Final = _MAGIC + _VERSION
_END_OF_OFFSETS: Final = 2**63
_NONCE_BYTES: Final = 8
_CRC_BYTES: Final = 4
# Up to this size nothing smaller is looked for: the plain runs are far below the limit.
_EASY_BYTES: Final = 1024
# A bitset this long fits only if it deflates to a quarter; one longer than this is hardly a
# bitset's case, and trying would make the cost depend on the span.
_MAX_BITSET_BYTES: Final = 4 * 3276
# Neither side handles more than this inflated: bounds the work here and what hostile text costs.
_MAX_RAW_BYTES: Final = 65_536
_BITSET: Final = 1
_DEFLATED: Final = 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a commit's metadata says.

    Attributes:
        slot: Who committed; empty where there is no metadata.
        nonce: Names the commit; None where there is no metadata.
        finished: Finished offsets, all above the committed one.
    """

    slot: str
    nonce: int | None
    finished: Runs


def encode(slot: str, nonce: int, base: int, finished: Runs) -> str:
    """Return the metadata to commit with the offset `base`.

    The cost grows with the number of runs, not with the offsets they hold or span. The text may be
    longer than `LIMIT`: compare before committing it.

    Args:
        slot: Name of the writer, at most `MAX_SLOT_BYTES` as UTF-8.
        nonce: Names this commit; 64 bits, unsigned.
        base: The committed offset; not finished itself.
        finished: Finished offsets, all above `base`.
    """
    name = slot.encode()
    if not 0 < len(name) <= MAX_SLOT_BYTES:
        raise InvariantError(f"slot {slot!r} is empty or longer than {MAX_SLOT_BYTES} bytes")
    if finished and finished.starts[0] <= base:
        raise InvariantError(f"offset {finished.starts[0]} is not above the committed {base}")
    kind, content = _smallest(base, finished)
    body = b"".join(
        (bytes((kind, len(name))), name, nonce.to_bytes(_NONCE_BYTES, "big"), content),
    )
    return _PREFIX + b85encode(body + _crc(base, body)).decode("ascii")


def at_most(slot: str, base: int, finished: Runs) -> int:
    """Return a length that `encode` would not exceed, without looking at the runs."""
    span = finished.stops[-1] - base if finished else 0
    widest = max(1, (span.bit_length() + 6) // 7)
    body = 2 + len(slot.encode()) + _NONCE_BYTES + _CRC_BYTES + 2 * widest * len(finished)
    return len(_PREFIX) + (body * 5 + 3) // 4


def decode(text: str, base: int) -> Decoded:
    """Read the metadata that was committed with the offset `base`.

    Empty text is valid: nothing is known above `base`.

    Raises:
        MetadataError: headrace did not write it, a newer one did, it was written for another
            offset, or it is damaged.
    """
    text = text.removesuffix("\0")  # librdkafka counts a terminating NUL into what it sends
    if not text:
        return Decoded("", None, Runs())
    body = _checked_body(text, base)
    kind, after_name = body[0], 2 + body[1]
    content = after_name + _NONCE_BYTES
    if kind > (_BITSET | _DEFLATED) or len(body) < content:
        raise MetadataError(f"commit metadata names an unknown encoding ({kind}), or is cut short")
    try:
        slot = body[2:after_name].decode()
    except UnicodeDecodeError as error:
        raise MetadataError("commit metadata: the writer's slot is not UTF-8") from error
    nonce = int.from_bytes(body[after_name:content], "big")
    read, limit = (
        (_read_bitset, _MAX_BITSET_BYTES) if kind & _BITSET else (_read_runs, _MAX_RAW_BYTES)
    )
    raw = _inflate(body[content:], limit) if kind & _DEFLATED else body[content:]
    return Decoded(slot, nonce, read(raw, base))


def _crc(base: int, body: bytes) -> bytes:
    # The offset is part of it: a map moved to another offset would skip records silently.
    crc = zlib.crc32(body, zlib.crc32(base.to_bytes(8, "big", signed=True)))
    return crc.to_bytes(_CRC_BYTES, "big")


def _checked_body(text: str, base: int) -> bytes:
    if not (text.startswith(_MAGIC) and len(text) <= LIMIT):
        raise MetadataError("the committed offset carries metadata that headrace did not write")
    if not text.startswith(_PREFIX):
        raise MetadataError(f"commit metadata has the unknown version {text[1:2]!r}")
    try:
        data = b85decode(text[len(_PREFIX) :])
    except ValueError as error:
        raise MetadataError(f"commit metadata is damaged: {error}") from error
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if len(body) < 2 or crc != _crc(base, body):
        raise MetadataError(f"commit metadata is damaged, or not of offset {base}: checksum")
    return body


def _smallest(base: int, finished: Runs) -> tuple[int, bytes]:
    """Return the kind and the bytes of the smallest encoding."""
    runs = _write_runs(base, finished)
    if len(runs) <= _EASY_BYTES:
        return 0, runs
    if finished.stops[-1] - base - 1 <= 8 * _MAX_BITSET_BYTES:
        kind, raw = _BITSET, _write_bitset(base, finished)
    else:
        kind, raw = 0, runs
    candidates = [(0, runs), (kind, raw)]
    if len(raw) <= _MAX_RAW_BYTES:
        # Huffman codes alone are shortest for random sets, repeats as well for periodic ones.
        candidates += (
            (kind | _DEFLATED, _deflate(raw, strategy))
            for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY)
        )
    return min(candidates, key=lambda candidate: len(candidate[1]))


def _write_runs(base: int, finished: Runs) -> bytes:
    starts, stops = finished.starts, finished.stops
    values = [0] * (2 * len(starts))
    values[0::2] = [start - stop - 1 for start, stop in zip(starts, (base, *stops), strict=False)]
    values[1::2] = [stop - start - 1 for start, stop in zip(starts, stops, strict=True)]
    if values and max(values) < 0x80:
        return bytes(values)
    data = bytearray()
    for value in values:
        while value >= 0x80:
            data.append(value & 0x7F | 0x80)
            value >>= 7  # noqa: PLW2901  (a varint is written by shifting its value away)
        data.append(value)
    return bytes(data)


def _read_runs(data: bytes, base: int) -> Runs:
    runs = Runs()
    offset, start = base, None
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        offset += value + 1 if byte < 0x80 else 0
        if shift > 63 or offset > _END_OF_OFFSETS:
            raise MetadataError("commit metadata names offsets beyond the largest possible one")
        if byte >= 0x80:
            continue
        if start is None:
            start = offset
        else:
            runs.add(start, offset)
            start = None
        value = shift = 0
    if shift or start is not None:
        raise MetadataError("commit metadata ends inside a run of offsets")
    return runs


def _write_bitset(base: int, finished: Runs) -> bytes:
    digits = []
    at = base + 1
    for start, stop in finished:
        digits.append("0" * (start - at) + "1" * (stop - start))
        at = stop
    size = (at - base + 6) // 8
    digits.append("0" * (8 * size - (at - base - 1)))
    return int("".join(digits), 2).to_bytes(size, "big")


def _read_bitset(data: bytes, base: int) -> Runs:
    if base + 1 + 8 * len(data) > _END_OF_OFFSETS:
        raise MetadataError("commit metadata names offsets beyond the largest possible one")
    digits = bin(int.from_bytes(b"\1" + data, "big"))[3:] + "0"
    runs = Runs()
    start = digits.find("1")
    while start >= 0:
        stop = digits.index("0", start)
        runs.add(base + 1 + start, base + 1 + stop)
        start = digits.find("1", stop)
    return runs


def _deflate(raw: bytes, strategy: int) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS, strategy=strategy)
    return deflater.compress(raw) + deflater.flush()


def _inflate(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        raw = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise MetadataError(f"commit metadata cannot be inflated: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise MetadataError("commit metadata inflates to more than it may, or is cut short")
    return raw
