"""A stage without a broker: records go in, and what they leave behind comes out when committed."""

import asyncio
import itertools
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from headrace.core import wire
from headrace.core.bundle import Bundle
from headrace.core.ledger import Ledger
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import (
    FunctionStep,
    GatherStep,
    Inlet,
    Join,
    Outlet,
    Sink,
    SplitStep,
    Step,
    Waiting,
)
from headrace.formats.conditions import compile_condition
from headrace.formats.json_objects import decode, encode
from headrace.runtime.executor import Surroundings
from headrace.runtime.intake import Intake
from headrace.runtime.lanes import UNORDERED, lanes_of
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions, StageRun
from headrace.runtime.stats import StageStats
from headrace.runtime.topic_facts import TopicFacts
from headrace.testing import ScriptedFunction, ScriptedModel
from tests.unit import dags

DEAD = "p.dead-letters"
PARTITIONS = 4
OUT = (Sink("out"),)


@dataclass(frozen=True)
class Row:
    """A record that was written."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    timestamp: int
    headers: dict[str, bytes | None]

    @property
    def document(self):
        """The decoded value."""
        return None if self.value is None else json.loads(self.value)

    def says(self, name):
        """Return a header as text, None where it is missing."""
        content = self.headers.get(name)
        return None if content is None else content.decode()

    @property
    def id(self):
        """The record id."""
        return self.says(wire.ID)

    @property
    def outcome(self):
        """What it says became of the record."""
        return self.says(wire.OUTCOME)

    @property
    def error(self):
        """Class of the error in its headers."""
        return self.says(wire.ERROR_CLASS)

    @property
    def message(self):
        """Message of the error in its headers."""
        return self.says(wire.ERROR_MESSAGE)


class Running:
    """A stage at work on ledgers of its own; `commit` plays the committer."""

    def __init__(self, tasks, stage, models, functions, sizes):
        self.stage = stage
        self.stats = StageStats()
        self.models = {step.name: [ScriptedModel()] for step in stage.models} | (models or {})
        self.functions = {
            step.name: ScriptedFunction((functions or {}).get(step.name, same))
            for step in stage.functions
        }
        loop = asyncio.get_running_loop()
        now_ms = lambda: 1_000_000 + round(loop.time() * 1e3)  # noqa: E731
        self.now_ms = now_ms
        around = Surroundings(decode, now_ms, random.Random(7), self.stats)
        written = {row for step in stage.steps for row in (*step.sinks, *step.outlets)}
        topics = {stage.root, *stage.topics, DEAD, *(each.topic for each in written)}
        facts = TopicFacts(dict.fromkeys(topics, PARTITIONS), sizes or {})
        actions = Actions(self.models, self.functions)
        self.run = StageRun(
            stage, actions, facts, Format(decode, encode, compile_condition), around
        )
        self.run.start(tasks, lambda: None)
        self.intake = Intake(stage, self.run, now_ms, self.stats)
        self.lanes = lanes_of(stage)
        self.ledgers = {}
        self.nonces = itertools.count(1)
        self.commits = 0

    def place(self, step):
        """Return the place of a step."""
        return self.run.steps[step]

    def collector(self, step):
        """Return what collects the parts of a step."""
        return self.run.steps[step].collector

    def ledger(self, topic, partition=0):
        """Return the ledger of a partition, a new one at first."""
        at = TopicPartition(topic, partition)
        if at not in self.ledgers:
            lanes = self.lanes.get(topic, UNORDERED)
            self.ledgers[at] = Ledger(at, Committed(0), 0, Runs(), lanes.ordering, lanes.drives)
        return self.ledgers[at]

    # Records come

    def read(self, topic, *values, key=b"k", partition=0, headers=None, timestamp=1_000):
        """Take values of one partition, a document or bytes or None each, in one batch."""
        ledger = self.ledger(topic, partition)
        records = [
            Record(
                ledger.partition,
                ledger.position + number,
                key,
                value if value is None or isinstance(value, bytes) else encode(value),
                timestamp,
                headers,
            )
            for number, value in enumerate(values)
        ]
        self.intake.take(topic, ledger.take(records))
        return records

    def tell(self, topic, value=None, id_="in-0-0", outcome=None, **more):
        """Take a record that an earlier step of the pipeline wrote.

        More: `children` and `home` as in the headers, `replay`, `headers`, `key`, `partition`.
        """
        headers = [(wire.VERSION, b"1"), (wire.ID, id_.encode())]
        if outcome is not None:
            headers.append((wire.OUTCOME, outcome.encode()))
        for name, header in (("children", wire.CHILDREN), ("home", wire.HOME)):
            if name in more:
                headers.append((header, str(more.pop(name)).encode()))
        if more.pop("replay", False):
            headers.append((wire.REPLAY, b"1"))
        headers += more.pop("headers", ())
        return self.read(topic, value, headers=headers, **more)

    def take(self, row, **headers):
        """Take a record that was written, as it stands, or with other headers."""
        said = row.headers | headers
        return self.read(
            row.topic, row.value, key=row.key, partition=row.partition, headers=[*said.items()]
        )

    def send_back(self, letter, step):
        """Take a dead letter as a replay sends it."""
        kept = (
            *(wire.VERSION, wire.ID, wire.SOURCE, wire.PIPELINE),
            *(wire.MODELS, wire.CHILDREN, wire.HOME, wire.PARTIAL),
        )
        headers = [
            (name, content)
            for name, content in letter.headers.items()
            if name in kept or not name.startswith(wire.PREFIX)
        ]
        headers += [(wire.REPLAY, b"1"), (wire.ATTEMPT, b"1"), (wire.AT, b"%d" % self.now_ms())]
        topic = self.stage.retry_topics[step]
        return self.read(
            topic, letter.value, key=letter.key, partition=letter.partition, headers=headers
        )

    # Records go

    async def commit(self, after_s=0.05):
        """Let a moment pass, commit all that is released, and return what was written."""
        await asyncio.sleep(after_s)
        rows = []
        for number in sorted({at.partition for at in self.ledgers}):
            ledgers = [each for at, each in self.ledgers.items() if at.partition == number]
            drafts = Bundle(ledgers, "w0", self.nonces).draft(10_000)
            for ledger, draft in drafts:
                for record in draft.records:
                    rows += record.output
                ledger.settle()
        self.commits += 1
        return [Row(*row[:5], dict(row[5] or ())) for row in rows]

    @property
    def unfinished(self):
        """Topic to offsets that are not durable."""
        return {at.topic: each.in_flight for at, each in self.ledgers.items() if each.in_flight}

    @property
    def waiting(self):
        """Documents that wait, their bytes, and of both what is held, by the ledgers' books."""
        names = ("waiting", "waiting_bytes", "held", "held_bytes")
        return tuple(sum(getattr(x, name) for x in self.ledgers.values()) for name in names)


