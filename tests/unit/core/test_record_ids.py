import pytest

from headrace.core.record_ids import (
    ancestor,
    covers,
    is_within,
    level_of,
    parsed_id,
    source_of,
    source_offset,
)
from headrace.errors import ConfigError


def test_an_id_is_taken_apart_and_put_together():
    id_ = parsed_id("my-topic.v2-3-1204/7/0")

    assert (id_.topic, id_.partition, id_.offset, id_.children) == ("my-topic.v2", 3, 1204, (7, 0))
    assert id_.root == "my-topic.v2-3-1204"
    assert str(id_) == "my-topic.v2-3-1204/7/0"


@pytest.mark.parametrize(
    "text", ["", "tweets", "tweets-3", "tweets-3-x", "t-1-2/", "t-1-2/a", "-1-2"]
)
def test_what_is_no_id_is_refused_with_what_one_looks_like(text):
    with pytest.raises(ConfigError, match=r"is no record id; .*tweets-3-1204"):
        parsed_id(text)


def test_the_source_is_read_from_the_bytes_of_a_header():
    assert source_of(b"my-topic.v2-3-1204/7/0") == b"my-topic.v2/3/1204"
    assert source_offset(b"my-topic.v2-3-1204/7/0") == 1204
    assert source_offset(b"no id") == 0


def test_relatives_are_told_by_their_ids():
    assert level_of("t-0-1/3/4") == 2
    assert ancestor("t-0-1/3/4", 1) == "t-0-1/3"
    assert ancestor("t-0-1", 2) == "t-0-1"
    assert is_within("t-0-1/3", "t-0-1")
    assert is_within("t-0-1", "t-0-1")
    assert not is_within("t-0-12", "t-0-1")


def test_children_are_covered_by_themselves_or_by_what_stands_for_them():
    counts = {"r": 2, "r/0": 2, "r/1": 0}

    assert covers({"r/0/0", "r/0/1"}, "r", 2, counts)
    assert covers({"r/0"}, "r", 2, counts)
    assert not covers({"r/0/0"}, "r", 2, counts)
    assert not covers({"r/0/0"}, "r", 2, {"r": 2})
    assert not covers(set(), "r", 0, counts)
