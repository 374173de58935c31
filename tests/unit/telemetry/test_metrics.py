from collections.abc import Callable
from dataclasses import fields

from prometheus_client import CollectorRegistry, generate_latest

from headrace.runtime.stats import Histogram, StageStats
from headrace.telemetry.metrics import COUNTERS, StageCollector

LABELS = 'pipeline="tweets",slot="0",stage="translate",step="translate"'


def exposed(*stages) -> str:
    registry = CollectorRegistry()
    registry.register(StageCollector(stages))
    return generate_latest(registry).decode()


def lines_of(text: str, metric: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(metric)]


def test_every_counter_a_stage_keeps_is_a_metric():
    histograms = {each.name for each in fields(StageStats) if each.default_factory is Histogram}

    kept = {each.name for each in fields(StageStats)} - histograms - {"errors"}

    assert kept == set(COUNTERS)


def test_counters_carry_the_standard_labels(stage: Callable):
    text = exposed(stage())

    assert lines_of(text, "headrace_records_read_total") == [
        f"headrace_records_read_total{{{LABELS}}} 12.0"
    ]


def test_failed_calls_are_counted_by_error_class(stage: Callable):
    (line,) = lines_of(exposed(stage()), "headrace_model_calls_failed_total{")

    assert 'error="InferenceTimeoutError"' in line
    assert line.endswith(" 3.0")


def test_latency_buckets_are_cumulative_and_end_at_infinity(stage: Callable):
    lines = lines_of(exposed(stage()), "headrace_model_call_seconds")

    assert [line.rsplit(" ")[-1] for line in lines] == ["2.0", "4.0", "5.0", "5.0", "3.5"]
    assert 'le="+Inf"' in lines[2]


def test_a_partition_has_its_own_gauges(stage: Callable):
    (line,) = lines_of(exposed(stage()), "headrace_partition_committable_offset{")

    assert 'partition="3"' in line
    assert 'topic="tweets"' in line
    assert line.endswith(" 100.0")


def test_a_paused_model_is_a_gauge_of_1(stage: Callable):
    (works,) = lines_of(exposed(stage()), "headrace_model_paused{")
    text = exposed(stage(paused_reason="connection refused", paused_s=7.5))
    (paused,) = lines_of(text, "headrace_model_paused{")
    (how_long,) = lines_of(text, "headrace_model_paused_seconds{")

    assert [line.rsplit(" ")[-1] for line in (works, paused, how_long)] == ["0.0", "1.0", "7.5"]


def test_exactly_one_phase_is_set(stage: Callable):
    lines = lines_of(exposed(stage(phase="draining")), "headrace_stage_phase{")

    assert [line for line in lines if line.endswith(" 1.0")] == [
        line for line in lines if 'phase="draining"' in line
    ]


def test_every_metric_has_a_help_text(stage: Callable):
    text = exposed(stage())

    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert helped == typed
    assert all(name.startswith("headrace_") for name in helped)


def test_two_stages_stand_side_by_side(stage: Callable):
    text = exposed(stage(), stage(stage="second", step="second"))

    assert len(lines_of(text, "headrace_in_flight_records{")) == 2
