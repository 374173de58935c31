"""The offset map: what is written is read back, and nothing else is believed."""

import random
import zlib
from base64 import b85encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.core.offset_map import LIMIT, MAX_SLOT_BYTES, Decoded, at_most, decode, encode
from headrace.core.runs import Runs
from headrace.errors import InvariantError, MetadataError

NONCES = st.integers(0, 2**64 - 1)
SLOTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_SLOT_BYTES // 4)
BASES = st.one_of(st.integers(0, 1000), st.integers(0, 2**62))
# Gaps and lengths: short ones make dense sets, long ones force wide varints.
STEP = st.integers(1, 5) | st.integers(126, 131) | st.integers(1, 2**40)
STEPS = st.lists(st.tuples(STEP, STEP), max_size=20)


def laid_out(base, steps):
    runs = Runs()
    at = base
    for gap, length in steps:
        runs.add(at + gap, at + gap + length)
        at += gap + length
    return runs


def at_random(base, span, share, seed):
    chosen = random.Random(seed)
    return Runs.from_offsets([base + 1 + i for i in range(span) if chosen.random() < share])


@given(SLOTS, NONCES, BASES, STEPS)
def test_what_is_written_is_read_back(slot, nonce, base, steps):
    finished = laid_out(base, steps)

    text = encode(slot, nonce, base, finished)

    assert decode(text, base) == Decoded(slot, nonce, finished)
    assert text.isascii()
    assert text.isprintable()


@given(BASES, st.integers(600, 1800), st.integers(0, 2**32))
@example(5, 1800, 1)
def test_sets_of_many_runs_are_read_back(base, runs, seed):
    chosen = random.Random(seed)
    widest = chosen.choice([1, 2, 3, 60, 10_000])
    finished = laid_out(
        base, [(chosen.randint(1, widest), chosen.randint(1, 3)) for _ in range(runs)]
    )

    text = encode("worker-0", 7, base, finished)

    if len(text) <= LIMIT:
        assert decode(text, base).finished == finished


@given(SLOTS, BASES, STEPS, st.integers(0, 700))
def test_the_quick_bound_is_never_below_the_size(slot, base, steps, more):
    finished = laid_out(base, steps + [(1, 1)] * more)

    assert len(encode(slot, 2**64 - 1, base, finished)) <= at_most(slot, base, finished)


def test_half_of_24_000_offsets_finished_at_random_fits():
    for seed in range(10):
        finished = at_random(5_000_000_000, 24_000, 0.5, seed)

        text = encode("translate-12", 2**63, 5_000_000_000, finished)

        assert len(text) <= LIMIT
        assert decode(text, 5_000_000_000).finished == finished


@pytest.mark.parametrize(("span", "share"), [(33_000, 0.8), (52_000, 0.9), (130_000, 0.98)])
def test_the_more_is_finished_the_more_offsets_fit(span, share):
    finished = at_random(0, span, share, 1)

    text = encode("worker-0", 7, 0, finished)

    assert len(text) <= LIMIT
    assert decode(text, 0).finished == finished


def test_half_of_28_000_offsets_finished_at_random_does_not_fit_and_says_so_by_its_length():
    finished = at_random(0, 28_000, 0.5, 1)

    assert len(encode("w", 0, 0, finished)) > LIMIT


def test_one_slow_record_and_half_a_million_finished_ones_are_a_short_text():
    finished = Runs([(101, 250_000), (250_001, 500_101)])

    text = encode("worker-0", 2**64 - 1, 100, finished)

    assert len(text) < 50
    assert decode(text, 100).finished == finished


def test_the_cost_follows_the_runs_and_not_the_offsets_they_span():
    finished = laid_out(0, [(2**50, 2**50)] * 4_000)  # any loop over the span would never end

    text = encode("worker-0", 1, 0, finished)

    assert decode(text, 0).finished == finished


def test_a_periodic_set_far_longer_than_the_limit_is_deflated():
    finished = laid_out(0, [(3, 5)] * 12_000)

    text = encode("worker-0", 1, 0, finished)

    assert len(text) < 500
    assert decode(text, 0).finished == finished


def test_a_set_too_large_to_inflate_again_is_not_deflated():
    finished = laid_out(0, [(3, 5)] * 40_000)

    assert len(encode("worker-0", 1, 0, finished)) > LIMIT


def test_no_metadata_means_that_nothing_is_known():
    assert decode("", 17) == Decoded("", None, Runs())
    assert decode("\0", 17) == Decoded("", None, Runs())