@asynccontextmanager
async def running(*steps, models=None, functions=None, sizes=None, root="in", sources=None):
    """Run steps as one stage that reads what their inlets name."""
    from dataclasses import replace

    stage = dags.stage("p", root, *steps, name="s")
    if sources is not None:
        stage = replace(stage, sources=sources)
    try:
        async with asyncio.TaskGroup() as tasks:
            it = Running(tasks, stage, models, functions, sizes)
            yield it
            it.run.stop()
            it.run.cancel()
            if it.run.failure.done():
                it.run.failure.result()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def derived(name, fields=None, **more):
    """Return the inlet from a step of another stage."""
    step, _, label = name.partition(".")
    return Inlet(name, f"p.{name}", step, label, fields, **more)


IN, A = Inlet("in", "in"), derived("a")


def same(document):
    """Stand for a function that changes nothing."""
    return document


def by_topic(rows):
    """Return the documents that were written, by topic, without the dead letters."""
    found = {}
    for row in rows:
        if row.topic != DEAD:
            found.setdefault(row.topic, []).append(row.outcome or row.document)
    return found


def letters(rows):
    """Return the dead letters among what was written."""
    return [row for row in rows if row.topic == DEAD]


B = derived("b", ("b",))
OPTIONAL = derived("b", ("b",), is_optional=True)
C = derived("c")
JOIN_RETRY, GATHER_RETRY = "p.j.retry", "p.g.retry"
JOIN_TOLD = (Outlet("p.j", tells=True),)
GATHER_TOLD = (Outlet("p.g", tells=True, kept=("id",)),)


