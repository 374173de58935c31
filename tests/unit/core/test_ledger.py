"""What the model-based tests of the ledger do not reach."""

import random

import pytest

from headrace.core import offset_map
from headrace.core.ledger import Ledger, finish, leader_of, meet
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Ordering
from headrace.errors import InvariantError

PARTITION = TopicPartition("in", 0)


def ledger_of(ordering=Ordering.NONE):
    return Ledger(PARTITION, Committed(None), 0, Runs(), ordering)


def records_of(*offsets, key=None):
    return [Record(PARTITION, offset, key, b"value") for offset in offsets]


def test_a_record_is_finished_only_once():
    [record] = ledger_of().take(records_of(0))
    finish([record], [()])

    with pytest.raises(InvariantError, match=r"in-0@0.*finished twice"):
        finish([record], [()])


def test_results_for_a_dropped_ledger_are_ignored_however_often_they_come():
    ledger = ledger_of(Ordering.PARTITION)
    records = ledger.take(records_of(0, 1))
    finish(records[1:], [()])
    ledger.drop()

    finish([*records, records[0]], [()] * 3)

    assert list(ledger.released) == []
    assert not ledger.is_owned


def test_a_second_draft_is_refused_while_one_is_open():
    ledger = ledger_of()
    finish(ledger.take(records_of(0)), [()])
    ledger.draft(9, "w0", 1)

    with pytest.raises(InvariantError, match="in-0 has an open draft"):
        ledger.draft(9, "w0", 2)


@pytest.mark.parametrize("end", [Ledger.settle, Ledger.undo])
def test_what_was_not_drafted_cannot_end(end):
    with pytest.raises(InvariantError, match="in-0 has no draft"):
        end(ledger_of())


def test_from_the_draft_to_its_end_a_ledger_is_committing():
    ledger = ledger_of()
    finish(ledger.take(records_of(0, 1)), [()] * 2)
    seen = [ledger.is_committing]
    ledger.draft(9, "w0", 1)
    seen.append(ledger.is_committing)
    ledger.undo()
    seen.append(ledger.is_committing)

    assert seen == [False, True, False]


def test_what_was_never_delivered_goes_with_the_next_record_however_often_it_is_told():
    ledger = ledger_of()
    first = ledger.take(records_of(0))
    ledger.advance(3)
    ledger.advance(7)
    later = ledger.take(records_of(9))
    finish(later, [()])

    draft = ledger.draft(9, "w0", 1)
    ledger.settle()

    assert (draft.base, list(draft.done)) == (0, [(1, 10)])
    finish(first, [()])
    assert ledger.draft(9, "w0", 2).base == 10


def test_there_is_no_draft_of_nothing():
    ledger = Ledger(PARTITION, Committed(0), 0, Runs(), Ordering.NONE)
    ledger.take(records_of(0))

    assert ledger.draft(9, "w0", 1) is None
    assert not ledger.has_draft
    assert not ledger.is_committing


def test_bytes_in_flight_are_those_of_the_values_not_yet_durable():
    ledger = ledger_of()
    records = ledger.take([*records_of(0, 1), Record(PARTITION, 2, None, None)])
    assert ledger.in_flight_bytes == 10

    finish(records[:1], [()])
    ledger.draft(9, "w0", 1)
    ledger.settle()

    assert ledger.in_flight_bytes == 5


def test_metadata_and_runs_tell_what_kafka_holds():
    ledger = ledger_of()
    records = ledger.take(records_of(0, 1, 2, 3))
    finish([records[1], records[3]], [()] * 2)

    draft = ledger.draft(9, "w0", 1)
    assert (ledger.runs, ledger.metadata_size) == (0, 0)
    ledger.settle()

    assert ledger.runs == 2
    assert ledger.metadata_size == len(draft.committed.metadata)


def full(count=80_000):
    """Return a ledger with more random results than one commit's map can hold, and its records."""
    ledger = ledger_of()
    records = ledger.take(records_of(*range(count)))
    rng = random.Random(7)
    chosen = [record for record in records[1:] if rng.random() < 0.5]
    rng.shuffle(chosen)
    finish(chosen, [()] * len(chosen))
    return ledger, records


