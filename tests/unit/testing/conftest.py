"""A little cluster, and clients of it that do what a test says."""

import asyncio

import pytest

from headrace.core.records import Commit, TopicPartition
from headrace.ports import GroupToken, Transaction
from headrace.testing import (
    Hazards,
    SimulatedBroker,
    SimulatedGroup,
    SimulatedProcess,
    SimulatedSink,
    SimulatedSource,
)

NO_MEMBER = GroupToken(None, -1, "")


class Listener:
    """Starts every partition at its committed offset and remembers what it was told."""

    def __init__(self, source):
        self.source = source
        self.history = []
        self.token = None
        self.delay_s = 0.0

    async def assigned(self, assignment):
        self.token = assignment.token
        self.history.append(("assigned", sorted(p.partition for p in assignment.added)))
        return dict.fromkeys(assignment.added, 0)

    async def revoked(self, _epoch, partitions):
        self.history.append(("revoked", sorted(p.partition for p in partitions)))
        await asyncio.sleep(self.delay_s)
        self.history.append(("let go", asyncio.get_running_loop().time()))


class Cluster:
    """Topics `in` and `out` of two partitions each, one group, no faults unless planned."""

    def __init__(self):
        self.hazards = Hazards.none()
        self.broker = SimulatedBroker({"in": 2, "out": 2}, self.hazards)
        self.no_member = NO_MEMBER

    def process(self, slot):
        return SimulatedProcess(slot)

    async def member(self, process, **kwargs):
        source = SimulatedSource(self.broker, process, "group", ["in"], **kwargs)
        listener = Listener(source)
        await source.start(listener)
        await asyncio.sleep(0.1)
        return listener

    async def sink(self, process):
        """Open a sink that may commit without a member to commit for."""
        sink = SimulatedSink(self.broker, process, "group")
        sink.is_careless = True
        await sink.open()
        return sink

    def view(self, process=None):
        return SimulatedGroup(self.broker, process or SimulatedProcess("view"), "group")

    @staticmethod
    def transaction(*values, token=NO_MEMBER, **commits):
        """Make a transaction of values for partition 0 of `out` and commits like `p0=3`."""
        outgoing = [("out", value.encode(), None, 0, 0, None) for value in values]
        offsets = [
            Commit(TopicPartition("in", int(name[1:])), offset, "")
            for name, offset in commits.items()
        ]
        return Transaction(outgoing, offsets, token)

    @property
    def outcome(self):
        """Committed values of `out`, and committed offset of the first partition of `in`."""
        values = [record.value.decode() for record in self.broker.records("out")]
        return values, self.broker.committed("group", TopicPartition("in", 0)).offset


@pytest.fixture
def cluster():
    return Cluster()
