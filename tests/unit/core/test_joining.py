"""Which parts belong together, and what comes of them, case by case."""

from itertools import product

import pytest

from headrace.core.joining import (
    Gathered,
    Group,
    Outcome,
    Part,
    Table,
    Verdict,
    combine,
    gathered,
)
from headrace.core.steps import (
    GatherStep,
    Inlet,
    Join,
    JoinMode,
    OnFailed,
    OnMissing,
    Step,
    Waiting,
)
from headrace.errors import StrayPartError

RESULT, DROPPED, FAILED = Outcome.RESULT, Outcome.DROPPED, Outcome.FAILED
MISSING, TOMBSTONE, EMPTY = Outcome.MISSING, Outcome.TOMBSTONE, Outcome.EMPTY


def join_of(*parents, optional=(), **how):
    inlets = tuple(Inlet(name, f"t.{name}", is_optional=name in optional) for name in parents)
    return Step(name="j", inlets=inlets, join=Join(**how))


def gather_of(on_failed=OnFailed.DEAD_LETTER, on_missing=OnMissing.DEAD_LETTER):
    return GatherStep(
        name="g",
        inlets=(Inlet("a", "t.a"),),
        split="s",
        into="x",
        on_failed=on_failed,
        waiting=Waiting(1.0, on_missing),
    )


def part(inlet=0, outcome=RESULT, index=None, content="", size=0, is_replay=False):
    return Part(inlet, index, outcome, content, size, is_replay)


class Joining:
    """One group in a table of its own."""

    def __init__(self, inlets=2):
        self.table = Table(inlets)
        self.group = self.table.open(0, b"in-0-7", 5.0)

    def add(self, *parts, count=None):
        for each in parts:
            self.table.add(self.group, each, count)
        return self.table.is_complete(self.group)


# Tables


def test_a_join_is_complete_once_every_inlet_has_brought_its_part():
    it = Joining(3)

    assert [it.add(part(inlet)) for inlet in (2, 0, 1)] == [False, False, True]


def test_a_gather_is_complete_once_every_inlet_has_brought_every_child():
    it = Joining(2)
    places = [(1, 1), (0, 0), (0, 1), (1, 0)]

    came = [it.add(part(inlet, index=index), count=2) for inlet, index in places]

    assert came == [False, False, False, True]


def test_a_gather_is_complete_without_children_where_every_inlet_says_so_of_the_parent():
    it = Joining(2)

    assert [it.add(part(inlet, EMPTY)) for inlet in (0, 1)] == [False, True]


def test_an_inlet_is_lacking_until_it_has_brought_all_children():
    it = Joining(2)
    it.add(part(0, index=0), part(1, index=0), part(1, index=1), count=2)

    assert it.table.lacks(it.group, 0)
    assert not it.table.lacks(it.group, 1)


def test_an_id_has_one_group_per_place_until_it_is_closed():
    it = Joining()
    again, elsewhere = (it.table.open(place, b"in-0-7", 9.0) for place in (0, 1))

    assert again is it.group
    assert again.since == 5.0
    assert elsewhere is not again
    assert list(it.table) == [again, elsewhere]
    it.table.close(again)
    assert not it.table.holds(again)
    assert it.table.holds(elsewhere)
    assert len(it.table) == 1
    assert it.table.open(0, b"in-0-7", 9.0) is not again


def test_a_table_may_change_while_it_is_walked():
    it = Joining()

    for group in it.table:
        it.table.close(group)

    assert not len(it.table)


@pytest.mark.parametrize(
    ("before", "then", "counts", "why"),
    [
        (part(0), part(0), (None, None), "inlet 0 brought in-0-7 twice"),
        (part(0, index=1), part(0, index=1), (2, 2), "inlet 0 brought in-0-7 twice"),
        (part(0), part(0, is_replay=True), (None, None), "twice"),
        (part(0, FAILED), part(0, FAILED), (None, None), "twice"),
        (part(0, index=0), part(0), (2, None), "as a whole and as children"),
        (part(0), part(0, index=0), (None, 2), "as a whole and as children"),
        (part(0, index=0), part(0, index=1), (2, 3), "child 1 says .* has 3 .* others say 2"),
        (part(1, index=0), part(0, index=2), (2, 2), "child 2 of in-0-7, which has 2"),
        (part(1, index=0), part(0, index=-1), (2, 2), "child -1"),
        (part(1, index=0), part(0, index=0), (2, None), "child 0 of in-0-7, which has None"),
    ],
)
def test_a_part_that_has_no_place_changes_nothing(before, then, counts, why):
    it = Joining()
    it.add(before, count=counts[0])

    with pytest.raises(StrayPartError, match=why):
        it.add(then, count=counts[1])

    assert list(it.group.parts.values()) == [before]
    assert it.group.count == counts[0]
    assert it.group.spent == []


