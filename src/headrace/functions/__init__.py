"""Users' functions: found, checked, and called in threads, on the event loop or in processes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.functions.callers import caller_of, rehearsed
    from headrace.functions.lint import Problem, check_function

__all__ = ["Problem", "caller_of", "check_function", "rehearsed"]

_PLACES = {
    "Problem": "headrace.functions.lint",
    "caller_of": "headrace.functions.callers",
    "check_function": "headrace.functions.lint",
    "rehearsed": "headrace.functions.callers",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a process that calls a function needs none of it."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'headrace.functions' has no attribute '{name}'")
