"""Whatever stands in a record ends as a result or a dead letter, and costs no other record."""

import asyncio
import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.core.documents import copied
from headrace.core.steps import FunctionStep, Inlet, Link, Outlet, Sink, SplitStep
from headrace.errors import BrokenAnswerError, FunctionError, InferenceFailedError, RowCountError
from headrace.formats.json_objects import decode
from headrace.ports import Prediction
from headrace.testing import ScriptedModel
from tests.property.hostile import (
    HEADER_VALUES,
    JSON,
    LEAVES,
    VALUES,
    examples,
    in_virtual_time,
    nested,
    nested_objects,
    said,
    simulated,
    usual_stack,
)
from tests.unit.dags import model_step
from tests.unit.runtime.stages import (
    IN,
    JOIN_RETRY,
    OUT,
    A,
    B,
    Running,
    derived,
    gather_step,
    join_step,
    letters,
    running,
)

GOOD = {"text": "good"}
NUMBERS = itertools.count()


def model(inlet=IN, **more):
    return model_step("m", [inlet], ["text"], ["up"], **{"sinks": OUT, **more})


def function(inlet=IN, **more):
    return FunctionStep(name="f", inlets=(inlet,), function="m:f", **{"sinks": OUT, **more})


def split(**more):
    return SplitStep(
        name="s", inlets=(IN,), each="text", as_="n", keep=("a",), **{"sinks": OUT, **more}
    )


PIPELINES: dict[str, Callable[[], list]] = {
    "model": lambda: [model()],
    "nested output": lambda: [model_step("m", [IN], ["text.0.a"], ["a.up"], sinks=OUT)],
    "keyed sink": lambda: [model(sinks=(Sink("out", key="a"),))],
    "gate": lambda: [model(when="a == 1 || text.size() > 1")],
    "function": lambda: [function()],
    "two functions": lambda: [
        function(sinks=(), links=(Link("g"),)),
        FunctionStep(name="g", inlets=(Inlet("f", "", "f"),), function="m:g", sinks=OUT),
    ],
    "fan-out": lambda: [
        model(sinks=(), links=(Link("f"), Link("j"))),
        function(Inlet("m", "", "m"), sinks=(), links=(Link("j", 1),)),
        join_step(Inlet("m", "", "m"), Inlet("f", "", "f", fields=("a",))),
    ],
    "split": lambda: [split()],
    "split and gather": lambda: [
        split(sinks=(), links=(Link("g"),)),
        gather_step(Inlet("s", "", "s"), keep=("a",)),
    ],
}

DOCUMENTS = JSON | st.tuples(LEAVES | JSON, LEAVES | JSON).map(
    lambda parts: b'{"text":' + parts[0] + b',"a":' + parts[1] + b"}"
)
# A value that leaves a dead letter no room for its headers goes without it, as the docs say.
VALUES_OF_RECORDS = st.none() | (st.binary(max_size=20) | DOCUMENTS).filter(
    lambda value: len(value) < 400_000
)


async def ends(steps: list, bad: bytes | None) -> tuple[list, dict]:
    """Run a bad record between two good ones; return what was written and what is unfinished."""
    async with running(*steps) as it:
        it.read("in", GOOD, bad, GOOD)
        rows = await it.commit(1.0)
        return rows, it.unfinished


@pytest.mark.parametrize("pipeline", PIPELINES)
@examples(20)
@given(bad=VALUES_OF_RECORDS)
@example(bad=b'{"text":"x","a":' + nested(500) + b"}")
@example(bad=b'{"text":[1,2],"a":' + nested_objects(600) + b"}")
@example(bad=b'{"text":"x","a":' + nested(900) + b"}")
def test_any_value_is_a_result_or_a_dead_letter_with_its_bytes(pipeline, bad):
    rows, unfinished = simulated(ends(PIPELINES[pipeline](), bad))

    assert unfinished == {}
    good = [row for row in rows if row.id and row.id.partition("/")[0] in ("in-0-0", "in-0-2")]
    assert len(good) == 2
    for letter in letters(rows):
        is_whole = letter.id != "in-0-1" or letter.says("headrace-error-step") in ("g", "j")
        assert is_whole or letter.value == bad


