"""Parts of a record as one value, and back."""

import json

import pytest

from headrace.core.joining import Group, Outcome, Part
from headrace.core.records import Record, TopicPartition
from headrace.errors import DecodeError
from headrace.runtime import partials
from headrace.runtime.items import Item, Level, Reason
from tests.unit.runtime.stages import derived, gather_step, join_step

JOIN = join_step(derived("a"), derived("b.yes"))
GATHER = gather_step(derived("c"), level=1)
RECORD = Record(TopicPartition("p.j.retry", 3), 5, b"k", b"")


def part(inlet=0, index=None, outcome=Outcome.RESULT, document=None, trail=b"", reason=None):
    id_ = b"in-3-7" if index is None else b"in-3-7/%d" % index
    item = Item(RECORD, id_, None, 3)
    item.outcome, item.document, item.trail, item.reason = outcome, document, trail, reason
    return Part(inlet, index, outcome, item, 9)


def group_of(*parts, count=None):
    group = Group(3, b"in-3-7", 1.0)
    group.count, group.parts = count, dict(enumerate(parts))
    return group


def dumped(group, step=JOIN, **more):
    return partials.dumped(group, step, 1_234, **{"documents": True, **more})


def loaded(value, step=JOIN, scope=(), **more):
    item = Item(RECORD, b"in-3-7", value, 3)
    item.scope = scope
    for name, content in more.items():
        setattr(item, name, content)
    return partials.loaded(item, step)


def test_a_value_names_parents_as_the_file_does_and_leaves_out_what_is_not_there():
    failure = Reason("b", "ValueError", "no")
    group = group_of(
        part(0, document={"x": [1]}, trail=b"a=m@1"),
        part(1, outcome=Outcome.FAILED, reason=failure),
    )

    assert json.loads(dumped(group)) == {
        "count": None,
        "since": 1_234,
        "parts": [
            {"from": "a", "outcome": "result", "document": {"x": [1]}, "models": "a=m@1"},
            {
                "from": "b.yes",
                "outcome": "failed",
                "error": {"step": "b", "class": "ValueError", "message": "no"},
            },
        ],
    }


def test_a_marker_says_only_what_had_come():
    reason = Reason("b", "ValueError", "no")
    group = group_of(part(0, 4, document={"x": 1}, trail=b"a=m@1", reason=reason), count=9)

    assert json.loads(dumped(group, documents=False))["parts"] == [
        {"from": "a", "outcome": "result", "index": 4}
    ]


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.MISSING])
@pytest.mark.parametrize("document", [None, {}, {"a": {"b": [None, "ü", 1.5]}}])
def test_parts_come_back_as_they_were(outcome, document):
    reason = Reason("b", "ValueError", "no") if outcome is Outcome.FAILED else None
    group = group_of(part(1, None, outcome, document, b"a=m@1", reason))

    partial = loaded(dumped(group), is_replay=True, deadline=77)

    [back] = partial.parts
    item = back.content
    assert (back.inlet, back.index, back.outcome) == (1, None, outcome)
    assert (item.id, item.document, item.outcome) == (b"in-3-7", document, outcome)
    assert (item.reason, item.trail, item.place) == (reason, b"a=m@1", 3)
    assert (item.is_replay, item.deadline, item.record) == (True, 77, RECORD)
    assert (partial.count, partial.since_ms, partial.is_stray) == (None, 1_234, False)
    assert (back.size > 0) == (document is not None)


def test_children_come_back_inside_their_split_at_home():
    group = group_of(part(0, 4, document={"x": 1}), count=9)

    partial = loaded(dumped(group, GATHER), GATHER, scope=(Level(1, 5),))

    [back] = partial.parts
    assert (partial.count, back.index) == (9, 4)
    assert back.content.id == b"in-3-7/4"
    assert back.content.scope == (Level(1, 5), Level(3, 9))


def test_a_stray_part_is_known_as_such():
    assert loaded(dumped(group_of(part()), is_stray=True)).is_stray


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"7",
        b"{",
        b"\xff",
        b"{}",
        b'{"count":null,"since":1}',
        b'{"count":null,"since":null,"parts":[]}',
        b'{"count":null,"since":1,"parts":{}}x',
        b'{"count":null,"since":1,"parts":[1]}',
        b'{"count":null,"since":1,"parts":[{"from":"a"}]}',
        b'{"count":null,"since":1,"parts":[{"from":"gone","outcome":"result"}]}',
        b'{"count":null,"since":1,"parts":[{"from":"a","outcome":"odd"}]}',
        b'{"count":null,"since":1,"parts":[{"from":"a","outcome":"failed","error":{}}]}',
        b'{"count":null,"since":1,"parts":[{"from":"a","outcome":"result","index":"x"}]}',
        b'{"count":"x","since":1,"parts":[{"from":"a","outcome":"result","index":0}]}',
    ],
)
def test_what_nobody_dumped_is_no_parts_of_a_record(value):
    with pytest.raises(DecodeError, match="not the parts of a record"):
        loaded(value)
