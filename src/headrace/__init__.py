"""headrace: Kafka streams through models and back to Kafka, exactly once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.builder import ELSE, Batch, Defaults, Pipeline, Retry

__all__ = ["ELSE", "Batch", "Defaults", "Pipeline", "Retry", "run"]


def __getattr__(name: str) -> Any:
    """Import the builder when it is asked for: workers and the command line start without it."""
    if name in __all__:
        return getattr(import_module("headrace.builder"), name)
    raise AttributeError(f"module 'headrace' has no attribute '{name}'")


def run(pipeline: "Pipeline", *, slot: str | None = None) -> None:
    """Run all stages of a pipeline in this process until SIGINT or SIGTERM, then drain; blocks.

    The same as `headrace run`, for programs; to be called in the main thread.

    Args:
        pipeline: The pipeline; relative paths in it start in the working directory.
        slot: The worker's name in the fleet, a random one by default.

    Raises:
        SpecError: The pipeline has errors; it carries every problem.
        BrokerUnavailableError: No broker answers.
        MissingTopicsError: Topics that the pipeline needs do not exist.
        HeadraceError: A worker cannot go on; what was not committed will be read again.
    """
    import asyncio
    import os
    import signal
    from dataclasses import replace
    from pathlib import Path

    from headrace import wiring
    from headrace.cli.settings import resolved
    from headrace.core.topology import Plan
    from headrace.spec.compile import compile_pipeline

    topology = compile_pipeline(pipeline.spec(), Path())
    topology = replace(topology, bootstrap_servers=resolved(topology.bootstrap_servers))
    plan = Plan(topology, slot or os.urandom(4).hex())

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await wiring.run(plan, stop)

    asyncio.run(until_told())