def test_every_depth_about_the_decoders_limit_ends():
    for depth in range(905, 1_000, 5):
        bad = b'{"text":"x","a":' + nested(depth) + b"}"
        for pipeline in ("model", "function", "fan-out"):
            _, unfinished = simulated(ends(PIPELINES[pipeline](), bad))
            assert unfinished == {}, (pipeline, depth)


@examples(60)
@given(st.integers(0, 40), st.sampled_from([nested, nested_objects]), st.integers(0, 900))
def test_a_copy_is_equal_and_shares_nothing_at_any_depth(width, shape, depth):
    document = decode(b'{"a":' + shape(depth + 1) + b',"b":[1,{"c":[2]}],"d":"x"}')
    document["w"] = [{"n": [number]} for number in range(width)]

    with usual_stack():
        other = copied(document)

    json_of = lambda each: json.dumps(each, sort_keys=True)  # noqa: E731
    assert json_of(other) == json_of(document)
    other["b"][1]["c"].append(3)
    assert document["b"] == [1, {"c": [2]}]


# Answers that cannot stand in a record


class Answering:
    """A model that answers the row of `bad` with something, and every other one rightly."""

    def __init__(self, answer, version=""):
        self.answer = answer
        self.version = version

    async def infer(self, columns):
        await asyncio.sleep(0.01)
        [texts] = columns
        ups = [self.answer if each == "bad" else each.upper() for each in texts]
        return Prediction([ups], self.version)

    async def ready(self):
        return True

    async def close(self):
        pass