def join_step(*inlets, timeout_s=None, on_missing=None, sinks=OUT, **how):
    """Return a step that joins and does nothing else; `how` is of the join or of the step."""
    waiting = Waiting(timeout_s, late_after_s=how.pop("late_after_s", 1_000.0))
    if on_missing is not None:
        waiting = Waiting(timeout_s, on_missing, waiting.late_after_s)
    of_join = {name: how.pop(name) for name in ("mode", "carrier", "prefer") if name in how}
    name = how.pop("name", "j")
    join = Join(**of_join, waiting=waiting)
    others = (number for number in range(len(inlets)) if number != join.carrier)
    join = replace(join, order=tuple(sorted(others, key=lambda number: number == join.prefer)))
    return Step(name=name, inlets=inlets, join=join, sinks=sinks, **how)


def gather_step(*inlets, **more):
    """Return a step that gathers the children of the split `s` into `all`."""
    how = {"name": "g", "split": "s", "into": "all", "keep": ("id",), "sinks": OUT}
    return GatherStep(inlets=inlets, **{**how, **more})


# What several files of tests say


NOTHING = (0, 0, 0, 0)
"""What the ledgers' books say when nothing waits."""

FAILURE = [
    ("headrace-error-step", b"b"),
    ("headrace-error-class", b"InvalidInputError"),
    ("headrace-error-message", b"rejected"),
]


def fail(it, topic="p.b", **more):
    """Tell that a part failed."""
    it.tell(topic, None, outcome="failed", headers=FAILURE, **more)


def child(it, index, count, value=..., topic="p.c", parent="in-0-0", **more):
    """Tell of one of so many children of a parent."""
    value = {"id": 7, "n": index} if value is ... else value
    more = {"home": 0, "children": count, **more}
    it.tell(topic, value, id_=f"{parent}/{index}", **more)


def fail_child(it, index, count, **more):
    """Tell that a child failed."""
    child(it, index, count, {"id": 7}, outcome="failed", headers=FAILURE, **more)


def marker_of(rows):
    """Return what remembers that an id ended early."""
    [row] = [row for row in rows if row.outcome == "closed"]
    return row


def parts_of(row):
    """Return the outcomes of a record's parts, by parent."""
    return {part["from"]: part["outcome"] for part in row.document["parts"]}


def fused(name, label="", fields=None):
    """Return the inlet from a step of the same stage."""
    return Inlet(f"{name}.{label}" if label else name, "", name, label, fields)


def step(name="r", inlet=A, **more):
    """Return a step that changes nothing."""
    return FunctionStep(name=name, inlets=(inlet,), function="rules:same", **more)


def model(name="m", inlet=A, reads="text", writes="up", **more):
    """Return a step that writes a text in capitals."""
    return dags.model_step(name, [inlet], [reads], [writes], **more)


def function(name="f", inlet=A, **more):
    """Return a step that calls a function."""
    return FunctionStep(name=name, inlets=(inlet,), function="rules:f", **more)


def split(name="s", inlet=A, **more):
    """Return a step that splits `items`."""
    how = {"each": "items", "as_": "item", "keep": ("id",), **more}
    return SplitStep(name=name, inlets=(inlet,), **how)


async def closed_join(it):
    """Have a join time out; return its marker."""
    it.tell("p.a", {"id": 1})
    return marker_of(await it.commit(10.1))
