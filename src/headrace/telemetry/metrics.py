"""Prometheus metrics, read from `StatusSource.status()` when they are asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from headrace.ports import PartitionStatus, StageStatus, StatusSource

LABELS = ("pipeline", "stage", "step", "slot")

COUNTERS: Mapping[str, tuple[str, str]] = {
    "read": ("records_read", "Records taken for the first time by this worker."),
    "written": ("records_written", "Results finished; they may not be durable yet."),
    "dead_lettered": ("records_dead_lettered", "Records given up; they may not be durable yet."),
    "dropped": ("records_dropped", "Records that ended without a result."),
    "durable": ("records_durable", "Records whose outcome was committed."),
    "out_of_lane": ("records_out_of_lane", "Records that came through the retry topic."),
    "lost": ("records_lost", "Records the log no longer held when they were due."),
    "spilled": (
        "records_spilled",
        "Incomplete records that went to the retry topic, because memory was full.",
    ),
    "retried": ("model_calls_retried", "Calls to the model that were repeated."),
    "requests": ("model_calls", "Calls to the model, probes included."),
    "rows": ("model_rows", "Rows sent to the model."),
    "commits": ("transactions_committed", "Transactions committed."),
    "aborts": ("transactions_aborted", "Transactions aborted or ended in a way nobody knew."),
    "rebalances": ("rebalances", "Assignments received."),
    "adopted": ("ledgers_adopted", "Partitions that went on after a rebalance without repeating."),
    "discarded": ("ledgers_discarded", "Partitions given up because another had committed."),
    "fenced": ("writers_fenced", "Dead writers whose open transactions were ended."),
}
"""Counter of a stage to metric name (without `headrace_` and `_total`) and help."""

PHASES = ("starting", "running", "draining", "stopped", "failed")

_GAUGES: Sequence[tuple[str, str, Callable[[StageStatus], float]]] = (
    ("in_flight_records", "Records taken and not durable.", lambda s: s.in_flight),
    ("model_slots", "Calls to the model that may be under way at once.", lambda s: s.slots),
    ("model_calls_under_way", "Calls to the model under way.", lambda s: s.busy),
    ("model_paused", "1 while the step waits for its model.", lambda s: bool(s.paused_reason)),
    ("model_paused_seconds", "How long it has been waiting.", lambda s: s.paused_s),
    ("stage_assigned", "1 while the group has given an assignment.", lambda s: s.is_assigned),
)

_PARTITION_GAUGES: Sequence[tuple[str, str, Callable[[PartitionStatus], float]]] = (
    ("committable_offset", "Lowest offset not durably finished.", lambda p: p.committable),
    ("position", "Next offset to read.", lambda p: p.position),
    ("in_flight_records", "Records taken and not durable.", lambda p: p.in_flight),
    ("blocked_records", "Finished records that wait for an earlier one.", lambda p: p.blocked),
    ("metadata_characters", "Commit metadata in use, of 4095.", lambda p: p.metadata_size),
)


class StageCollector(Collector):
    """Turns snapshots of stages into metric families; holds no counter of its own."""

    def __init__(self, sources: Sequence[StatusSource]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Return every family, from one snapshot per stage."""
        stages = [source.status() for source in self._sources]
        yield from _counters(stages)
        yield from _gauges(stages)
        yield from _partitions(stages)
        yield _histogram("model_call_seconds", "Seconds per call.", stages, _model_latency)
        yield _histogram("transaction_seconds", "Seconds per commit.", stages, _commit_latency)


def _labels(stage: StageStatus) -> list[str]:
    return [stage.pipeline, stage.stage, stage.step, stage.slot]


def _counters(stages: Sequence[StageStatus]) -> Iterator[Metric]:
    for counter, (name, text) in COUNTERS.items():
        family = CounterMetricFamily(f"headrace_{name}", text, labels=LABELS)
        for stage in stages:
            family.add_metric(_labels(stage), stage.counters.get(counter, 0))
        yield family
    failed = CounterMetricFamily(
        "headrace_model_calls_failed", "Failed calls by error class.", labels=(*LABELS, "error")
    )
    for stage in stages:
        for error, count in stage.errors.items():
            failed.add_metric([*_labels(stage), error], count)
    yield failed


def _gauges(stages: Sequence[StageStatus]) -> Iterator[Metric]:
    for name, text, read in _GAUGES:
        family = GaugeMetricFamily(f"headrace_{name}", text, labels=LABELS)
        for stage in stages:
            family.add_metric(_labels(stage), read(stage))
        yield family
    phase = GaugeMetricFamily(
        "headrace_stage_phase", "1 for the phase the stage is in.", labels=(*LABELS, "phase")
    )
    for stage in stages:
        for each in PHASES:
            phase.add_metric([*_labels(stage), each], stage.phase == each)
    yield phase


def _partitions(stages: Sequence[StageStatus]) -> Iterator[Metric]:
    labels = (*LABELS, "topic", "partition")
    for name, text, read in _PARTITION_GAUGES:
        family = GaugeMetricFamily(f"headrace_partition_{name}", text, labels=labels)
        for stage in stages:
            for each in stage.partitions:
                place = [each.topic, str(each.partition)]
                family.add_metric([*_labels(stage), *place], read(each))
        yield family


def _histogram(
    name: str,
    text: str,
    stages: Sequence[StageStatus],
    read: Callable[[StageStatus], tuple[Sequence[tuple[float, int]], float]],
) -> Metric:
    family = HistogramMetricFamily(f"headrace_{name}", text, labels=LABELS)
    for stage in stages:
        buckets, total_s = read(stage)
        named = [(_bound(bound), count) for bound, count in buckets]
        if named and named[-1][0] != "+Inf":
            named.append(("+Inf", named[-1][1]))
        if named:
            family.add_metric(_labels(stage), named, total_s)
    return family


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else repr(float(seconds))


def _model_latency(stage: StageStatus) -> tuple[Sequence[tuple[float, int]], float]:
    return stage.model_latency


def _commit_latency(stage: StageStatus) -> tuple[Sequence[tuple[float, int]], float]:
    return stage.commit_latency
