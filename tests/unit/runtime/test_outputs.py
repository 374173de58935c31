"""The wire contract of one step."""

import json

import pytest

from headrace.core.records import Record, TopicPartition
from headrace.core.steps import Sink
from headrace.errors import InvalidInputError, OversizeError
from headrace.formats.json_objects import encode
from headrace.runtime.items import from_derived, from_source
from headrace.runtime.outputs import Cause, Outputs
from headrace.runtime.topic_facts import TopicFacts
from tests.unit.runtime.parts import DEAD, FACTS, RETRY, SINKS, headers_of, ledger_of, stage_of

SOURCE_HEADERS = [
    ("user", b"1"),
    ("headrace-attempt", b"3"),
    ("headrace-error-class", b"Old"),
    ("headrace-id", b"somebody-else-0-9"),
    ("traceparent", b"00-abc"),
    ("user", None),
]
USER_HEADERS = [("user", b"1"), ("traceparent", b"00-abc"), ("user", None)]
CAUSE = Cause(InvalidInputError("rejected"), attempts=2, first_ms=1_000, last_ms=2_500, version="3")


def record_of(value=b'{"text":"a"}', *, key=b"k", headers=None, topic="in", offset=7):
    partition = TopicPartition(topic, 1)
    record = Record(partition, offset, key, value, 1_234, headers)
    ledger_of(partition).take([record])
    return record


def outputs_of(sinks=SINKS, facts=FACTS):
    stage = stage_of(sinks=sinks)
    return Outputs(stage, stage.steps[0], facts, encode, lambda: 77)


def item_of(record, document=None, version="1"):
    """Return a record as a document, passed by the model if one is given."""
    is_back = record.partition.topic == RETRY
    item = from_derived(record) if is_back else from_source([record], None)[0]
    if document is not None:
        item.document, item.trail = document, f"shout=upper@{version}".encode()
    return item


def result_of(record, document=None, *, sinks=SINKS, facts=FACTS, version="1"):
    """Return the rows of one result, or why there is none."""
    item = item_of(record, document or {"text": "a"}, version)
    [rows] = outputs_of(sinks, facts).results([item])
    return rows


def letter_of(record, cause=CAUSE, facts=FACTS):
    return outputs_of(facts=facts).dead_letter(item_of(record), cause)


# Results


def test_a_result_is_the_document_as_json_with_the_sources_key_partition_and_timestamp():
    [row] = result_of(record_of(), {"text": "a", "shouted": "Ä"})

    assert row[:5] == ("out", '{"text":"a","shouted":"Ä"}'.encode(), b"k", 1, 1_234)


def test_a_result_says_where_it_comes_from_and_what_made_it():
    [row] = result_of(record_of())

    assert row[-1] == [
        ("headrace-id", b"in-1-7"),
        ("headrace-source", b"in/1/7"),
        ("headrace-models", b"shout=upper@1"),
        ("headrace-pipeline", b"f00d"),
    ]


def test_user_headers_are_kept_and_those_of_headrace_are_not_copied():
    [row] = result_of(record_of(headers=SOURCE_HEADERS))

    assert row[-1][4:] == USER_HEADERS
    assert headers_of(row)["headrace-id"] == b"in-1-7"


def test_another_number_of_partitions_leaves_the_choice_to_the_key():
    facts = TopicFacts({"in": 2, "out": 3}, {})

    [row] = result_of(record_of(), facts=facts)

    assert (row[2], row[3]) == (b"k", -1)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"user": {"id": "ü1"}}, "ü1".encode()),
        ({"user": {"id": 17}}, b"17"),
        ({"user": {"id": [1, "a"]}}, b'[1,"a"]'),
    ],
)
def test_a_sink_with_a_key_takes_it_from_the_document_and_chooses_by_it(document, key):
    [row] = result_of(record_of(), document, sinks=(Sink("out", key="user.id"),))

    assert (row[2], row[3]) == (key, -1)


