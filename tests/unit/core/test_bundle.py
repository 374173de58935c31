"""One commit over several partitions: what goes together, and what does not fit."""

import itertools
import random

import pytest

from headrace.core import offset_map
from headrace.core.bundle import Bundle
from headrace.core.ledger import Ledger, finish, meet
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Ordering


def ledger_of(topic, ordering=Ordering.NONE, start=0):
    return Ledger(TopicPartition(topic, 0), Committed(None), start, Runs(), ordering)


def take(ledger, count, key=None):
    start = ledger.position
    return ledger.take([Record(ledger.partition, start + n, key, b"v") for n in range(count)])


def paired(count):
    """Return two ledgers with records of which each meets the one at its own place."""
    left, right = ledger_of("left", Ordering.PARTITION), ledger_of("right")
    pairs = list(zip(take(left, count), take(right, count), strict=True))
    return left, right, pairs


def finished(pairs):
    for pair in pairs:
        finish([meet(pair)], [()])


def drafted(ledgers, most=99, nonces=None):
    drafts = Bundle(ledgers, "w0", nonces or itertools.count(1)).draft(most)
    return {ledger.partition.topic: offsets(draft.records) for ledger, draft in drafts}


def offsets(records):
    return [record.offset for record in records]


def settle(*ledgers):
    for ledger in ledgers:
        if ledger.has_draft:
            ledger.settle()


def test_all_that_was_released_is_committed_at_once_where_it_fits():
    left, right, pairs = paired(3)
    finished(pairs)

    assert drafted([left, right]) == {"left": [0, 1, 2], "right": [0, 1, 2]}


def test_a_ledger_without_news_has_no_draft():
    left, right, _ = paired(2)
    other = ledger_of("other")
    finish(take(other, 1), [()])

    assert drafted([left, right, other]) == {"other": [0]}
    assert not left.has_draft


def test_nothing_released_is_nothing_to_commit():
    left, right, _ = paired(2)

    assert drafted([left, right]) == {}


def test_a_ledger_that_must_pin_or_lags_goes_along():
    left, pinned, lagging = ledger_of("left"), ledger_of("pinned", start=5), ledger_of("lagging")
    finish(take(left, 1), [()])
    take(pinned, 1)
    pinned.must_pin = True
    lagging.advance(3)

    assert drafted([left, pinned, lagging]) == {"left": [0], "pinned": [], "lagging": []}


def test_a_portion_has_at_most_so_many_records_followers_counted():
    left, right, pairs = paired(5)
    finished(pairs)

    assert drafted([left, right], most=5) == {"left": [0, 1], "right": [0, 1]}


def test_a_group_that_is_larger_than_a_portion_goes_alone_and_whole():
    left, right = ledger_of("left", Ordering.PARTITION), ledger_of("right")
    first, second = take(left, 2)
    finish([meet([first, *take(right, 5)]), second], [(), ()])

    assert drafted([left, right], most=3) == {"left": [0], "right": [0, 1, 2, 3, 4]}
    settle(left, right)
    assert drafted([left, right], most=3) == {"left": [1]}


def test_ledgers_take_turns():
    one, other = ledger_of("one"), ledger_of("other")
    finish([*take(one, 4), *take(other, 4)], [()] * 8)

    assert drafted([one, other], most=4) == {"one": [0, 1], "other": [0, 1]}


def test_lower_offsets_go_first_whenever_they_were_released():
    ledger = ledger_of("in")
    finish(take(ledger, 4)[::-1], [()] * 4)

    assert drafted([ledger], most=2) == {"in": [1, 0]}


def test_what_is_released_while_a_commit_is_under_way_is_not_in_it():
    left, right, pairs = paired(3)
    finished(pairs[:1])
    bundle = Bundle([left, right], "w0", itertools.count())
    drafts = bundle.draft(99)

    finished(pairs[1:])

    assert [offsets(draft.records) for _, draft in drafts] == [[0], [0]]
    settle(left, right)
    assert drafted([left, right]) == {"left": [1, 2], "right": [1, 2]}


def test_an_undone_bundle_is_drafted_again_as_it_was():
    left, right, pairs = paired(3)
    finished(pairs)
    before = drafted([left, right])
    for ledger in (left, right):
        ledger.undo()

    assert drafted([left, right]) == before


@pytest.mark.parametrize("full", ["left", "right"])
def test_what_does_not_fit_one_map_leaves_the_others_whole(monkeypatch, full):
    left, right = ledger_of("left"), ledger_of("right")
    names = {"left": left, "right": right}
    scattered = random.Random(7).sample(range(64), 64)
    others = take(right, 64)
    pairs = list(zip(take(left, 64), [others[n] for n in scattered], strict=True))
    crowded = {"left": pairs[1::2], "right": [p for p in pairs if p[1].offset % 2]}[full]
    finished(crowded)
    monkeypatch.setattr(offset_map, "LIMIT", 50)

    drafts = Bundle([left, right], "w0", itertools.count()).draft(999)

    gone = {ledger.partition.topic: {id(r) for r in draft.records} for ledger, draft in drafts}
    assert 0 < len(gone["left"]) < len(crowded)
    for one, other in pairs:
        assert (id(one) in gone["left"]) == (id(other) in gone["right"])
    assert all(len(draft.committed.metadata) <= 50 for _, draft in drafts)
    assert names[full].has_draft


def test_when_nothing_fits_nothing_is_drafted(monkeypatch):
    left, right = ledger_of("left"), ledger_of("right")
    pairs = list(zip(take(left, 9), take(right, 9), strict=True))
    finished(pairs[1::2])
    monkeypatch.setattr(offset_map, "LIMIT", 1)

    assert Bundle([left, right], "w0", itertools.count()).draft(99) == []
    assert not left.has_draft
    assert not right.has_draft
