import pytest

from headrace.cli.survey import _Sample
from headrace.core.records import TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def test_a_rate_is_what_was_committed_between_two_looks():
    before = _Sample({A: 100, B: 50}, at_s=10.0)

    assert _Sample({A: 160, B: 50}, at_s=12.0).rate_since(before) == pytest.approx(30)


def test_a_partition_that_is_new_counts_from_its_start():
    before = _Sample({A: 100}, at_s=10.0)

    assert _Sample({A: 100, B: 4}, at_s=12.0).rate_since(before) == pytest.approx(2)


def test_offsets_that_went_back_are_no_rate():
    assert _Sample({A: 1}, at_s=2.0).rate_since(_Sample({A: 5}, at_s=1.0)) == 0