def test_a_sink_with_fields_writes_those_that_are_there():
    sinks = (Sink("out", fields=("shouted", "missing", "id")),)

    [row] = result_of(record_of(), {"id": 1, "text": "a", "shouted": "A"}, sinks=sinks)

    assert json.loads(row[1]) == {"shouted": "A", "id": 1}


def test_the_key_may_be_a_field_that_is_not_written():
    sinks = (Sink("out", key="id", fields=("text",)),)

    [row] = result_of(record_of(), {"id": "x", "text": "a"}, sinks=sinks)

    assert (row[1], row[2]) == (b'{"text":"a"}', b"x")


def test_every_sink_gets_the_result():
    sinks = (Sink("out", fields=("text",)), Sink("out", key="text"))

    rows = result_of(record_of(), {"text": "a", "n": 1}, sinks=sinks)

    assert [row[1:3] for row in rows] == [(b'{"text":"a"}', b"k"), (b'{"text":"a","n":1}', b"a")]


def test_the_version_that_answered_stands_in_the_result():
    [row] = result_of(record_of(), version="42")

    assert headers_of(row)["headrace-models"] == b"shout=upper@42"


@pytest.mark.parametrize("sinks", [(Sink("out"),), (Sink("in"), Sink("out"))])
@pytest.mark.parametrize("headers", [None, [("user", b"h" * 900)]])
def test_a_result_its_topic_would_refuse_is_told_by_its_size(sinks, headers):
    facts = TopicFacts(FACTS.partitions, {"out": 1_000})
    text = "x" * (10 if headers else 1_000)

    oversize = result_of(record_of(headers=headers), {"text": text}, sinks=sinks, facts=facts)

    assert isinstance(oversize, OversizeError)
    assert "topic out takes 1,000 (max.message.bytes)" in str(oversize)


def test_a_key_that_is_too_large_for_the_sink_is_told_though_its_record_is_small():
    facts = TopicFacts(FACTS.partitions, {"out": 1_000})
    sinks = (Sink("out", key="long", fields=("text",)),)

    oversize = result_of(record_of(), {"text": "a", "long": "x" * 1_000}, sinks=sinks, facts=facts)

    assert isinstance(oversize, OversizeError)


def test_one_large_result_does_not_spoil_its_batch():
    facts = TopicFacts(FACTS.partitions, {"out": 2_000})
    records = [record_of(), record_of()]
    texts = ["x" * 3_000, "x" * 1_200]
    items = [item_of(r, {"text": text}) for r, text in zip(records, texts, strict=True)]

    rows = outputs_of(facts=facts).results(items)

    assert [isinstance(row, OversizeError) for row in rows] == [True, False]


def test_a_tombstone_is_a_null_for_every_sink_under_the_records_key():
    sinks = (Sink("out"), Sink("in", key="text"))

    rows = outputs_of(sinks).outcome(item_of(record_of(None)))

    assert [row[:5] for row in rows] == [
        ("out", None, b"k", 1, 1_234),
        ("in", None, b"k", -1, 1_234),
    ]
    assert headers_of(rows[0])["headrace-id"] == b"in-1-7"


# Dead letters


@pytest.mark.parametrize("value", [b"not json", b"", b"\xff\x00", None])
def test_a_dead_letter_is_the_record_exactly_as_read(value):
    row = letter_of(record_of(value))

    assert row[:5] == (DEAD, value, b"k", 1, 1_234)


def test_the_cause_of_a_dead_letter_stands_in_its_headers():
    headers = headers_of(letter_of(record_of()))

    assert {name: text for name, text in headers.items() if "error" in name} == {
        "headrace-error-class": b"InvalidInputError",
        "headrace-error-message": b"rejected",
        "headrace-error-step": b"shout",
        "headrace-error-attempts": b"2",
        "headrace-error-model": b"upper",
        "headrace-error-version": b"3",
        "headrace-error-source": b"in/1/7",
        "headrace-error-first": b"1000",
        "headrace-error-last": b"2500",
    }


