"""The coordinator of one simulated consumer group: eager rebalances and committed offsets."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.core.records import Committed, TopicPartition

NOTHING_COMMITTED = Committed(None)
NO_MEMBER = -1
"""Generation in the answer to a join that came to nothing: ask again under a new member id."""


class Member:
    """One member as its coordinator knows it.

    Attributes:
        member_id: New at every join of a dynamic member.
        slot: The slot that its client id carries.
        instance: Static identity, or empty.
        topics: What it subscribed to.
        told: Done when the member has to join again.
        joined: Its answer to a join; None while it did not ask for one.
        partitions: What the current generation gave it.
    """

    __slots__ = ("instance", "joined", "member_id", "partitions", "slot", "told", "topics")

    def __init__(self, member_id: str, slot: str, instance: str, topics: Sequence[str]) -> None:
        self.member_id = member_id
        self.slot = slot
        self.instance = instance
        self.topics = topics
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.joined: asyncio.Future[int] | None = None
        self.partitions: list[TopicPartition] = []

    def tell(self) -> None:
        """Make the member join again."""
        if not self.told.done():
            self.told.set_result(None)


class Group:
    """Members, generations and offsets of a classic group with the `range` assignor.

    A rebalance waits until every member has joined again, at most `rebalance_timeout_s`; who
    has not by then is out. The generation moves when the wait ends, so a member may commit
    until then. Whether a member owns the partition it commits is not checked.
    """

    def __init__(
        self, partition_counts: Callable[[], Mapping[str, int]], rebalance_timeout_s: float
    ) -> None:
        self.generation = 0
        self.offsets: dict[TopicPartition, Committed] = {}
        self.pending: dict[TopicPartition, dict[Any, None]] = {}
        self.rebalances = 0
        self._partition_counts = partition_counts
        self._rebalance_timeout_s = rebalance_timeout_s
        self._members: dict[str, Member] = {}
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def slots(self) -> frozenset[str]:
        """Slots of the members that have not left or been thrown out."""
        return frozenset(member.slot for member in self._members.values())

    def join(self, member: Member) -> "asyncio.Future[int]":
        """Ask for a share; the answer is the generation, once the rebalance is through."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        former = self._same_instance(member)
        if former is not None:
            del self._members[former.member_id]
            if self._deadline is None:
                self._members[member.member_id] = member
                member.partitions = former.partitions
                answer.set_result(self.generation)
                return answer
        self._members[member.member_id] = member
        member.joined = answer
        self.rebalance()
        self._finish_if_all_joined()
        return answer

    def knows(self, member: Member) -> bool:
        """Whether a member was neither replaced nor thrown out."""
        return self._members.get(member.member_id) is member

    def leave(self, member: Member) -> None:
        """Take a member out, because it leaves or because its session is over."""
        if self._members.get(member.member_id) is member:
            del self._members[member.member_id]
            if member.joined is not None and not member.joined.done():
                member.joined.set_result(NO_MEMBER)
            self.rebalance()
            self._finish_if_all_joined()

    def rebalance(self) -> None:
        """Make every member join again."""
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._rebalance_timeout_s, self._finish)
        for member in self._members.values():
            if member.joined is None:
                member.tell()

    def refusal(self, generation: int, member_id: str) -> str | None:
        """Why a transactional commit of offsets is refused; None if it is not.

        Somebody who is no member is not refused: so do classic groups.
        """
        if generation < 0 and not member_id:
            return None
        if member_id not in self._members:
            return "UNKNOWN_MEMBER_ID"
        return None if generation == self.generation else "ILLEGAL_GENERATION"

    def committed(self, partition: TopicPartition, *, stable: bool) -> Committed | None:
        """Return what is committed; None if it must be stable and is not."""
        if stable and self.pending.get(partition):
            return None
        return self.offsets.get(partition, NOTHING_COMMITTED)

    def _same_instance(self, member: Member) -> Member | None:
        if not member.instance:
            return None
        return next((m for m in self._members.values() if m.instance == member.instance), None)

    def _finish_if_all_joined(self) -> None:
        if all(member.joined is not None for member in self._members.values()):
            self._finish()

    def _finish(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._members = {i: m for i, m in self._members.items() if m.joined is not None}
        self.generation += 1
        self.rebalances += 1
        shares = assign_range(self._members.values(), self._partition_counts())
        for member in self._members.values():
            answer, member.joined = member.joined, None
            member.told = asyncio.get_running_loop().create_future()
            member.partitions = shares[member.member_id]
            if answer is not None and not answer.done():
                answer.set_result(self.generation)


def assign_range(
    members: "Sequence[Member] | Any", partition_counts: Mapping[str, int]
) -> dict[str, list[TopicPartition]]:
    """Share out partitions as Kafka's `range`: topic by topic, in runs, by member id."""
    shares: dict[str, list[TopicPartition]] = {member.member_id: [] for member in members}
    for topic, count in partition_counts.items():
        readers = sorted(member.member_id for member in members if topic in member.topics)
        first = 0
        for number, reader in enumerate(readers):
            share = count // len(readers) + (number < count % len(readers))
            shares[reader] += [TopicPartition(topic, first + i) for i in range(share)]
            first += share
    return shares
