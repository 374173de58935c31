"""Durations and the other single values."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from headrace.spec.values import Window, show_duration

WINDOW = TypeAdapter(Window)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5ms", 0.005), ("250us", 0.00025), ("1.5s", 1.5), ("1m30s", 90), ("2h", 7200), ("1d", 86400)],
)
def test_a_duration_is_read_with_its_units(text, seconds):
    assert WINDOW.validate_python(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["5", "ms", "5 ms", "-5ms", "5msx", "5mss", 5, None, "1e3s", "\u0665s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValidationError, match="expects a duration with its unit"):
        WINDOW.validate_python(text)


def test_an_enormous_duration_is_out_of_range_and_no_crash():
    with pytest.raises(ValidationError, match="must be between 0s and 3650d"):
        WINDOW.validate_python("999999999999d999999999999d")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(microseconds=1500), "1500us"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(seconds=90), "90s"),
        (timedelta(hours=48), "2d"),
    ],
)
def test_a_duration_is_shown_in_its_largest_exact_unit(duration, text):
    assert show_duration(duration) == text
    assert WINDOW.validate_python(text) == duration
