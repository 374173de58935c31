"""What a comparison's report says of results: medians, ratios within a round, bounds kept."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.compare import chart, page, tables
from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.matrix import PLAIN_64, QUIX, REST_PAIRS, STREAMS, Case, alone, headrace
from benchmarks.compare.results import Result
from benchmarks.compare.targets import Target, dimensions, full, targets
from tools import ratios

OURS, THEIRS = full(headrace(256), 0), full(STREAMS[0], 0)


def runs(case: Case, metric: str, *values: float) -> list[Result]:
    return [Result(case, n, 15.0, {metric: value}) for n, value in enumerate(values, 1)]


def test_a_figure_is_a_median_with_its_spread():
    figures = Figures(runs(OURS, "rate", 30, 10, 20))

    assert figures.of(OURS, "rate") == Figure(20, 10, 30, 3)
    assert figures.of(OURS, "cpu_us") is None
    assert figures.of(THEIRS, "rate") is None


def test_a_ratio_is_taken_within_a_round():
    # The machine is half as fast in the second round, for both.
    figures = Figures([*runs(OURS, "rate", 100, 50), *runs(THEIRS, "rate", 10, 5, 7)])

    assert figures.ratio(OURS, THEIRS) == Figure(10, 10, 10, 2)
    assert figures.ratio(OURS, full(QUIX, 0)) is None


def test_a_failed_round_gives_no_figure_and_is_told():
    failed = Result(THEIRS, 1, 15.0, error="RunError: it died\nof this")
    figures = Figures([failed, Result(THEIRS, 2, 15.0, {"rate": 5.0})])

    assert figures.of(THEIRS, "rate") == Figure(5, 5, 5, 1)
    told = tables.of_errors(figures)
    assert told == f"- {THEIRS}: RunError: it died of this"
    assert "5 (one run) (1 failed)" in tables.of_throughput(figures, 0, 100, 1)


def test_flatness_is_the_dearest_over_the_cheapest_of_each_round():
    one, two = dimensions()["1, 2 and 4 workers"][:2]
    figures = Figures([*runs(one, "cpu_us", 10, 10), *runs(two, "cpu_us", 12, 9)])

    found = figures.flatness([one, two])
    assert found is not None
    assert found.least == pytest.approx(10 / 9 - 1)
    assert found.most == pytest.approx(0.2)


def test_each_dimension_varies_one_thing_and_holds_three_cases():
    found = dimensions()

    assert [len(cases) for cases in found.values()] == [3, 3, 3]
    assert {case.partitions for case in found["1, 8 and 64 partitions"]} == {1, 8, 64}
    assert {c.competitor.workers for c in found["1, 2 and 4 workers"]} == {1, 2, 4}


def test_a_bound_is_kept_by_the_median():
    figure = Figure(20.0, 5.0, 30.0, 3)

    assert Target("a", 20.0, " x", figure).is_met is True
    assert Target("a", 20.1, " x", figure).is_met is False
    assert Target("a", 20.0, " ms", figure, is_most=True).is_met is True
    assert Target("a", 20.0, " x", None).is_met is None


def test_targets_compare_equal_slots_over_one_protocol():
    pair, server = REST_PAIRS[1], alone(1, "rest", 8)
    results = [
        *runs(full(pair, 10), "rate", 95),
        *runs(full(server, 10), "rate", 100),
        *runs(full(STREAMS[1], 10), "rate", 100),
    ]
    met = {each.what: each.is_met for each in targets(Figures(results)) if each.figure}

    assert met == {f"{pair} / {server}, 10 ms": True, f"{pair} / {STREAMS[1]}, 10 ms": False}


@pytest.mark.parametrize(
    ("competitor", "alike"),
    [
        (STREAMS[0], REST_PAIRS[0]),
        (STREAMS[1], REST_PAIRS[1]),
        (QUIX, REST_PAIRS[0]),
        (PLAIN_64, headrace(64)),
        (alone(1, "rest", 8), REST_PAIRS[1]),
        (alone(256, "grpc"), headrace(256)),
    ],
    ids=str,
)
def test_a_competitor_is_divided_into_what_asks_the_model_as_it_does(competitor, alike):
    assert tables.like(full(competitor, 10)) == full(alike, 10)


def test_a_report_of_nothing_says_that_nothing_was_measured():
    text = page.report([])

    assert "not measured" in text
    assert "Runs that failed" not in text


def test_a_report_leaves_the_rest_of_a_page_alone():
    begun = page.with_report("# Benchmarks\n\nA figure.\n", "first")
    again = page.with_report(begun.replace("</", "</") + "After.\n", "second")

    assert begun.startswith("# Benchmarks\n\nA figure.\n\n## Side by side\n")
    assert "first" not in again
    assert again.count(page.BEGIN) == again.count(page.END) == 1
    assert again.endswith(f"second\n\n{page.END}\nAfter.\n")


def test_the_chart_of_other_figures_does_not_read_ours():
    results = [*runs(OURS, "rate", 100.0), *runs(THEIRS, "rate", 4.0)]

    assert list(ratios.ratios(page.report(results))) == []


def test_a_chart_is_whole_and_its_bars_grow_with_the_figures():
    bars = [chart.Bar("<one>", 1.0, "1 x"), chart.Bar("many", 100.0, "100 x")]
    text = chart.drawn("a & b", [chart.Group("here", bars), chart.Group("nothing", [])])

    root = ET.fromstring(text)
    widths = [float(each.attrib["width"]) for each in root.iter() if each.tag.endswith("rect")]
    assert widths == [1, chart.WIDTH_PX]
    assert "nothing" not in text


def test_charts_of_nothing_are_whole():
    for text in page.charts(Figures([])).values():
        ET.fromstring(text)
