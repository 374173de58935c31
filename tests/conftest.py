"""Which tests stay together when they run on several processes."""

from pathlib import Path

import pytest

REAL = {"integration", "fault", "contract"}
"""Folders whose tests share a broker or a model server: a file of them stays in one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        folder, *_ = item.path.relative_to(here).parts
        if folder in REAL:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
