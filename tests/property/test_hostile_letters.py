"""Dead letters and trails are shown whatever they hold, and no terminal does what they say."""

import json
import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.cli import letters, settings, trails
from headrace.cli.shapes import as_object, columns, value_line
from headrace.core import wire
from headrace.core.hops import counts_of, hop_of, source_hop, told
from headrace.core.plain_text import one_line, plain
from headrace.core.record_ids import parsed_id
from headrace.core.records import Record, TopicPartition
from headrace.core.standing import Evidence, Reached, lost, standing
from headrace.core.whereabouts import Map
from headrace.errors import ConfigError
from headrace.kafka.dead_letters import mark_of, parsed
from headrace.kafka.messages import Messages
from headrace.kafka.replay import batches, marked, select, sent_back
from headrace.kafka.searching import Bound
from headrace.kafka.tracing import Trail
from headrace.kafka.translate import headers_of
from headrace.telemetry.logs import JsonFormatter, TextFormatter
from tests.property.hostile import HEADER_VALUES, JSON, VALUES, examples, nested, said, usual_stack
from tests.unit import dags

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
EVIL = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e\x7f"

NAMES = st.sampled_from(
    [value for name, value in vars(wire).items() if name.isupper() and isinstance(value, str)]
    + ["mine", EVIL, ""]
)
HEADERS = st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=8)
PART = st.dictionaries(
    st.sampled_from(["from", "outcome", "index", "document", "error", "models"]),
    VALUES | st.sampled_from(["failed", "a", {"step": ["x"], "class": 1}]),
)
PARTS = st.fixed_dictionaries({"parts": st.lists(PART, max_size=3) | VALUES}).map(said)
CONTENT = st.none() | JSON | PARTS | st.binary(max_size=20) | st.just(EVIL.encode())
RECORDS = st.builds(
    lambda key, value, headers, stamp: Record(
        TopicPartition("p.dead-letters", 0), 5, key, value, stamp, headers
    ),
    st.none() | st.binary(max_size=9) | st.just(EVIL.encode()),
    CONTENT,
    st.none() | HEADERS,
    st.sampled_from([0, -1, 1_700_000_000_000, 10**17, 2**63 - 1, -(2**63)]),
)

PARTIAL = [(wire.PARTIAL, b"join"), (wire.ERROR_CLASS, b"MissingPartError")]


def record_of(value: bytes, *headers: tuple[str, bytes | None]) -> Record:
    return Record(TopicPartition("p.dead-letters", 0), 5, b"k", value, 1, headers)


def assert_harmless(text: str) -> None:
    assert STEERING.search(text) is None
    text.encode()


@examples(150)
@given(RECORDS)
@example(record_of(nested(100_000), *PARTIAL))
@example(record_of(nested(970), *PARTIAL))
@example(record_of(b'{"parts":[{}]}', (wire.PARTIAL, EVIL.encode())))
@example(record_of(b'{"parts":[{"from":1,"outcome":"failed","error":{"step":[]}}]}', *PARTIAL))
@example(record_of(b"{}", (wire.ERROR_LAST, b"9" * 18), (wire.ERROR_FIRST, b"9" * 5_000)))
@example(record_of(b"{}", (wire.ERROR_ATTEMPTS, "\u00b2".encode())))
def test_any_dead_letter_is_listed_shown_and_sent_back(record):
    if mark_of(record) is not None:
        return
    with usual_stack():
        _assert_can_be_handled(record)


def _assert_can_be_handled(record: Record) -> None:
    letter = parsed(record)

    listed = [letters.listing([letter], as_json=is_json) for is_json in (False, True)]
    shown = [letters.whole([letter], as_json=is_json) for is_json in (False, True)]
    for text in (*listed, *shown):
        assert_harmless(text)
    json.loads(listed[1])
    json.loads(shown[1])
    selection = select([letter], lambda _: True)
    for batch in batches(selection.sent, 10):
        for each in batch:
            assert sent_back(each, "p.m.retry")[1] == record.value
            marked(each)


@pytest.mark.parametrize(
    "where",
    ["attempts > 1", "value.a == 1", "size(headers) > 0", "key == 'a'", "timestamp / 0 > 1"],
)
@examples(60)
@given(record=RECORDS)
def test_any_dead_letter_is_chosen_or_not(where, record):
    choose = letters.choice(None, where)

    with usual_stack():
        assert choose(parsed(record)) in (True, False)


@examples(150)
@given(RECORDS)
@example(record_of(nested(985)))
@example(record_of(b'"' + EVIL.encode() + b'"'))
@example(record_of(EVIL.encode()))
@example(record_of(b'{"a":\n"\xc2\x9b31m"}'))
def test_any_record_is_one_harmless_line(record):
    with usual_stack():
        lines = (value_line(record), as_object(record))
    for line in lines:
        assert b"\n" not in line
        assert STEERING.search(line.decode(errors="replace").replace("\x7f", "")) is None
    found = json.loads(as_object(record))
    assert found["offset"] == 5


def test_an_ordinary_value_is_printed_as_it_is():
    for value in (b'{"a": "\xc3\xa4"}', b"words", "日本語 \u3000 🎉".encode(), b"\xff", b"a\tb"):
        assert value_line(record_of(value)) == value


# Trails

