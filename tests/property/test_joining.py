"""Tables of parts against a naive model: any order, strays, wrong counts, replays, ends."""

from dataclasses import dataclass, field
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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

IDS = [b"in-0-1", b"in-0-2"]
COUNTS = st.sampled_from([None, 1, 2, 3])
TOLD = [Outcome.RESULT, Outcome.DROPPED, Outcome.FAILED, Outcome.TOMBSTONE, Outcome.EMPTY]


@dataclass
class Known:
    """A group as a list of what was accepted: (inlet, index, count, outcome, content)."""

    group: Group[int]
    since: float
    accepted: list[tuple[int, int | None, int | None, Outcome, int, bool]] = field(
        default_factory=list
    )
    replaced: list[int] = field(default_factory=list)

    told: set[tuple[int, int | None]] = field(default_factory=set)
    told_count: int | None = None
    is_marked: bool = False
    is_closed: bool = False

    @property
    def counts(self) -> set[int | None]:
        counts = {count if index is not None else None for _, index, count, *_ in self.accepted}
        return counts | ({self.told_count} if self.told else set())

    def is_welcome(self, index: int | None, count: int | None) -> bool:
        if index is not None and (count is None or not 0 <= index < count):
            return False
        said = None if index is None else count
        return self.counts <= {said}


class PartsInAnyOrder(RuleBasedStateMachine):
    @initialize(inlets=st.integers(1, 3))
    def begin(self, inlets: int) -> None:
        self.inlets = inlets
        self.table: Table[int] = Table(inlets)
        self.known: dict[tuple[int, bytes], Known] = {}
        self.closed: list[Group[int]] = []
        self.now = 0.0
        self.content = 0

    @rule(
        data=st.data(),
        place=st.integers(0, 1),
        id_=st.sampled_from(IDS),
        index=st.sampled_from([None, -1, 0, 1, 2, 3]),
        count=COUNTS,
        outcome=st.sampled_from(TOLD),
        is_replay=st.booleans(),
    )
    def a_part_comes(
        self,
        data: st.DataObject,
        place: int,
        id_: bytes,
        index: int | None,
        count: int | None,
        outcome: Outcome,
        is_replay: bool,
    ) -> None:
        inlet = data.draw(st.integers(0, self.inlets - 1))
        self.now += 1
        self.content += 1
        group = self.table.open(place, id_, self.now)
        known = self.known.setdefault((place, id_), Known(group, self.now))
        assert group is known.group
        before = [each for each in known.accepted if each[:2] == (inlet, index)]
        is_again = bool(before) and is_replay and before[0][3] is Outcome.FAILED
        is_told = (inlet, index) in known.told
        is_placed = known.is_welcome(index, count) and not is_told and (not before or is_again)

        try:
            self.table.add(group, Part(inlet, index, outcome, self.content, 1, is_replay), count)
        except StrayPartError:
            assert not is_placed
            return

        assert is_placed
        if is_again:
            known.accepted.remove(before[0])
            known.replaced.append(before[0][4])
        known.accepted.append((inlet, index, count, outcome, self.content, is_replay))

    @precondition(lambda self: any(not each.is_closed for each in self.known.values()))
    @rule(data=st.data())
    def an_id_ends_early(self, data: st.DataObject) -> None:
        """What had come is gone then, and what still comes is late."""
        keys = [key for key, each in self.known.items() if not each.is_closed]
        known = self.known[data.draw(st.sampled_from(sorted(keys)))]
        [known.told_count] = known.counts or {None}
        known.told = {(inlet, index) for inlet, index, *_ in known.accepted}
        known.accepted, known.replaced, known.is_closed = [], [], True

        self.table.end_early(known.group)

    @precondition(lambda self: any(each.is_closed for each in self.known.values()))
    @rule(data=st.data())
    def its_marker_is_read(self, data: st.DataObject) -> None:
        keys = [key for key, each in self.known.items() if each.is_closed]
        known = self.known[data.draw(st.sampled_from(sorted(keys)))]
        known.is_marked = True
        parts = [Part(inlet, index, Outcome.RESULT, 0) for inlet, index in known.told]

        self.table.remember(known.group, parts, known.told_count)

    @precondition(lambda self: any(each.is_marked for each in self.known.values()))
    @rule(data=st.data())
    def it_begins_again(self, data: st.DataObject) -> None:
        keys = [key for key, each in self.known.items() if each.is_marked]
        known = self.known[data.draw(st.sampled_from(sorted(keys)))]
        known.told, known.is_closed, known.is_marked = set(), False, False

        self.table.reopen(known.group)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def a_group_ends(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.known)))
        group = self.known.pop(key).group

        self.table.close(group)

        self.closed.append(group)

    @invariant()
    def groups_hold_what_was_accepted(self) -> None:
        if not hasattr(self, "known"):
            return
        assert {id(each) for each in self.table} == {id(k.group) for k in self.known.values()}
        assert len(self.table) == len(self.known)
        for place in (0, 1):
            still_open = [k for at, k in self.known.items() if at[0] == place and not k.is_closed]
            assert self.table.open_at(place) == len(still_open)
        for known in self.known.values():
            group, accepted = known.group, known.accepted
            assert group.since == known.since
            assert sorted(group.contents) == sorted([e[4] for e in accepted] + known.replaced)
            assert group.size == len(accepted)
            assert all(self.table.holds(each.group) for each in self.known.values())
            assert [part.content for part in group.spent] == known.replaced

    @invariant()
    def a_group_is_complete_when_nothing_is_lacking(self) -> None:
        if not hasattr(self, "known"):
            return
        for known in self.known.values():
            brought = {each[:2] for each in known.accepted} | known.told
            [count] = known.counts or {None}
            wanted: list[int | None] = [None] if count is None else list(range(count))
            lacking = [
                inlet
                for inlet in range(self.inlets)
                if any((inlet, index) not in brought for index in wanted)
            ]
            is_over = not lacking and (known.is_marked or not known.is_closed)
            assert self.table.is_complete(known.group) == is_over
            if not known.is_closed:
                numbers = range(self.inlets)
                assert [n for n in numbers if self.table.lacks(known.group, n)] == lacking

    @invariant()
    def what_ended_is_not_held(self) -> None:
        assert not any(self.table.holds(group) for group in getattr(self, "closed", []))


