"""Asynchronous tests run in virtual time."""

import inspect

import pytest

from headrace.testing import run
from tests.unit.runtime.parts import Kafka


@pytest.fixture
def kafka():
    return Kafka()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an asynchronous test in virtual time."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