def test_one_trailing_nul_is_ignored_as_other_clients_return_it():
    text = encode("w", 3, 17, Runs([(20, 22)]))

    assert decode(text + "\0", 17) == decode(text, 17)
    with pytest.raises(MetadataError):
        decode(text + "\0\0", 17)


@given(st.text(max_size=80) | st.text(max_size=80).map("h1".__add__), BASES)
def test_foreign_text_is_refused(text, base):
    if text.removesuffix("\0"):
        with pytest.raises(MetadataError):
            decode(text, base)


@given(BASES, STEPS, st.data())
def test_changed_text_is_refused(base, steps, data):
    text = encode("worker-0", 99, base, laid_out(base, steps))
    at = data.draw(st.integers(0, len(text) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "insert"]))
    other = data.draw(st.characters().filter(lambda character: character not in (text[at], "\0")))
    changed = {
        "change": text[:at] + other + text[at + 1 :],
        "cut": text[:at] or "h",
        "insert": text[:at] + other + text[at:],
    }[kind]

    with pytest.raises(MetadataError):
        decode(changed, base)


@given(BASES, st.integers(1, 100), STEPS)
def test_a_map_of_another_offset_is_refused(base, moved, steps):
    text = encode("worker-0", 99, base, laid_out(base, steps))

    with pytest.raises(MetadataError, match="not of offset"):
        decode(text, base + moved)


def sealed(base, body):
    """Return a text whose checksum is right whatever the body says."""
    crc = zlib.crc32(body, zlib.crc32(base.to_bytes(8, "big")))
    return "h1" + b85encode(body + crc.to_bytes(4, "big")).decode()


def deflated(raw):
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(raw) + deflater.flush()


@given(st.integers(0, 2**63 - 1), st.binary(max_size=60), st.integers(0, 3))
def test_any_content_with_a_right_checksum_is_read_or_refused(base, content, kind):
    body = bytes((kind, 1)) + b"w" + bytes(8) + content

    try:
        finished = decode(sealed(base, body), base).finished
    except MetadataError:
        return

    assert all(base < start < stop <= 2**63 for start, stop in finished)


HEAD = b"\1w" + bytes(8)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "checksum"),
        (b"\4" + HEAD, "unknown encoding"),
        (b"\0\1w" + bytes(7), "cut short"),
        (b"\0\1\xff" + bytes(8), "UTF-8"),
        (b"\0" + HEAD + b"\5", "inside a run"),
        (b"\0" + HEAD + b"\5\x80", "inside a run"),
        (b"\0" + HEAD + b"\5\5\x80", "inside a run"),
        (b"\0" + HEAD + b"\x80" * 10, "largest possible"),
        (b"\0" + HEAD + b"\0" + b"\xff" * 8 + b"\x7f", "largest possible"),
        (b"\2" + HEAD + b"\xff\xff", "cannot be inflated"),
        (b"\2" + HEAD + deflated(b"\1" * 80)[:-1], "cut short"),
        (b"\2" + HEAD + deflated(b"\1" * 80) + b"more", "cut short"),
        (b"\2" + HEAD + deflated(bytes(1_000_000)), "more than it may"),
        (b"\3" + HEAD + deflated(bytes(1_000_000)), "more than it may"),
    ],
)
def test_impossible_content_is_refused_and_the_reason_said(body, reason):
    with pytest.raises(MetadataError, match=reason):
        decode(sealed(7, body), 7)


def test_a_bitset_beyond_the_largest_offset_is_refused():
    base = 2**63 - 5

    with pytest.raises(MetadataError, match="largest possible"):
        decode(sealed(base, b"\1" + HEAD + b"\xff"), base)


def test_a_newer_version_is_told_from_foreign_text():
    with pytest.raises(MetadataError, match="version '2'"):
        decode("h2abc", 0)
    with pytest.raises(MetadataError, match="did not write"):
        decode("foreign", 0)
    with pytest.raises(MetadataError, match="did not write"):
        decode("h1" + "a" * LIMIT, 0)


@pytest.mark.parametrize("slot", ["", "s" * (MAX_SLOT_BYTES + 1)])
def test_a_slot_that_could_not_be_read_back_is_refused(slot):
    with pytest.raises(InvariantError, match="slot"):
        encode(slot, 0, 0, Runs())


@pytest.mark.parametrize("start", [4, 5])
def test_finished_offsets_at_or_below_the_committed_one_are_refused(start):
    with pytest.raises(InvariantError, match="not above"):
        encode("w", 0, 5, Runs([(start, 9)]))
