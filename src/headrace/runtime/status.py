"""A snapshot of a worker, for metrics, health and whoever asks."""

import itertools
from collections.abc import Iterable
from dataclasses import asdict, fields

from headrace.core.steps import ModelStep
from headrace.core.topology import Stage
from headrace.ports import PartitionStatus, StageStatus, StepStatus
from headrace.runtime.assignments import Assignments
from headrace.runtime.places import Place
from headrace.runtime.stats import LATENCY_BOUNDS_S, Histogram, StageStats

COUNTERS = tuple(
    field.name for field in fields(StageStats) if field.type is int or field.type == "int"
)


def snapshot(
    stage: Stage,
    slot: str,
    phase: str,
    stats: StageStats,
    assignments: Assignments,
    places: Iterable[Place],
    now: float,
) -> StageStatus:
    """Describe a stage at work."""
    owned = sorted(assignments.owned, key=lambda ledger: ledger.partition)
    steps = [_step(place, now) for place in places]
    paused = next((step for step in steps if step.paused_reason), None)
    return StageStatus(
        pipeline=stage.pipeline,
        stage=stage.name,
        step=", ".join(step.name for step in stage.steps),
        model=", ".join(step.model.name for step in stage.models),
        slot=slot,
        phase=phase,
        is_assigned=assignments.token is not None,
        paused_reason=paused.paused_reason if paused else "",
        paused_s=paused.paused_s if paused else 0.0,
        slots=sum(step.slots for step in steps),
        busy=sum(step.busy for step in steps),
        in_flight=sum(ledger.in_flight for ledger in owned),
        counters={name: getattr(stats, name) for name in COUNTERS},
        errors=dict(stats.errors),
        model_latency=_cumulative(stats.model_latency),
        commit_latency=_cumulative(stats.commit_latency),
        steps=steps,
        partitions=[
            PartitionStatus(
                topic=ledger.partition.topic,
                partition=ledger.partition.partition,
                committable=ledger.base,
                position=ledger.position,
                in_flight=ledger.in_flight,
                blocked=ledger.blocked,
                waiting=ledger.waiting,
                metadata_size=ledger.metadata_size,
            )
            for ledger in owned
        ],
    )


def _step(place: Place, now: float) -> StepStatus:
    step = place.step
    pauses = [each.pause for each in place.dispatchers if each.pause is not None]
    pause = pauses[0] if pauses else None
    return StepStatus(
        step=step.name,
        kind=step.kind,
        model=step.model.name if isinstance(step, ModelStep) else "",
        paused_reason=f"{type(pause.reason).__name__}: {pause.reason}" if pause else "",
        paused_s=now - pause.since if pause else 0.0,
        slots=sum(each.slots for each in place.dispatchers),
        busy=sum(each.asking for each in place.dispatchers),
        waiting=place.collector.waiting if place.collector is not None else 0,
        late=place.collector.late if place.collector is not None else 0,
        counters=asdict(place.counts),
    )


def _cumulative(histogram: Histogram) -> tuple[list[tuple[float, int]], float]:
    bounds = (*LATENCY_BOUNDS_S, float("inf"))
    counts = itertools.accumulate(histogram.counts)
    return list(zip(bounds, counts, strict=True)), histogram.total_s
