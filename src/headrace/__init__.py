"""headrace: Kafka streams through models and back to Kafka, exactly once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.builder import Batch, Defaults, Pipeline, Retry

__all__ = ["Batch", "Defaults", "Pipeline", "Retry"]


def __getattr__(name: str) -> Any:
    """Import the builder when it is asked for: workers and the command line start without it."""
    if name in __all__:
        return getattr(import_module("headrace.builder"), name)
    raise AttributeError(f"module 'headrace' has no attribute '{name}'")
