import asyncio
import os
import signal
import subprocess
import sys

import pytest

import headrace
from headrace import errors, testing
from headrace.errors import BrokerUnavailableError, SpecError

PUBLIC = ["ELSE", "Batch", "Defaults", "Pipeline", "Retry", "run"]
TESTING = [
    "STORM",
    "BrokerSettings",
    "DeadlockError",
    "Fleet",
    "Hazards",
    "Interpreter",
    "ScriptedFunction",
    "ScriptedModel",
    "SimulatedBroker",
    "SimulatedCrash",
    "SimulatedGroup",
    "SimulatedProcess",
    "SimulatedSink",
    "SimulatedSource",
    "Verdict",
    "VirtualEventLoop",
    "VirtualTimeExceededError",
    "Worker",
    "Written",
    "explore",
    "judge",
    "run",
]
HEAVY = ["pydantic", "confluent_kafka", "grpc", "msgspec", "yaml", "asyncio", "headrace.wiring"]


def pipeline_at(bootstrap_servers):
    pipeline = headrace.Pipeline("tweets", kafka={"bootstrap_servers": bootstrap_servers})
    model = pipeline.model("caps", url="grpc://localhost:8081")
    shouts = pipeline.source("tweets").infer(
        "shout", model, inputs={"text": "text"}, outputs={"shouted": "upper"}
    )
    shouts.to("shouts")
    return pipeline


def test_the_public_names_are_these():
    assert headrace.__all__ == PUBLIC
    assert testing.__all__ == TESTING
    assert all(hasattr(headrace, name) for name in PUBLIC)
    assert all(hasattr(testing, name) for name in TESTING)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'headrace' has no attribute 'Pipelin'"):
        _ = headrace.Pipelin


def test_importing_headrace_imports_nothing_heavy():
    code = f"import headrace, headrace.errors, sys; print(sorted(set({HEAVY}) & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"


def test_every_error_descends_from_one_root_and_says_what_it_is():
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]

    assert len(found) > 20
    assert all(issubclass(error, errors.HeadraceError) for error in found)
    assert all(error.__doc__ and error.__name__.endswith("Error") for error in found)
    assert all(error.__name__ in errors.__doc__ for error in found)


@pytest.fixture
def runs(monkeypatch):
    """Stand in for the workers: remember how they were run, wait for the end."""
    from headrace import wiring

    seen = []

    async def run(plan, stop):
        topology = plan.topology
        seen.append((topology.pipeline, plan.slot, topology.bootstrap_servers))
        await stop.wait()
        seen.append("drained")

    monkeypatch.setattr(wiring, "run", run)
    return seen


@pytest.fixture
def tell_after_start(monkeypatch):
    """Have the process told to end as soon as its event loop runs."""

    def tell(number):
        make = asyncio.new_event_loop

        def telling():
            loop = make()
            loop.call_later(0.01, os.kill, os.getpid(), number)
            return loop

        monkeypatch.setattr(asyncio.events, "new_event_loop", telling)

    return tell


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_works_until_a_signal_and_drains(runs, tell_after_start, number):
    tell_after_start(number)

    headrace.run(pipeline_at("kafka:9092"), slot="w7")

    assert runs == [("tweets", "w7", "kafka:9092"), "drained"]


def test_without_a_slot_every_run_has_one_of_its_own(runs, tell_after_start):
    for _ in range(2):
        tell_after_start(signal.SIGTERM)
        headrace.run(pipeline_at("kafka:9092"))

    (_, first, _), _, (_, second, _), _ = runs
    assert first
    assert first != second


def test_running_what_is_wrong_says_everything_that_is():
    with pytest.raises(SpecError) as caught:
        headrace.run(headrace.Pipeline("nothing"))

    assert caught.value.problems


def test_running_on_the_embedded_kafka_needs_one_that_runs(monkeypatch):
    monkeypatch.setattr("headrace.local.kafka.running_broker", lambda: None)

    with pytest.raises(BrokerUnavailableError, match="no embedded Kafka runs"):
        headrace.run(pipeline_at("embedded"))
