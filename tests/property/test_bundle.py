"""Random groups over several ledgers, committed in random portions with maps that hold little."""

import itertools
import random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import offset_map
from headrace.core.bundle import Bundle
from headrace.core.ledger import Ledger, finish, leader_of, meet
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Ordering

KEYS = (b"a", b"b", None)


class Meeting:
    """Records of one topic with lanes meet some of two without; `durable` is what Kafka holds."""

    def __init__(self, rng: random.Random, ordering: Ordering) -> None:
        self.rng = rng
        self.ordering = ordering
        lanes = {"carrier": ordering, "other": Ordering.NONE, "retry": Ordering.NONE}
        self.ledgers = [
            Ledger(TopicPartition(topic, 0), Committed(None), 0, Runs(), each)
            for topic, each in lanes.items()
        ]
        self.taken: list[Record] = []
        self.waiting: list[Record] = []
        self.groups: dict[int, list[Record]] = {}
        self.durable: list[Record] = []
        self.nonces = itertools.count(1)

    def take(self) -> None:
        ledger = self.rng.choice(self.ledgers)
        at = ledger.position + self.rng.choice([0, 0, 0, 1])  # gaps
        batch = [
            Record(ledger.partition, at + n, self.rng.choice(KEYS), b"v")
            for n in range(self.rng.randint(1, 6))
        ]
        self.waiting += ledger.take(batch)
        self.taken += batch

    def meet(self) -> None:
        """Let a carrier meet some others, at once or one after the other."""
        if not self.waiting:
            return
        self.rng.shuffle(self.waiting)
        unlaned = [each for each in self.waiting if not each.has_lane]
        members = unlaned[: self.rng.randint(0, 3)]
        laned = [each for each in self.waiting if each not in members and each not in unlaned]
        members += laned[: 1 if self.rng.random() < 0.8 or not members else 0]
        if not members:
            return
        self.rng.shuffle(members)
        if self.rng.random() < 0.5:
            meet(members)
        for one, two in itertools.pairwise(members):
            meet([one, two])
        self.waiting = [each for each in self.waiting if each not in members]
        assert {id(leader_of(each)) for each in members} == {id(meet(members))}
        self.groups[id(meet(members))] = members

    def finish(self) -> None:
        open_ = [key for key, group in self.groups.items() if leader_of(group[0]).output is None]
        if open_:
            finish([leader_of(self.groups[self.rng.choice(open_)][0])], [()])

    def commit(self, most: int) -> int:
        drafts = Bundle(self.ledgers, "w0", self.nonces).draft(most)
        end = self.rng.random()
        if self.rng.random() < 0.3:
            self.finish()
        gone = [record for _, draft in drafts for record in draft.records]
        for ledger, draft in drafts:
            assert len(draft.committed.metadata) <= offset_map.LIMIT
            if end < 0.1:
                ledger.undo()
            elif end < 0.2:
                assert ledger.can_resolve(draft.committed)
                assert ledger.resolve(draft.committed)
            else:
                ledger.settle()
        if end < 0.1:
            return 0
        self.durable += gone
        self.check()
        return len(gone)

    def check(self) -> None:
        durable = {id(record) for record in self.durable}
        assert len(durable) == len(self.durable)
        for group in self.groups.values():
            assert len({id(record) in durable for record in group}) == 1, "a group was cut"
        for ledger in self.ledgers:
            mine = [each for each in self.taken if each.ledger is ledger]
            assert ledger.in_flight == sum(id(each) not in durable for each in mine)
            done = ledger._done
            for each in mine:
                assert (each.offset < ledger.base or each.offset in done) == (id(each) in durable)

    def check_lanes(self) -> None:
        """Whatever leaves later comes later in its lane."""
        lanes: dict[bytes | None, int] = {}
        for record in self.durable:
            if record.ledger is not self.ledgers[0] or not record.has_lane:
                continue
            lane = record.key if self.ordering is Ordering.KEY else b""
            assert record.offset > lanes.get(lane, -1)
            lanes[lane] = record.offset

    def end(self) -> None:
        """Let everything finish; what is left alone leads itself."""
        while self.waiting:
            self.meet()
        while any(leader_of(group[0]).output is None for group in self.groups.values()):
            self.finish()
        for _ in range(20):
            self.commit(10_000)
        assert len(self.durable) == len(self.taken)
        assert all(not ledger.released and not ledger.in_flight for ledger in self.ledgers)
        assert all(ledger.blocked == 0 for ledger in self.ledgers)
        assert all(ledger.base == ledger.position for ledger in self.ledgers)


@given(
    seed=st.integers(0, 2**32),
    ordering=st.sampled_from(list(Ordering)),
    limit=st.sampled_from([28, 32, 40, 4095]),
    steps=st.integers(1, 60),
)
@settings(max_examples=150, deadline=None)
def test_groups_are_never_cut_lanes_keep_their_order_and_everything_becomes_durable(
    seed: int, ordering: Ordering, limit: int, steps: int
) -> None:
    rng = random.Random(seed)
    it = Meeting(rng, ordering)
    acts = [it.take, it.meet, it.finish, it.finish, lambda: it.commit(rng.randint(1, 12))]
    with patch.object(offset_map, "LIMIT", limit):
        for _ in range(steps):
            rng.choice(acts)()
        it.end()

    it.check_lanes()
