"""Whatever a batch does to its function, every document gets its own outcome, in its place."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.functions.coroutines import CoroutineCaller
from headrace.functions.loading import Function, load
from headrace.functions.pool import ProcessCaller
from headrace.functions.threads import ThreadCaller
from headrace.functions.tracebacks import Home
from headrace.testing import run

KINDS = st.sampled_from(["ok", "ok", "raise", "drop", "list", "hang"])
BATCHES = st.lists(st.lists(KINDS, max_size=8), min_size=1, max_size=4)
HOME = Home((str(Path(__file__).parent),))


def documents(batches: Sequence[Sequence[str]]) -> list[list[dict]]:
    return [
        [{"kind": kind, "id": f"{number}.{at}"} for at, kind in enumerate(batch)]
        for number, batch in enumerate(batches)
    ]


def answer(document: dict):
    if document["kind"] == "raise":
        raise ValueError(document["id"])
    if document["kind"] == "drop":
        return None
    return [document] if document["kind"] == "list" else {**document, "is_seen": True}


def check(asked: list[list[dict]], got: list) -> None:
    assert [len(each) for each in got] == [len(each) for each in asked]
    for batch, found in zip(asked, got, strict=True):
        for document, outcome in zip(batch, found, strict=True):
            match document["kind"]:
                case "ok":
                    assert outcome == {**document, "is_seen": True}
                case "drop":
                    assert outcome is None
                case "raise":
                    assert str(outcome).endswith(f"ValueError: {document['id']}")
                case "list":
                    assert "add a `split` step" in str(outcome)
                case "hang":
                    assert isinstance(outcome, FunctionTimeoutError)
                case _:
                    assert isinstance(outcome, FunctionError)
                    assert "its process ended with exit code 7" in str(outcome)


async def called(caller, batches: list[list[dict]]) -> list:
    try:
        return await asyncio.gather(*map(caller.call, batches))
    finally:
        await caller.close()


@settings(max_examples=40, deadline=None)
@given(BATCHES, st.integers(1, 3))
def test_in_threads(batches, workers):
    end = threading.Event()
    # Time passes in calls that hang, and in nothing else; beside one, no other may be under way.
    now = [0.0]
    if any("hang" in batch for batch in batches):
        workers = 1

    def judge(document):
        if document["kind"] == "hang":
            now[0] += 1000
            end.wait()
        return answer(document)

    async def scenario():
        function = Function("rules:judge", "/", judge, is_async=False, home=HOME)
        caller = ThreadCaller(
            function, "step", workers=workers, timeout_s=0.01, clock=lambda: now[0]
        )
        return await called(caller, documents(batches))

    try:
        got = asyncio.run(scenario())
    finally:
        end.set()
    check(documents(batches), got)


@given(BATCHES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_on_the_event_loop(batches, workers, random):
    async def judge(document):
        if document["kind"] == "hang":
            await asyncio.Event().wait()
        await asyncio.sleep(random.choice([0, 0.1, 5]))
        return answer(document)

    async def scenario():
        function = Function("rules:judge", "/", judge, is_async=True, home=HOME)
        caller = CoroutineCaller(function, "step", workers=workers, timeout_s=30)
        return await called(caller, documents(batches))

    check(documents(batches), run(scenario()))


SOURCE = """\
import os
import threading


def judge(document):
    if document["kind"] == "raise":
        raise ValueError(document["id"])
    if document["kind"] == "die":
        os._exit(7)
    if document["kind"] == "hang":
        threading.Event().wait()
    if document["kind"] == "drop":
        return None
    return [document] if document["kind"] == "list" else {**document, "is_seen": True}
"""


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("functions")
    (folder / "rules_in_process.py").write_text(SOURCE)
    yield load("rules_in_process:judge", str(folder))
    del sys.modules["rules_in_process"]


SOME = st.sampled_from(["ok", "raise", "drop", "list", "die"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(SOME, max_size=5), min_size=1, max_size=3), st.data())
def test_in_processes(in_process, batches, data):
    # Time is real here, so that one that hangs is enough.
    if data.draw(st.booleans(), "hangs") and batches[0]:
        batches[0][data.draw(st.integers(0, len(batches[0]) - 1), "at")] = "hang"

    async def scenario():
        caller = ProcessCaller(in_process, "step", workers=2, timeout_s=1.5)
        return await called(caller, documents(batches))

    check(documents(batches), asyncio.run(scenario()))