def deep_list(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


UNWRITABLE = {
    "deep": deep_list(5_000),
    "half a character": "\ud800",
    "name": {"\ud800": 1},
    "number": 10**5_000,
    "object": object(),
}


@pytest.mark.parametrize("kind", UNWRITABLE)
@in_virtual_time
async def test_an_answer_that_has_no_json_form_is_its_records_dead_letter(kind):
    answer = UNWRITABLE[kind]
    async with running(model(), models={"m": [Answering(answer)]}) as it:
        it.read("in", GOOD, {"text": "bad"}, GOOD)

        rows = await it.commit(1.0)

        bad = [row for row in rows if row.id == "in-0-1"]
        assert [(row.error, row.document) for row in bad] == [("DocumentError", {"text": "bad"})]
        assert len(rows) == 3
        assert it.unfinished == {}


@pytest.mark.parametrize("kind", UNWRITABLE)
@in_virtual_time
async def test_what_a_function_makes_without_a_json_form_is_its_records_dead_letter(kind):
    made = UNWRITABLE[kind]
    step = function(outlets=(Outlet("p.f", tells=True, kept=("made",)),))
    functions = {"f": lambda document: document | ({"made": made} if "bad" in document else {})}
    async with running(step, functions=functions) as it:
        it.read("in", GOOD, {"bad": 1}, GOOD)

        rows = await it.commit(1.0)

        assert [(row.error, row.document) for row in letters(rows)] == [
            ("DocumentError", {"bad": 1})
        ]
        assert sorted(row.id for row in rows if row.topic == "out") == ["in-0-0", "in-0-2"]
        assert it.unfinished == {}


@pytest.mark.parametrize("kind", UNWRITABLE)
@in_virtual_time
async def test_a_part_that_only_memory_can_hold_is_a_failed_part_of_the_dead_letter(kind):
    made = UNWRITABLE[kind]
    first = function(sinks=(), links=(Link("j", 1),))
    both = join_step(A, Inlet("f", "", "f", fields=("made",)), timeout_s=5.0)
    functions = {"f": lambda document: document | {"made": made}}
    async with running(first, both, functions=functions) as it:
        it.read("in", {"b": 1})
        rows = await it.commit(30.0)

        [letter] = letters(rows)
        assert letter.error == "MissingPartError"
        assert [part["outcome"] for part in letter.document["parts"]] == ["failed"]


@in_virtual_time
async def test_versions_that_change_with_every_answer_do_not_fill_the_headers():
    steps = [
        split(sinks=(), links=(Link("m"),)),
        model_step("m", [Inlet("s", "", "s")], ["n"], ["up"], links=(Link("g"),)),
        gather_step(Inlet("m", "", "m"), keep=("a",)),
    ]

    class Changing(Answering):
        async def infer(self, columns):
            found = await super().infer(columns)
            return Prediction(found.columns, f"{next(NUMBERS)}-" + "v" * 2_000)

    async with running(*steps, models={"m": [Changing("x")]}) as it:
        it.read("in", {"text": [f"word {n}" for n in range(2_000)]})

        [row] = await it.commit(60.0)

        assert len(row.document["all"]) == 2_000
        assert len(row.headers["headrace-models"]) <= 16 * 1024


ANSWERS = st.sampled_from(
    [
        BrokenAnswerError("x" * 100_000),
        BrokenAnswerError("\ud800\x1b[31m\n"),
        RowCountError("shape [9] for 1 rows"),
        InferenceFailedError("cut"),
        RecursionError("deep"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        Prediction([], ""),
        Prediction([[]], ""),
        Prediction([["A"] * 9], ""),
        Prediction([["A"], ["B"]], "v"),
        Prediction([[None]], "v"),
    ]
)


class Scripted(ScriptedModel):
    """A model that answers calls with the word `bad` in them with nonsense."""

    def __init__(self, nonsense):
        super().__init__()
        self.nonsense = nonsense

    async def infer(self, columns):
        if "bad" not in columns[0]:
            return await super().infer(columns)
        if isinstance(self.nonsense, Exception):
            raise self.nonsense
        return self.nonsense


@examples(40)
@given(ANSWERS)
def test_nonsense_for_a_batch_costs_only_the_record_that_brings_it(nonsense):
    async def go():
        async with running(model(), models={"m": [Scripted(nonsense)]}) as it:
            it.read("in", *[{"text": f"{n}"} for n in range(5)], {"text": "bad"}, GOOD)
            rows = await it.commit(200.0)
            return rows, it.unfinished

    rows, unfinished = simulated(go())

    assert unfinished == {}
    assert sorted(row.id for row in rows if row.topic == "out" and row.id != "in-0-5") == [
        "in-0-0",
        "in-0-1",
        "in-0-2",
        "in-0-3",
        "in-0-4",
        "in-0-6",
    ]
    for letter in letters(rows):
        assert letter.id == "in-0-5"
        assert letter.document == {"text": "bad"}
        assert len(letter.headers["headrace-error-message"]) <= 4_096


@pytest.mark.parametrize("error", [ValueError("x"), FunctionError("y\x1b[31m"), RecursionError()])
@in_virtual_time
async def test_a_function_that_raises_costs_its_record(error):
    def call(document):
        if "bad" in document:
            raise error
        return document

    async with running(function(), functions={"f": call}) as it:
        it.read("in", GOOD, {"bad": 1}, GOOD)

        rows = await it.commit(1.0)

        assert [row.id for row in letters(rows)] == ["in-0-1"]
        assert it.unfinished == {}


# Headers of the source


NAMES = st.sampled_from(
    [
        *("headrace-v", "headrace-id", "headrace-deadline", "headrace-children", "headrace-home"),
        *("headrace-outcome", "headrace-partial", "headrace-attempt", "headrace-not-before"),
        *("headrace-replay", "headrace-models", "headrace-at", "headrace-error-step"),
        *("headrace-error-class", "headrace-error-message", "headrace-", "", "mine", "x" * 900),
    ]
)
HEADERS = st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=5)


@examples(80)
@given(HEADERS)
@example([("headrace-deadline", b"9" * 5_000)])
@example([("headrace-deadline", b"9" * 18)])
def test_any_headers_of_a_source_record_end(headers):
    async def go():
        async with running(model(outlets=(Outlet("p.m", tells=True),))) as it:
            it.read("in", GOOD, headers=headers)
            it.read("in", GOOD)
            return await it.commit(1.0), it.unfinished

    rows, unfinished = simulated(go())

    assert unfinished == {}
    assert "in-0-1" in [row.id for row in rows if row.topic == "out"]
    assert "in-0-0" in [row.id for row in rows]


@in_virtual_time
async def test_headers_that_leave_a_dead_letter_no_room_are_left_out_and_its_place_is_not():
    sizes = {"p.dead-letters": 2_000, "out": 2_000}
    async with running(model(), sizes=sizes) as it:
        it.read("in", b"no json", headers=[("mine", b"x" * 1_500), ("theirs", b"y" * 1_500)])

        [letter] = await it.commit(1.0)

        assert letter.value is None
        assert "mine" not in letter.headers
        assert letter.says("headrace-error-source") == "in/0/0"


# Headers of headrace's own topics, written by somebody else

STEPS: dict[str, Callable[[], list]] = {
    "model": lambda: [model(A, outlets=(Outlet("p.m", tells=True),))],
    "join": lambda: [join_step(A, B, timeout_s=5.0)],
    "gather": lambda: [gather_step(A, outlets=(Outlet("p.g", tells=True, home_level=1),))],
    "child": lambda: [
        model(A, outlets=(Outlet("p.m", tells=True, home_level=1, kept=("id",)),), level=1)
    ],
    "fused": lambda: [
        model(A, sinks=(), links=(Link("j", 1, tells=True),)),
        join_step(derived("b"), Inlet("m", "", "m"), timeout_s=5.0),
    ],
}
RETRIES = {"model": "p.m.retry", "join": JOIN_RETRY, "gather": "p.g.retry", "child": "p.m.retry"}
OWN = HEADERS.filter(lambda headers: dict(headers).get("headrace-v", b"1") == b"1")
WAIT = ("headrace-not-before", "headrace-partial")


def ids_of(rows: list) -> list:
    return [row.headers.get("headrace-id") for row in rows]


FOREIGN_VALUES = st.sampled_from([b'{"text":"a"}', b"{}", b"\xff", None])


def child_of(id_: bytes, counts: bytes) -> list[tuple[str, bytes]]:
    return [("headrace-children", counts), ("headrace-id", id_)]


async def among_good(it: Running, topic: str, value: bytes | None, headers: list) -> list:
    """Take a record of somebody else, and one of an earlier step, from one topic."""
    it.read(topic, value, headers=headers)
    it.tell("p.a", {"text": "good", "id": 1}, id_="in-0-7")
    return await it.commit(700.0)


@pytest.mark.parametrize("steps", STEPS)
@examples(40)
@given(headers=OWN, value=FOREIGN_VALUES, back=st.booleans())
@example(headers=child_of(b"in-0-0", b"3"), value=b"{}", back=False)
@example(headers=child_of(b"in-0-0/x", b"3"), value=b"{}", back=False)
@example(headers=child_of(b"in-0-0/1", b"9" * 18), value=b"{}", back=False)
@example(headers=[*child_of(b"in-0-0/1", b"3"), ("headrace-home", b"99")], value=b"{}", back=False)
@example(headers=[("headrace-attempt", b"9" * 5_000)], value=b"{}", back=True)
@example(headers=[("headrace-not-before", b"9" * 400)], value=b"{}", back=True)
@example(headers=[("headrace-outcome", b"nonsense")], value=b"{}", back=False)
def test_what_somebody_else_wrote_stops_nothing(steps, headers, value, back):
    topic = RETRIES.get(steps, "p.m.retry") if back else "p.a"

    async def go():
        async with running(*STEPS[steps]()) as it:
            rows = await among_good(it, topic, value, headers)
            return rows, it.unfinished

    rows, unfinished = simulated(go())

    waits = steps in ("join", "gather", "fused") or dict(headers).keys() & set(WAIT)
    assert waits or unfinished == {}
    assert steps in ("join", "gather", "fused") or b"in-0-7" in ids_of(rows)
    assert all(0 <= row.partition < 4 or row.partition == -1 for row in rows)


@in_virtual_time
async def test_foreign_headers_are_a_dead_letter_with_the_values_bytes_that_nobody_is_told_of():
    async with running(model(A, outlets=(Outlet("p.m", tells=True),))) as it:
        it.read("p.a", b"theirs", headers=[("headrace-outcome", b"lost"), ("mine", b"x")])

        [letter] = await it.commit(1.0)

        assert (letter.error, letter.value) == ("DecodeError", b"theirs")
        assert letter.id == "p.a-0-0"
        assert letter.message == "headrace-outcome is b'lost', which headrace does not write"
        assert letter.says("mine") == "x"
        assert it.unfinished == {}


@in_virtual_time
async def test_at_a_strict_step_foreign_headers_halt_their_lane_alone():
    async with running(model(A, strict=True)) as it:
        it.read("p.a", b"theirs", headers=[("headrace-outcome", b"lost")], key=b"theirs")
        it.tell("p.a", GOOD, key=b"ours")

        rows = await it.commit(1.0)

        assert [row.document for row in rows] == [{"text": "good", "up": "GOOD"}]
        assert it.unfinished == {"p.a": 1}


# Parts of a record

PARTS = st.fixed_dictionaries(
    {},
    optional={
        "from": st.sampled_from(["a", "b", "s"]) | VALUES,
        "outcome": st.sampled_from(["result", "failed", "dropped", "tombstone", "empty", "missing"])
        | VALUES,
        "index": st.sampled_from([0, 1, -1, 1.5, 10**9, True]) | VALUES,
        "document": st.just({"id": 1}) | VALUES,
        "models": st.sampled_from(["m=1", "x" * 100_000]) | VALUES,
        "error": VALUES
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("step", "class", "message"), VALUES)),
    },
)
PARTIALS = st.fixed_dictionaries(
    {},
    optional={
        "count": st.sampled_from([None, 0, 1, 2, -1, 10_000, 10_001, 10**18, 1e308]) | VALUES,
        "since": st.sampled_from([0, -1, 10**15, 2**63, 10**400]) | VALUES,
        "parts": st.lists(PARTS, max_size=3) | VALUES,
        "stray": VALUES,
    },
)
WHOLE = {"count": None, "since": 0, "parts": []}
ONE = {"from": "a", "outcome": "result", "document": {"id": 1}}


