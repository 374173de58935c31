import itertools
import time

import pytest

from headrace.cli import pacing
from headrace.errors import ConfigError


def test_a_steady_pace_lets_the_first_record_go_at_once():
    pace = pacing.steady(10)

    assert pace(0.0) == 1
    assert pace(1.0) == 11


def test_without_a_rate_everything_is_due():
    assert pacing.steady(None)(0.0) == float("inf")


def test_a_curve_is_the_area_under_its_lines(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("second,rate\n0,0\n10,100\n20,100\n")

    pace = pacing.curve(path)

    assert pace(5) == pytest.approx(125)
    assert pace(10) == pytest.approx(500)
    assert pace(20) == pytest.approx(1500)
    assert pace(30) == pytest.approx(2500)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line"),
        ("second,rate\n", "no line"),
        ("0,1\nx,y\n", "line 2"),
        ("0,1\n0,2\n", "seconds rise"),
        ("0,-1\n", "not negative"),
        ("0,0\n5,0\n", "above 0"),
        ("0,1,2\n1,1\n0,x\n", "line 3"),
    ],
)
def test_a_bad_curve_is_refused(tmp_path, text, said):
    path = tmp_path / "curve.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        pacing.curve(path)


def test_items_do_not_come_before_they_are_due():
    begun = time.monotonic()

    passed = list(pacing.paced(range(6), pacing.steady(50)))

    assert passed == list(range(6))
    assert time.monotonic() - begun >= 0.1


def test_pacing_ends_soon_when_it_is_over():
    over = itertools.chain([False, False], itertools.repeat(True))

    passed = list(pacing.paced(range(100), pacing.steady(0.001), lambda: next(over)))

    assert len(passed) <= 1
