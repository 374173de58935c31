"""Which tests stay together when they run on several processes."""

from pathlib import Path

import pytest

REAL = {"integration", "fault", "contract", "docs"}
"""Folders whose tests share a broker or a model server: a file of them stays in one process."""

USUAL_PORT = {"test_cli.py", "test_embedded_kafka.py", "test_tutorial.py"}
"""Files whose brokers take port 9092: side by side, one would answer for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        folder, *_ = item.path.relative_to(here).parts
        if folder in REAL:
            name = "usual port" if item.path.name in USUAL_PORT else item.path.name
            item.add_marker(pytest.mark.xdist_group(name))