@pytest.mark.parametrize("steps", ["join", "gather"])
@examples(70)
@given(
    value=PARTIALS.map(lambda each: said(WHOLE | each)) | PARTIALS.map(said) | JSON,
    closed=st.booleans(),
    spills=HEADER_VALUES,
)
@example(value=nested(100_000), closed=False, spills=b"1")
@example(value=said(WHOLE | {"since": 10**400}), closed=False, spills=b"1")
@example(value=b'{"count":Infinity,"since":0,"parts":[]}', closed=False, spills=b"1")
@example(value=said(WHOLE | {"parts": [ONE]}), closed=False, spills=b"9" * 18)
@example(
    value=said(WHOLE | {"parts": [{"from": "a", "outcome": "result"}]}), closed=False, spills=b"1"
)
@example(
    value=said(WHOLE | {"count": 10**9, "parts": [{"from": "a", "outcome": "failed", "index": 0}]}),
    closed=False,
    spills=b"1",
)
def test_any_parts_of_a_record_are_taken_or_given_up(steps, value, closed, spills):
    async def go():
        async with running(*STEPS[steps]()) as it:
            outcome = [("headrace-outcome", b"closed")] if closed else []
            own = [("headrace-v", b"1"), ("headrace-id", b"in-0-0"), ("headrace-partial", b"join")]
            it.read(RETRIES[steps], value, headers=[*own, *outcome, ("headrace-attempt", spills)])
            it.run.spill(1.0)
            it.tell("p.a", {"id": 1}, id_="in-0-7")
            return await it.commit(5_000.0)

    for letter in letters(simulated(go())):
        assert letter.id.startswith("in-0-")
