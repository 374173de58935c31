"""Fakes to test pipelines with: a broker and models without processes, and time that jumps."""

from headrace.testing.broker import BrokerSettings, SimulatedBroker
from headrace.testing.clock import (
    DeadlockError,
    VirtualEventLoop,
    VirtualTimeExceededError,
    explore,
    run,
)
from headrace.testing.functions import ScriptedFunction
from headrace.testing.group_view import SimulatedGroup
from headrace.testing.harness import Fleet, Worker
from headrace.testing.hazards import STORM, Hazards
from headrace.testing.history import Verdict, judge
from headrace.testing.inference import ScriptedModel
from headrace.testing.interpreter import Interpreter, Written
from headrace.testing.processes import SimulatedCrash, SimulatedProcess
from headrace.testing.sink import SimulatedSink
from headrace.testing.source import SimulatedSource

__all__ = [
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
