"""Parts that runtime tests share: a pipeline of one step, its records, and a scripted Kafka."""

import asyncio
import random
from collections import deque
from dataclasses import replace

from headrace.core import offset_map
from headrace.core.joining import Outcome
from headrace.core.ledger import Ledger, finish
from headrace.core.models import BatchPolicy, Input, Model, OutputField
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.retry import RetryPolicy
from headrace.core.runs import Runs
from headrace.core.steps import Inlet, ModelStep, Ordering, Sink
from headrace.core.topology import Source, Stage
from headrace.errors import FencedError, TransactionAbortedError, TransactionIndefiniteError
from headrace.formats.json_objects import decode, encode
from headrace.ports import Assignment, Bounds, GroupToken
from headrace.runtime.action_places import ModelPlace
from headrace.runtime.ends import Ends
from headrace.runtime.executor import Surroundings, Work
from headrace.runtime.items import from_source
from headrace.runtime.outputs import Outputs
from headrace.runtime.places import Format, Site
from headrace.runtime.stats import StageStats
from headrace.runtime.topic_facts import TopicFacts
from headrace.testing import ScriptedModel

P0, P1 = TopicPartition("in", 0), TopicPartition("in", 1)
MEMBER = GroupToken("token", 1, "member")
NO_MEMBER = GroupToken("token", -1, "")
NOTHING = Committed(None)
DEAD = "shouts.dead-letters"
RETRY = "shouts.shout.retry"
TOPICS = ("in", "out", DEAD, RETRY)
SINKS = (Sink("out"),)
FACTS = TopicFacts(dict.fromkeys(TOPICS, 2), {})
RESULT = (("out", b"result", None, -1, 0, None),)

STEP = ModelStep(
    name="shout",
    model=Model("caps", ("grpc://x",), "upper"),
    inputs=(Input("text", "text"),),
    outputs=(OutputField("shouted", "upper"),),
    ordering=Ordering.KEY,
    batch=BatchPolicy(8, 0.005),
    retry=RetryPolicy(3, 1.0, 4.0),
)


def stage_of(step=STEP, sinks=SINKS):
    step = replace(step, inlets=(Inlet("in", "in"),), sinks=sinks)
    return Stage("shouts", "", "shout", (step,), (Source("in"),), "in", "f00d")


def ledger_of(partition=P0, ordering=Ordering.NONE, committed=NOTHING):
    return Ledger(partition, committed, committed.offset or 0, Runs(), ordering)


def records_of(values, partition=P0, start=0, keys=None):
    """Make records of values; a text becomes a document with that text."""
    keys = keys or [None] * len(values)
    return [
        Record(partition, start + i, key, encode({"text": v}) if isinstance(v, str) else v)
        for i, (v, key) in enumerate(zip(values, keys, strict=True))
    ]


def taken(values, ordering=Ordering.NONE, keys=None):
    """Make records of values and have a new ledger take them."""
    return ledger_of(ordering=ordering).take(records_of(values, keys=keys))


def released(ledger, count, size=2):
    """Have a ledger take records and release a result for each; return them."""
    values = [b"v" * size] * count
    records = ledger.take(records_of(values, ledger.partition, ledger.position))
    for record in records:
        key = b"%d" % record.offset
        finish([record], [(("out", b"result", key, -1, 0, None),)])
    return records


def work_of(records, **said):
    """Return work for a model on records that a ledger took."""
    return Work(items_of(records), **said)


def items_of(records):
    """Return documents of records that ledgers took."""
    return [item for record in records for item in from_source([record], None)]


class Doing:
    """An executor on a scripted model, and what it is made of."""

    def __init__(self, step=STEP, model=None, sinks=SINKS, facts=FACTS):
        self.step = step
        self.model = model or ScriptedModel()
        self.stats = StageStats()
        self.now_ms = 1_000_000
        clock = lambda: self.now_ms  # noqa: E731  (a clock that the test sets)
        around = Surroundings(decode, clock, random.Random(7), self.stats)
        stage = stage_of(step, sinks)
        outputs = Outputs(stage, stage.steps[0], facts, encode)
        site = Site(outputs, Format(decode, encode), around, Ends(keeps_order=False))
        self.place = ModelPlace(stage.steps[0], site, [self.model])
        self.executor = self.place.executors[0]
        self.answers = 0

    async def run(self, work):
        """Run work; no other work waits for its slot."""

        def answered():
            self.answers += 1
            return False

        return await self.executor.run(work, answered)

    async def to_the_end(self, work):
        """Run work and all that follows from it, without waiting."""
        todo, calls = deque([work]), 0
        while todo:
            work = todo.popleft()
            others = [item for item in work.items if item.outcome is not Outcome.RESULT]
            self.place.enter(others)
            work.items = [item for item in work.items if item.outcome is Outcome.RESULT]
            outcome = await self.run(work)
            todo.extend(work for _, work in outcome.follow)
            calls += 1
        return calls


def with_step(**changes):
    return replace(STEP, **changes)


def headers_of(row):
    return dict(row[-1])


class Kafka:
    """What a group and a producer ask of Kafka, answered as a test has written down.

    `ends` holds how the next commits end: ok, abort, lost, applied, fenced. `calls` is everything
    that was asked, in order.
    """

    def __init__(self):
        self.calls = []
        self.stored = {}
        self.unstable = set()
        self.bounds_of = {}
        self.starts = {}
        self.alive = frozenset()
        self.failures = {}
        self.ends = deque()
        self.transactions = []
        self.commit_s = 0.0

    def _ask(self, call):
        self.calls.append(call)
        if self.failures.get(call):
            raise self.failures[call].pop(0)

    # The group

    async def committed(self, partitions, *, stable=True):
        self._ask("committed")
        return {
            p: None if stable and p in self.unstable else self.stored.get(p, NOTHING)
            for p in partitions
        }

    async def bounds(self, partitions):
        self._ask("bounds")
        return {p: self.bounds_of.get(p, Bounds(0, 1_000)) for p in partitions}

    async def start_offsets(self, partitions):
        self._ask("start_offsets")
        return {p: self.starts[p] for p in partitions if p in self.starts}

    async def slots(self):
        self._ask("slots")
        return self.alive

    async def fence(self, slot):
        self._ask(f"fence {slot}")
        self.unstable.clear()

    # The producer

    async def open(self):
        self._ask("open")

    async def commit(self, transaction):
        self._ask("commit")
        end = self.ends.popleft() if self.ends else "ok"
        self.transactions.append((end, transaction))
        await asyncio.sleep(self.commit_s)
        if end in ("ok", "applied"):
            for commit in transaction.commits:
                self.stored[commit.partition] = Committed(commit.offset, commit.metadata)
        if end == "abort":
            raise TransactionAbortedError("refused")
        if end in ("lost", "applied"):
            raise TransactionIndefiniteError("no answer")
        if end == "fenced":
            raise FencedError("somebody else")

    async def close(self):
        self._ask("close")

    def written(self, *ends):
        """Return keys of what was sent in transactions that ended so, one list for each."""
        return [
            [int(row[2]) for row in transaction.outgoing]
            for end, transaction in self.transactions
            if end in ends
        ]


class Reader:
    """Remembers what it is told."""

    def __init__(self):
        self.started = []

    def start_at(self, epoch, partition, offset):
        self.started.append((epoch, partition, offset))


def assignment(epoch, *partitions, token=MEMBER):
    return Assignment(epoch, token, partitions)


def committed_by(slot, offset, finished=(), nonce=1):
    return Committed(offset, offset_map.encode(slot, nonce, offset, Runs(finished)))