KNOWN = Map(dags.pages(), "in")
WAYS = st.sampled_from(sorted(KNOWN.ways))
IDS = st.sampled_from(
    ["in-0-0", "in-0-0/1", "in-0-0/x", "in-0-0/", "in-0-0/9/9", "in-0-0/" + "9" * 5_000, "in-0-0/²"]
)


@examples(70)
@given(st.lists(st.tuples(WAYS, IDS, HEADERS, CONTENT), max_size=4))
def test_any_trail_is_told(found):
    counts: dict[str, int] = {}
    hops = [source_hop("in-0-0", Record(TopicPartition("in", 0), 0, EVIL.encode(), b"{}", 5))]
    for offset, (topic, id_, headers, value) in enumerate(found):
        record = Record(TopicPartition(topic, 0), offset, None, value, 10**17, headers)
        counts |= counts_of(record, id_)
        hops.append(hop_of(record, id_, KNOWN.ways[topic], KNOWN))
    everywhere = {hop.place: Reached(2) for hop in hops}
    reached = {each.name: everywhere for each in KNOWN.stages}
    evidence = Evidence(hops, counts, reached, set(), set())
    states = list(standing(evidence, KNOWN))
    trail = Trail(
        "in-0-0", told("in-0-0", hops, KNOWN), states, lost(evidence, KNOWN), (), len(hops)
    )

    assert_harmless(trails.as_text(trail))
    json.loads(trails.as_json(trail))


@examples(60)
@given(HEADERS, st.sampled_from([0, 10**17]))
def test_any_record_passes_the_bound_or_not(headers, stamp):
    record = Record(TopicPartition("p.m", 0), 0, None, b"", stamp, headers)
    bound = Bound(1_000, TopicPartition("in", 0), 7)

    assert bound.is_passed(record, dict(headers)) in (True, False)


@examples(80)
@given(HEADER_VALUES.filter(bool) | st.text().map(str.encode))
def test_any_text_is_a_record_id_or_none(text):
    try:
        found = parsed_id(text.decode(errors="replace"))
    except ConfigError:
        return
    assert str(parsed_id(str(found))) == str(found)


def test_a_headers_count_of_children_is_believed_up_to_what_a_split_makes():
    for count, expected in ((b"10000", {"in-0-0": 10_000}), (b"10001", {}), (b"9" * 400, {})):
        record = Record(TopicPartition("p.m", 0), 0, None, b"", 0, [(wire.CHILDREN, count)])

        assert counts_of(record, "in-0-0/1") == expected


# Lines for people

TEXTS = (
    st.text(max_size=30) | st.just(EVIL) | st.text("\x00\x1b\n\r\t\x9b\u202e\u2028a", max_size=20)
)


@examples(100)
@given(TEXTS)
def test_text_for_a_terminal_steers_nothing_and_keeps_its_words(text):
    assert_harmless(plain(text.replace("\t", "").replace("\n", "")))
    assert "\n" not in one_line(text)
    ordinary = "".join(each for each in text if each.isalnum())
    assert plain(ordinary) == ordinary


@examples(60)
@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=3))
def test_a_table_has_a_line_for_every_row(rows):
    lines = columns(rows)

    assert lines.count("\n") == len(rows) - 1
    assert_harmless(lines.replace("\n", ""))


@examples(80)
@given(TEXTS, TEXTS)
@example("\n12:00:00.000 info     all is well", "")
def test_a_log_line_cannot_be_forged(message, reason):
    record = logging.makeLogRecord(
        {"msg": "%s", "args": (message,), "levelname": "ERROR", "event": "x", "reason": reason}
    )

    first, *more = TextFormatter().format(record).split("\n")
    told_ = json.loads(JsonFormatter().format(record))

    assert " error    " in first
    assert all(line.startswith("  | ") for line in more)
    assert_harmless("".join([first, *more]).replace("\t", ""))
    assert told_["message"] == message


def test_what_is_said_to_a_person_steers_nothing(capsys):
    settings.say(f"model 'm': {EVIL}")

    assert_harmless(capsys.readouterr().err.replace("\n", ""))


# Kafka's client


def test_headers_whose_name_the_client_cannot_read_are_no_headers():
    def headers():
        raise SystemError("returned a result with an exception set")

    assert headers_of(SimpleNamespace(headers=headers)) is None
    assert headers_of(SimpleNamespace(headers=lambda: [("a", b"1")])) == [("a", b"1")]


def message(offset: int, headers: Callable[[], Any]) -> SimpleNamespace:
    return SimpleNamespace(
        topic=lambda: "in",
        partition=lambda: 0,
        offset=lambda: offset,
        key=lambda: b"k",
        value=lambda: b"{}",
        timestamp=lambda: (1, 5),
        headers=headers,
    )


def test_a_poll_with_a_header_that_cannot_be_read_is_handed_over_whole(caplog):
    def unreadable():
        raise SystemError("returned a result with an exception set")

    messages = Messages()
    messages.place("in", 0)

    records = messages.records(
        [message(0, lambda: [("a", b"1")]), message(1, unreadable), message(2, list)]
    )

    assert [(each.offset, each.headers) for each in records] == [
        (0, [("a", b"1")]),
        (1, None),
        (2, []),
    ]
    assert [each.event for each in caplog.records] == ["headers_unreadable"]