def test_results_that_do_not_fit_stay_in_their_order():
    ledger, _ = full()
    before = list(ledger.released)
    draft = ledger.draft(80_000, "w0", 1)
    gone = {record.offset for record in draft.records}

    ledger.settle()

    assert 0 < len(gone) < len(before)
    assert len(draft.committed.metadata) <= offset_map.LIMIT
    assert list(ledger.released) == [r for r in before if r.offset not in gone]
    assert max(gone) < min(r.offset for r in ledger.released)


def test_when_nothing_more_fits_there_is_no_draft_until_a_lower_offset_is_finished():
    ledger, records = full()
    while ledger.draft(80_000, "w0", 1) is not None:
        ledger.settle()
    assert ledger.released
    assert not ledger.is_committing

    late = [record for record in records[:30_000] if record.output is None]
    finish(late, [()] * len(late))

    assert ledger.draft(80_000, "w0", 2).base >= 30_000


# Records that meet

OTHER = TopicPartition("other", 0)


def meeting(ordering=Ordering.KEY, count=3, key=b"k", drives=None):
    """Return a ledger with lanes and one without, and so many records of each."""
    one = Ledger(PARTITION, Committed(None), 0, Runs(), ordering, drives)
    two = Ledger(OTHER, Committed(None), 0, Runs(), Ordering.NONE)
    left = one.take(records_of(*range(count), key=key))
    right = two.take([Record(OTHER, offset, key, b"v") for offset in range(count)])
    return one, two, left, right


@pytest.mark.parametrize("ordering", [Ordering.KEY, Ordering.PARTITION])
def test_the_one_that_has_a_lane_leads_whichever_is_named_first(ordering):
    _, _, left, right = meeting(ordering)

    assert meet([right[0], left[0]]) is left[0]
    assert meet([left[1], right[1]]) is left[1]
    assert [leader_of(each) for each in right] == [left[0], left[1], right[2]]


def test_without_a_lane_the_first_leads():
    _, _, _, right = meeting()

    assert meet(right) is right[0]
    assert right[0].followers == right[1:]


def test_records_that_have_met_are_one_already():
    _, _, left, right = meeting()
    meet([left[0], right[0]])

    assert meet([right[0], left[0], right[0]]) is left[0]
    assert left[0].followers == [right[0]]


def test_two_that_have_lanes_must_not_meet():
    _, _, left, _ = meeting()

    with pytest.raises(InvariantError, match=r"in-0@0.* and .*in-0@1.* meet, and both have a lane"):
        meet(left[:2])


def test_who_has_met_brings_all_it_led_and_all_that_was_left_behind():
    _, _, left, right = meeting()
    for record, row in zip([*left[:1], *right], "abcd", strict=True):
        record.pending, record.outputs = 1, [row]
    right[1].outputs = None
    meet(right[1:])

    leader = meet([left[0], right[0], right[2]])

    assert leader is left[0]
    assert leader.followers == [right[0], right[1], right[2]]
    assert leader.outputs == ["a", "b", "d"]
    assert leader.pending == 4
    assert all(each.pending == 0 and each.outputs is None for each in right)
    assert all(each.followers is None for each in right)


def test_a_follower_of_a_follower_finishes_with_the_first_of_them():
    _, _, left, right = meeting()
    meet(right[:2])
    meet([left[0], right[0]])

    assert leader_of(right[1]) is left[0]


@pytest.mark.parametrize(
    ("ordering", "key", "has_lane"),
    [
        (Ordering.KEY, b"k", True),
        (Ordering.KEY, None, False),
        (Ordering.PARTITION, None, True),
        (Ordering.NONE, b"k", False),
    ],
)
def test_a_record_has_a_lane_by_its_ledgers_order(ordering, key, has_lane):
    _, _, left, _ = meeting(ordering, key=key)

    assert left[0].has_lane == has_lane


def test_only_records_that_drive_have_a_lane_and_wait_in_it():
    one, _, left, _ = meeting(drives=lambda record: record.offset != 1)

    assert [each.has_lane for each in left] == [True, False, True]
    assert [each.waits for each in left] == [False, False, True]
    finish(left[1:2], [()])
    assert one.released == [left[1]]
    finish([left[2], left[0]], [(), ()])
    assert one.released == [left[1], left[0], left[2]]


