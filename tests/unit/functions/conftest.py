"""Modules of users' functions, and real event loops for their threads and processes."""

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from headrace.functions.loading import Function
from headrace.functions.tracebacks import Home

_NUMBERS = count()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Write a module into the test's folder; returns its name, which no other test has."""
    names: list[str] = []

    def write(source: str) -> str:
        name = f"rules_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(inspect.cleandoc(source) + "\n", encoding="utf-8")
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def function() -> Callable[..., Function]:
    """Return what makes a function of a callable of the test's own."""

    def make(target: Callable) -> Function:
        is_async = inspect.iscoroutinefunction(target)
        return Function("rules:test", "/", target, is_async, Home((str(Path(__file__).parent),)))

    return make


class Hang:
    """A call that does not return before the test is over, on a clock that then jumps.

    Only a call that hangs makes time pass, so a slow machine is never taken for one.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self.end = threading.Event()

    def clock(self) -> float:
        return self.now

    def __call__(self) -> None:
        self.calls += 1
        self.now += 1000
        self.end.wait()


@pytest.fixture
def hang() -> Iterator[Hang]:
    hanging = Hang()
    yield hanging
    hanging.end.set()
