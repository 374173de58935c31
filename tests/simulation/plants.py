"""Whether a bug that was planted is seen."""

from collections.abc import Callable, Coroutine
from typing import Any

from headrace.errors import HeadraceError
from headrace.testing.clock import run


def is_seen(schedule: Callable[[int], Coroutine[Any, Any, Any]], most_seeds: int) -> bool:
    """Run schedules, seed by seed, until one of them fails."""
    for seed in range(most_seeds):
        try:
            run(schedule(seed), limit_s=3600)
        except (AssertionError, TimeoutError, HeadraceError):
            return True
    return False