def test_a_replayed_part_takes_the_place_of_one_that_failed_and_both_end_with_the_group():
    it = Joining()
    it.add(part(0, FAILED, content="failed", size=3))

    is_complete = it.add(
        part(0, content="again", size=5, is_replay=True), part(1, content="b", size=1)
    )

    assert is_complete
    assert it.group.contents == ["again", "b", "failed"]
    assert it.group.size == 6


def test_replayed_parts_alone_do_not_say_that_an_id_is_on_its_way():
    it = Joining(3)
    it.add(part(0, is_replay=True))
    assert not it.group.is_expected

    it.add(part(1))
    it.add(part(2, is_replay=True))

    assert it.group.is_expected


def test_a_new_group_is_empty():
    group = Group(3, b"x", 1.0)

    assert (group.contents, group.size, group.spills) == ([], 0, 0)
    assert not group.is_closed


# Joins of all


def all_of(*outcomes, optional=(), on_missing=OnMissing.DEAD_LETTER):
    step = join_of(*"abc"[: len(outcomes)], optional=optional)
    return combine(step, outcomes, on_missing)


def test_all_results_make_the_document():
    assert all_of(RESULT, RESULT, RESULT) == Verdict(RESULT, (0, 1, 2))


@pytest.mark.parametrize("other", [RESULT, FAILED, MISSING, TOMBSTONE])
@pytest.mark.parametrize("on_missing", list(OnMissing))
def test_a_needed_part_that_was_dropped_drops_the_record(other, on_missing):
    assert all_of(other, DROPPED, on_missing=on_missing) == Verdict(DROPPED)


@pytest.mark.parametrize("on_missing", list(OnMissing))
def test_a_needed_part_that_failed_fails_the_record(on_missing):
    verdict = all_of(RESULT, FAILED, on_missing=on_missing)

    assert verdict == Verdict(FAILED, is_partial=True, why="b failed")


@pytest.mark.parametrize(
    ("on_missing", "verdict"),
    [
        (OnMissing.DROP, Verdict(DROPPED)),
        (OnMissing.DEAD_LETTER, Verdict(FAILED, (), True, "b did not come in time")),
        (OnMissing.PROCEED, Verdict(FAILED, (), True, "b did not come in time")),
    ],
)
def test_a_needed_part_that_did_not_come_in_time_follows_on_missing(on_missing, verdict):
    assert all_of(RESULT, MISSING, on_missing=on_missing) == verdict


@pytest.mark.parametrize("lacking", [FAILED, MISSING])
@pytest.mark.parametrize(
    ("on_missing", "outcome", "inlets"),
    [
        (OnMissing.DROP, DROPPED, ()),
        (OnMissing.DEAD_LETTER, FAILED, ()),
        (OnMissing.PROCEED, RESULT, (0,)),
    ],
)
def test_an_optional_part_that_is_lacking_follows_on_missing(lacking, on_missing, outcome, inlets):
    verdict = all_of(RESULT, lacking, optional="b", on_missing=on_missing)

    assert (verdict.outcome, verdict.inlets) == (outcome, inlets)
    assert verdict.is_partial == (outcome is not DROPPED)


def test_an_optional_part_that_was_dropped_may_be_absent():
    assert all_of(RESULT, DROPPED, RESULT, optional="b") == Verdict(RESULT, (0, 2))


def test_an_optional_part_without_a_document_adds_nothing():
    assert all_of(RESULT, TOMBSTONE, optional="b") == Verdict(RESULT, (0,))


@pytest.mark.parametrize("special", [TOMBSTONE, EMPTY])
def test_a_needed_part_without_a_document_makes_a_record_without_one(special):
    assert all_of(RESULT, special, RESULT, optional="c") == Verdict(special, (1,))


def test_all_that_is_lacking_is_named():
    assert all_of(FAILED, MISSING, RESULT).why == "a failed; b did not come in time"


# Joins of the first


def first_of(*outcomes, on_missing=OnMissing.DEAD_LETTER):
    return combine(join_of(*"abc"[: len(outcomes)], mode=JoinMode.FIRST), outcomes, on_missing)


@pytest.mark.parametrize("has_value", [RESULT, TOMBSTONE, EMPTY])
@pytest.mark.parametrize("before", [DROPPED, FAILED])
def test_the_first_listed_with_a_result_is_taken(before, has_value):
    assert first_of(before, has_value, RESULT) == Verdict(has_value, (1,))


def test_nothing_but_dropped_is_dropped():
    assert first_of(DROPPED, DROPPED) == Verdict(DROPPED)


@pytest.mark.parametrize("on_missing", list(OnMissing))
def test_no_result_and_a_failure_fails_whatever_is_said_of_missing_parts(on_missing):
    verdict = first_of(DROPPED, FAILED, on_missing=on_missing)

    assert verdict == Verdict(FAILED, (), True, "b failed")


