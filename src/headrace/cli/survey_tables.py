"""What a survey saw, for people and for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from headrace.cli.shapes import columns
from headrace.cli.survey import StepSeen, WorkerSeen

_HEADING = (
    *("STEP", "STAGE", "WORKERS", "RATE/s", "REMAINING", "WAITING", "IN FLIGHT"),
    *("OLDEST", "ERRORS", "MODEL"),
)


def rendered(steps: Sequence[StepSeen], *, as_json: bool) -> str:
    """Return the steps as tables for people, or one JSON object."""
    if as_json:
        return json.dumps({"steps": [asdict(each) for each in steps]})
    return "\n\n".join(columns(rows) for rows in tables(steps))


def tables(steps: Sequence[StepSeen]) -> Sequence[Sequence[tuple[str, ...]]]:
    """Return a table of the steps and, if there are any, one of the workers: headings first.

    The steps of a fused stage share their workers; what only the stage knows, stands at its first.
    """
    firsts = {id(each) for each in {step.stage: step for step in reversed(steps)}.values()}
    rows = [_HEADING, *(_row(each, is_first=id(each) in firsts) for each in steps)]
    workers: list[tuple[str, ...]] = [
        ("SLOT", "STAGE", "STATE", "PARTITIONS", "IN FLIGHT", "STATUS", "")
    ]
    for step in steps:
        if id(step) in firsts:
            workers += [_worker_row(step.stage, each) for each in step.workers]
    hidden = {_HEADING.index("STAGE")} if all(each.stage == each.step for each in steps) else set()
    if not any(each.waiting for each in steps):
        hidden.add(_HEADING.index("WAITING"))
    shown = [tuple(cell for n, cell in enumerate(row) if n not in hidden) for row in rows]
    return [shown, workers] if len(workers) > 1 else [shown]


def _row(step: StepSeen, *, is_first: bool) -> tuple[str, ...]:
    reachable = sum(each.state not in {"unreachable", "foreign"} for each in step.workers)
    total = len(step.workers)
    errors = ", ".join(f"{error} {count}" for error, count in step.errors.items())
    return (
        step.step,
        step.stage,
        str(total) if reachable == total else f"{total} ({total - reachable} unreachable)",
        f"{step.rate:,.1f}",
        _remaining(step),
        f"{step.waiting:,}" if step.waiting else "",
        f"{step.in_flight:,}" if is_first else "",
        "" if step.oldest_s is None else f"{step.oldest_s:,.0f} s",
        errors if is_first else "",
        step.model,
    )


def _remaining(step: StepSeen) -> str:
    """Return what remains, by parent where there are several."""
    told = {parent: count for parent, count in step.inlets.items() if count}
    if len(step.inlets) <= 1 or len(told) <= 1:
        return f"{step.remaining:,}"
    parts = ", ".join(f"{parent} {count:,}" for parent, count in told.items())
    return f"{step.remaining:,} ({parts})"


def _worker_row(stage: str, worker: WorkerSeen) -> tuple[str, ...]:
    in_flight = "" if worker.in_flight is None else f"{worker.in_flight:,}"
    partitions = str(worker.partitions)
    state = (worker.slot, stage, worker.state, partitions, in_flight)
    return (*state, worker.address, worker.reason)
