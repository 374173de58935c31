import itertools
import math
import time

import pytest

from headrace.cli import pacing
from headrace.errors import ConfigError


def test_a_steady_pace_lets_the_first_record_go_at_once():
    pace = pacing.steady(10)

    assert pace.due(0.0) == 1
    assert pace.due(1.0) == 11


def test_without_a_rate_everything_is_due():
    assert pacing.steady(None).due(0.0) == float("inf")


def test_a_curve_is_the_area_under_its_lines():
    pace = pacing.curve_of(["0,0\n", "10,100\n", "20,100\n"], "curve.csv")

    assert pace.due(5) == pytest.approx(125)
    assert pace.due(10) == pytest.approx(500)
    assert pace.due(20) == pytest.approx(1500)
    assert pace.due(30) == pytest.approx(2500)


def test_a_curve_that_goes_down_to_nothing_ends_there():
    pace = pacing.curve_of(["0,10", "10,10", "20,0"], "curve.csv")

    assert pace.most == 150
    assert pace.due(1000) == 150


@pytest.mark.parametrize("heading", ["seconds,records_per_second", "time,rate"])
def test_a_heading_and_blank_lines_are_left_out(heading):
    pace = pacing.curve_of([heading, "", " 0 , 10", ""], "curve.csv")

    assert pace.due(1) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "curve.csv has no line"),
        ("seconds,rate\n", "curve.csv has no line"),
        ("0,0\n5,0\n", "above 0"),
        ("0,1\nx,y\n", "curve.csv, line 2: 'x,y' is not .*'x' is not a number"),
        ("second,rate\nat,rate\n", "line 2"),
        ("0 1\n", "line 1: .* it has 1 columns"),
        ("0,1,2\n1,1\n", "line 1: .* it has 3 columns"),
        ("0,1\n\n0,2\n", "line 3: .* seconds rise, and the line before says 0"),
        ("-1,1\n", "seconds begin at 0"),
        ("0,-1\n", "a rate is not negative"),
        ("0,nan\n", "'nan' is not a number"),
        ("0,inf\n", "'inf' is not a number"),
        ('"0,1\n1,1\n', "line 1"),
    ],
)
def test_a_bad_curve_is_refused_with_its_file_and_line(tmp_path, text, said):
    path = tmp_path / "curve.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        pacing.curve(path)


def test_a_curve_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_bytes(b"\xff\xfe0\x00")

    with pytest.raises(ConfigError, match=r"curve\.csv is not a text of lines"):
        pacing.curve(path)


def test_pacing_ends_where_the_curve_does():
    passed = list(pacing.paced(range(100), pacing.Pace(lambda _: math.inf, most=3.5)))

    assert passed == [0, 1, 2]


def test_items_do_not_come_before_they_are_due():
    begun = time.monotonic()

    passed = list(pacing.paced(range(6), pacing.steady(50)))

    assert passed == list(range(6))
    assert time.monotonic() - begun >= 0.1


def test_pacing_ends_soon_when_it_is_over():
    over = itertools.chain([False, False], itertools.repeat(True))

    passed = list(pacing.paced(range(100), pacing.steady(0.001), lambda: next(over)))

    assert len(passed) <= 1
