"""A snapshot of a worker, for metrics, health and whoever asks."""

import itertools
from dataclasses import fields

from headrace.ports import PartitionStatus, StageStatus
from headrace.runtime.assignments import Assignments
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.stats import LATENCY_BOUNDS_S, Histogram, StageStats

COUNTERS = tuple(
    field.name for field in fields(StageStats) if field.type is int or field.type == "int"
)


def snapshot(
    names: tuple[str, str, str, str, str],
    phase: str,
    stats: StageStats,
    assignments: Assignments,
    dispatcher: Dispatcher | None,
    now: float,
) -> StageStatus:
    """Describe a stage; `names` are pipeline, stage, step, model and slot."""
    pipeline, stage, step, model, slot = names
    pause = dispatcher.pause if dispatcher is not None else None
    owned = sorted(assignments.owned, key=lambda ledger: ledger.partition)
    return StageStatus(
        pipeline=pipeline,
        stage=stage,
        step=step,
        model=model,
        slot=slot,
        phase=phase,
        is_assigned=assignments.token is not None,
        paused_reason=f"{type(pause.reason).__name__}: {pause.reason}" if pause else "",
        paused_s=now - pause.since if pause else 0.0,
        slots=dispatcher.slots if dispatcher is not None else 0,
        busy=dispatcher.busy if dispatcher is not None else 0,
        in_flight=sum(ledger.in_flight for ledger in owned),
        counters={name: getattr(stats, name) for name in COUNTERS},
        errors=dict(stats.errors),
        model_latency=_cumulative(stats.model_latency),
        commit_latency=_cumulative(stats.commit_latency),
        partitions=[
            PartitionStatus(
                topic=ledger.partition.topic,
                partition=ledger.partition.partition,
                committable=ledger.base,
                position=ledger.position,
                in_flight=ledger.in_flight,
                blocked=ledger.blocked,
                metadata_size=ledger.metadata_size,
            )
            for ledger in owned
        ],
    )


def _cumulative(histogram: Histogram) -> tuple[list[tuple[float, int]], float]:
    bounds = (*LATENCY_BOUNDS_S, float("inf"))
    counts = itertools.accumulate(histogram.counts)
    return list(zip(bounds, counts, strict=True)), histogram.total_s