def test_followers_finish_and_are_released_with_their_leader():
    one, two, left, right = meeting()
    meet([left[1], right[2]])
    meet([left[0], right[0], right[1]])

    finish([left[1]], ["late"])
    assert (one.blocked, one.released, two.released) == (1, [], [])
    assert right[2].output == ()

    finish([left[0]], ["early"])
    assert one.released == left[:2]
    assert two.released == right
    assert (one.blocked, two.blocked) == (0, 0)


def test_a_lane_goes_on_after_a_record_that_led_others():
    one, two, left, right = meeting(count=4)
    meet([left[0], right[3]])
    finish([left[3], left[1]], [(), ()])

    finish([left[0]], [()])
    assert one.released == left[:2]
    assert two.released == right[3:]

    finish([left[2]], [()])
    assert one.released == left


def test_followers_of_a_dropped_ledger_are_not_released():
    one, two, left, right = meeting()
    meet([left[0], right[0]])
    one.drop()

    finish([left[0]], [()])

    assert (one.released, two.released) == ([], [])


def test_a_draft_is_of_just_the_records_that_are_asked_for():
    one, _, left, _ = meeting()
    finish(left, [()] * 3)

    draft = one.draft_of([left[1]], "w0", 1)

    assert list(draft.records) == [left[1]]
    assert (draft.base, list(draft.done)) == (0, [(1, 2)])
    with pytest.raises(InvariantError, match="in-0 has an open draft"):
        one.draft_of([left[0]], "w0", 2)
    one.settle()
    assert one.released == [left[0], left[2]]


def test_a_draft_that_does_not_fit_the_map_is_none_and_leaves_nothing_open(monkeypatch):
    one, _, left, _ = meeting(count=9)
    finish(left, [()] * 9)
    monkeypatch.setattr(offset_map, "LIMIT", 30)

    assert one.draft_of(left[1::2], "w0", 1) is None
    assert not one.has_draft
    assert not one.is_committing
    assert one.draft_of(left[:4], "w0", 2) is not None


def test_a_ledger_can_go_on_from_what_it_wrote_last_or_drafted_and_from_nothing_else():
    one, _, left, _ = meeting()
    before = Committed(None)
    assert one.can_resolve(before)
    finish(left, [()] * 3)
    draft = one.draft(9, "w0", 1)

    assert one.can_resolve(before)
    assert one.can_resolve(draft.committed)
    assert not one.can_resolve(Committed(3, "of somebody else"))

    one.settle()
    assert not one.can_resolve(before)
    assert one.can_resolve(draft.committed)


def test_what_was_read_again_gives_no_load_until_it_was_read_to_its_end():
    done = Runs([(2, 9)])
    ledger = Ledger(PARTITION, Committed(0, "metadata"), 0, done, Ordering.NONE)

    assert ledger.map_load == 0
    ledger.advance(9)
    assert ledger.map_load == len("metadata")


def test_records_that_are_read_again_are_taken_once():
    ledger = ledger_of()
    first = ledger.take(records_of(0, 1))

    again = ledger.take(records_of(0, 1, 2))

    assert [record.offset for record in again] == [2]
    assert ledger.in_flight == len(first) + 1


def test_a_ledger_without_a_draft_goes_on_from_what_it_wrote_last():
    ledger = ledger_of()

    assert ledger.resolve(Committed(None))
    assert not ledger.resolve(Committed(1, "of somebody else"))


def test_what_was_durable_before_a_restart_is_not_taken():
    ledger = Ledger(PARTITION, Committed(0, "m"), 0, Runs([(1, 2)]), Ordering.NONE)

    fresh = ledger.take(records_of(0, 1, 2))

    assert [record.offset for record in fresh] == [0, 2]


def test_a_draft_that_kafka_has_is_settled_by_what_is_stored():
    ledger = ledger_of()
    finish(ledger.take(records_of(0, 1)), [()] * 2)
    draft = ledger.draft(9, "w0", 1)

    assert ledger.resolve(draft.committed)

    assert (ledger.base, ledger.in_flight, ledger.has_draft) == (2, 0, False)