def test_the_status_stands_there_where_the_model_server_gave_one():
    error = InvalidInputError("rejected", status="INVALID_ARGUMENT")

    headers = headers_of(letter_of(record_of(), Cause(error, 1, 0, 0)))

    assert headers["headrace-error-status"] == b"INVALID_ARGUMENT"


def test_a_dead_letter_carries_format_identity_pipeline_and_user_headers_only():
    row = letter_of(record_of(headers=SOURCE_HEADERS))

    others = [(name, text) for name, text in row[-1] if "error" not in name]
    assert others == [
        ("headrace-v", b"1"),
        ("headrace-id", b"in-1-7"),
        ("headrace-source", b"in/1/7"),
        ("headrace-pipeline", b"f00d"),
        ("headrace-at", b"77"),
        *USER_HEADERS,
    ]


def test_an_error_text_is_cut_to_4_kib():
    headers = headers_of(letter_of(record_of(), Cause(ValueError("ä" * 5_000), 1, 0, 0)))

    assert len(headers["headrace-error-message"]) == 4_096


@pytest.mark.parametrize(
    ("error", "text"), [(ValueError(), b"ValueError"), (ValueError("\ud800"), b"?")]
)
def test_every_error_has_a_text(error, text):
    headers = headers_of(letter_of(record_of(), Cause(error, 1, 0, 0)))

    assert headers["headrace-error-message"] == text


def test_a_dead_letter_that_does_not_fit_goes_without_its_value():
    facts = TopicFacts(FACTS.partitions, {DEAD: 2_000})

    row = letter_of(record_of(b"x" * 1_900), facts=facts)

    assert row[:4] == (DEAD, None, b"k", 1)
    assert headers_of(row)["headrace-error-source"] == b"in/1/7"


# Retry records


def retried(record):
    return outputs_of().retry(item_of(record), CAUSE, 9_000)


def test_a_retry_record_is_the_record_as_read_with_its_attempt_and_time():
    row = retried(record_of(headers=SOURCE_HEADERS))

    assert row[:5] == (RETRY, b'{"text":"a"}', b"k", 1, 1_234)
    assert row[-1] == [
        ("headrace-v", b"1"),
        ("headrace-id", b"in-1-7"),
        ("headrace-source", b"in/1/7"),
        ("headrace-pipeline", b"f00d"),
        ("headrace-at", b"77"),
        *USER_HEADERS,
        ("headrace-attempt", b"3"),
        ("headrace-not-before", b"9000"),
    ]


RETURNED = [
    ("headrace-v", b"1"),
    ("headrace-id", b"in-0-3"),
    ("headrace-source", b"in/0/3"),
    ("headrace-attempt", b"2"),
    ("headrace-not-before", b"100"),
    ("user", b"1"),
]


@pytest.mark.parametrize("write", [lambda r: result_of(r)[0], letter_of, retried])
def test_a_record_from_the_retry_topic_keeps_its_first_identity(write):
    record = record_of(headers=RETURNED, topic=RETRY, offset=55)

    headers = headers_of(write(record))

    assert headers["headrace-id"] == b"in-0-3"
    assert headers["headrace-source"] == b"in/0/3"
    assert headers["user"] == b"1"


def test_a_result_of_a_retry_says_nothing_of_its_attempts():
    [row] = result_of(record_of(headers=RETURNED, topic=RETRY, offset=55))

    assert not {"headrace-attempt", "headrace-not-before", "headrace-v"} & set(headers_of(row))


def test_a_dead_letter_of_a_retry_names_the_place_it_was_read_from():
    row = letter_of(record_of(headers=RETURNED, topic=RETRY, offset=55))

    assert headers_of(row)["headrace-error-source"] == b"shouts.shout.retry/1/55"


def test_a_record_of_the_retry_topic_that_nobody_identified_is_its_own():
    [row] = result_of(record_of(headers=[("user", b"1")], topic=RETRY, offset=55))

    assert headers_of(row)["headrace-id"] == b"shouts.shout.retry-1-55"