@pytest.mark.parametrize(
    ("on_missing", "verdict"),
    [
        (OnMissing.PROCEED, Verdict(RESULT, (1,))),
        (OnMissing.DROP, Verdict(DROPPED)),
        (OnMissing.DEAD_LETTER, Verdict(FAILED, (), True, "a did not come in time")),
    ],
)
def test_a_later_one_is_taken_before_one_that_is_late_only_where_that_is_asked_for(
    on_missing, verdict
):
    assert first_of(MISSING, RESULT, on_missing=on_missing) == verdict


def test_nothing_at_all_in_time_fails_even_if_the_step_would_go_on():
    assert first_of(MISSING, DROPPED, on_missing=OnMissing.PROCEED).outcome is FAILED


def test_an_outcome_of_every_kind_leads_to_a_verdict():
    for mode, on_missing in product(JoinMode, OnMissing):
        for outcomes in product(Outcome, repeat=2):
            for optional in ("", "b"):
                step = join_of("a", "b", optional=optional, mode=mode)

                verdict = combine(step, outcomes, on_missing)

                assert verdict.outcome is not MISSING
                assert verdict.is_partial == bool(verdict.why)
                assert all(outcomes[n] not in (FAILED, MISSING, DROPPED) for n in verdict.inlets)


# Gathers


def test_children_that_all_ended_well_make_the_list():
    assert gathered(gather_of(), {0: RESULT, 1: DROPPED, 2: TOMBSTONE}, 3) == Gathered(RESULT)


def test_a_failed_child_fails_the_parent_or_leaves_a_hole():
    children = {0: RESULT, 1: FAILED}
    hole = gather_of(OnFailed.HOLE)

    assert gathered(gather_of(), children, 2) == Gathered(FAILED, True, "failed children: 1 of 2")
    assert gathered(hole, children, 2) == Gathered(RESULT, True, "failed children: 1 of 2")


@pytest.mark.parametrize("on_failed", list(OnFailed))
@pytest.mark.parametrize(
    ("on_missing", "outcome"),
    [(OnMissing.DROP, DROPPED), (OnMissing.DEAD_LETTER, FAILED), (OnMissing.PROCEED, RESULT)],
)
def test_a_child_that_did_not_come_follows_on_missing(on_failed, on_missing, outcome):
    verdict = gathered(gather_of(on_failed, on_missing), {0: RESULT}, 2)

    assert verdict.outcome is outcome
    assert verdict.is_partial == (outcome is not DROPPED)


def test_a_child_of_which_a_part_did_not_come_is_missing():
    verdict = gathered(gather_of(on_missing=OnMissing.DROP), {0: RESULT, 1: MISSING}, 2)

    assert verdict == Gathered(DROPPED)


def test_of_many_failed_children_the_first_are_named():
    why = gathered(gather_of(), dict.fromkeys(range(12), FAILED), 13).why

    assert why == (
        "failed children: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more of 13;"
        " children not in time: 12 of 13"
    )


# What ended early


def ended(count=None, *parts):
    it = Joining()
    it.add(*parts, count=count)
    it.table.end_early(it.group)
    return it


def test_an_id_that_ended_early_is_not_complete_before_its_marker_is_there():
    it = ended(None, part(0))
    assert it.table.open_at(0) == 0

    assert not it.add(part(1))

    it.table.remember(it.group, [part(0)], None)
    assert it.table.is_complete(it.group)
    assert it.group.contents == [""]


def test_a_marker_says_how_many_children_there_are_where_nothing_else_does():
    it = Joining(1)
    it.table.remember(it.group, [part(0, index=1)], 3)

    assert it.group.count == 3
    assert not it.add(part(0, index=0), count=3)
    assert it.add(part(0, index=2), count=3)


def test_a_marker_without_children_takes_nothing_from_what_late_ones_say():
    it = Joining(1)
    it.add(part(0, index=0), count=2)

    it.table.remember(it.group, [], None)

    assert it.add(part(0, index=1), count=2)


def test_what_had_come_may_not_come_again_unless_the_id_begins_again():
    it = ended(None, part(0))
    with pytest.raises(StrayPartError, match="twice"):
        it.add(part(0))
    it.table.remember(it.group, [part(0)], None)

    it.table.reopen(it.group)

    assert it.table.open_at(0) == 1
    assert [it.add(part(0)), it.add(part(1))] == [False, True]


def test_late_parts_stay_where_an_id_begins_again():
    it = ended(2, part(0, index=0))
    it.table.remember(it.group, [part(0, index=0)], 2)
    it.add(part(1, index=0), count=2)

    it.table.reopen(it.group)

    assert it.group.count == 2
    assert it.group.contents == [""]
