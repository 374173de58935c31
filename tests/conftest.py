"""Which tests stay together when they run on several processes."""

from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

REAL = {"integration", "fault", "contract", "docs"}
"""Folders whose tests share a broker or a model server: a file of them stays in one process."""

USUAL_PORT = {"test_cli.py", "test_embedded_kafka.py", "test_tutorial.py"}
"""Files whose brokers take port 9092: side by side, one would answer for the other."""


class ByServers(LoadScopeScheduling):
    """Keeps tests together that share servers; all others go where there is room.

    pytest 9.2 ignores the groups of pytest-xdist 3.8 (`--dist loadgroup`).
    """

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        if not REAL.intersection(path.parts):
            return nodeid
        return "usual port" if path.name in USUAL_PORT else str(path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return ByServers(config, log)
