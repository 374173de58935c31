"""What the model-based tests of the ledger do not reach."""

import random

import pytest

from headrace.core import offset_map
from headrace.core.ledger import Ledger, finish
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.topology import Ordering
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
