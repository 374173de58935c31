import pytest

from headrace.core.differences import ABSENT, Difference, aligned, differences


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": 1}, {"a": 2, "b": 3}, [("a", 1, 2), ("b", ABSENT, 3)]),
        ({"a": 1, "b": 2}, {"a": 1}, [("b", 2, ABSENT)]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [("a.b.1.c", 2, 3)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", [1], [1, 2])]),
        ([1, 2], [1, 3], [("1", 2, 3)]),
        ({"a": {"b": 1}}, {"a": None}, [("a", {"b": 1}, None)]),
        (None, {"a": 1}, [("", None, {"a": 1})]),
    ],
)
def test_every_place_that_differs_is_named_once(before, after, found):
    assert differences(before, after) == [Difference(*each) for each in found]


def test_a_partial_comparison_leaves_further_fields_out_at_every_depth():
    after = {"a": {"b": 1, "more": 2}, "more": 3}

    assert differences({"a": {"b": 1}}, after, is_partial=True) == []
    assert differences({"a": {"b": 2}}, after, is_partial=True) == [Difference("a.b", 2, 1)]


def test_what_is_absent_says_so():
    assert repr(ABSENT) == "nothing"


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        ("abc", "abc", [(0, 0), (1, 1), (2, 2)]),
        ("abc", "ac", [(0, 0), (1, None), (2, 1)]),
        ("ac", "abc", [(0, 0), (None, 1), (1, 2)]),
        ("abc", "axc", [(0, 0), (1, 1), (2, 2)]),
        ("", "a", [(None, 0)]),
        ("ab", "xaby", [(None, 0), (0, 1), (1, 2), (None, 3)]),
    ],
)
def test_equal_elements_stay_together_and_the_rest_is_paired_in_order(before, after, pairs):
    assert aligned(before, after) == pairs
