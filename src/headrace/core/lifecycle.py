"""The phases of a worker, and which may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from headrace.errors import InvariantError


class Phase(StrEnum):
    """Where a worker stands; `stopped` and `failed` are final."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


FOLLOWERS: Final[Mapping[Phase, frozenset[Phase]]] = MappingProxyType(
    {
        Phase.STARTING: frozenset({Phase.RUNNING, Phase.DRAINING, Phase.FAILED}),
        Phase.RUNNING: frozenset({Phase.DRAINING, Phase.FAILED}),
        Phase.DRAINING: frozenset({Phase.STOPPED, Phase.FAILED}),
        Phase.STOPPED: frozenset(),
        Phase.FAILED: frozenset(),
    }
)
"""Phases that may follow each phase."""


class Lifecycle:
    """A worker's phase, which only ever moves on."""

    def __init__(self) -> None:
        self._phase = Phase.STARTING

    @property
    def phase(self) -> Phase:
        """Where the worker stands."""
        return self._phase

    @property
    def is_ready(self) -> bool:
        """Whether it does its work."""
        return self._phase is Phase.RUNNING

    @property
    def is_live(self) -> bool:
        """Whether it need not be restarted."""
        return self._phase is not Phase.FAILED

    @property
    def is_over(self) -> bool:
        """Whether nothing can follow."""
        return not FOLLOWERS[self._phase]

    def move(self, phase: Phase) -> bool:
        """Enter a phase; return False if the worker is in it already.

        Raises:
            InvariantError: The phase cannot follow the present one.
        """
        if phase is self._phase:
            return False
        if phase not in FOLLOWERS[self._phase]:
            raise InvariantError(f"a worker that is {self._phase} cannot be {phase}")
        self._phase = phase
        return True