PartsInAnyOrder.TestCase.settings = settings(max_examples=50, stateful_step_count=25)
TestPartsInAnyOrder = PartsInAnyOrder.TestCase


@given(st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_last_part_completes_a_group_in_whatever_order_they_come(inlets, count, rng):
    parts = [Part(n, i, Outcome.RESULT, (n, i)) for n in range(inlets) for i in range(count)]
    rng.shuffle(parts)
    table = Table(inlets)
    group = table.open(0, b"x", 0.0)
    seen = []

    for part in parts:
        table.add(group, part, count)
        seen.append(table.is_complete(group))

    assert seen == [False] * (len(parts) - 1) + [True]


# What comes of them

OUTCOMES = st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=3)
COMES = {Outcome.RESULT, Outcome.TOMBSTONE, Outcome.EMPTY}


@given(OUTCOMES, st.sets(st.integers(0, 2)), st.sampled_from(list(OnMissing)), st.data())
@settings(max_examples=100)
def test_a_join_of_all_does_not_care_in_which_order_its_parents_are_listed(
    outcomes, optional, on_missing, data
):
    def told(order):
        inlets = tuple(Inlet(str(n), "t", is_optional=n in optional) for n in order)
        step = Step(name="j", inlets=inlets, join=Join())
        verdict = combine(step, [outcomes[n] for n in order], on_missing)
        return verdict.outcome, verdict.is_partial, {order[n] for n in verdict.inlets}

    numbers = range(len(outcomes))
    order = data.draw(st.sampled_from(list(permutations(numbers))))
    said, meant = told(order), told(tuple(numbers))

    assert said[:2] == meant[:2]
    if said[0] is Outcome.RESULT:
        assert said[2] == meant[2]


@given(OUTCOMES, st.sampled_from(list(OnMissing)))
@settings(max_examples=100)
def test_a_join_of_the_first_takes_the_first_of_those_that_told(outcomes, on_missing):
    inlets = tuple(Inlet(str(n), "t") for n in range(len(outcomes)))
    step = Step(name="j", inlets=inlets, join=Join(JoinMode.FIRST))

    verdict = combine(step, outcomes, on_missing)

    came = [n for n, outcome in enumerate(outcomes) if outcome in COMES]
    is_known = came and (
        on_missing is OnMissing.PROCEED or Outcome.MISSING not in outcomes[: came[0]]
    )
    if is_known:
        assert verdict == Verdict(outcomes[came[0]], (came[0],))
    elif Outcome.FAILED in outcomes or (
        Outcome.MISSING in outcomes and on_missing is not OnMissing.DROP
    ):
        assert verdict.outcome is Outcome.FAILED
    else:
        assert verdict == Verdict(Outcome.DROPPED)


@given(
    st.dictionaries(st.integers(0, 4), st.sampled_from(list(Outcome))),
    st.integers(5, 6),
    st.sampled_from(list(OnFailed)),
    st.sampled_from(list(OnMissing)),
)
@settings(max_examples=100)
def test_a_parent_goes_on_exactly_if_what_its_children_lack_may_be_lacking(
    children, count, on_failed, on_missing
):
    step = GatherStep(
        name="g",
        inlets=(Inlet("a", "t"),),
        split="s",
        into="x",
        on_failed=on_failed,
        waiting=Waiting(1.0, on_missing),
    )
    told = [children.get(index, Outcome.MISSING) for index in range(count)]

    verdict = gathered(step, children, count)

    if Outcome.MISSING in told and on_missing is OnMissing.DROP:
        assert verdict == Gathered(Outcome.DROPPED)
        return
    may_fail, may_miss = on_failed is OnFailed.HOLE, on_missing is OnMissing.PROCEED
    goes_on = (Outcome.FAILED not in told or may_fail) and (Outcome.MISSING not in told or may_miss)
    assert verdict.outcome is (Outcome.RESULT if goes_on else Outcome.FAILED)
    assert verdict.is_partial == bool({Outcome.FAILED, Outcome.MISSING} & set(told))
