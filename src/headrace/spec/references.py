"""What a `from` names: a source, a step, or a route of a step."""

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """What a `from` names.

    Attributes:
        step: The step, empty for a source or a topic.
        label: The route of the step, empty for all its results.
    """

    step: str = ""
    label: str = ""


def reference(name: str, steps: Container[str], sources: Container[str] = ()) -> Reference:
    """Return what a name stands for; a step goes before a source, and that before a route."""
    if name in steps:
        return Reference(name)
    router, _, label = name.rpartition(".")
    if name in sources or router not in steps:
        return Reference()
    return Reference(router, label)
