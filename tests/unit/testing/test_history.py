import pytest

from headrace.core.records import Record, TopicPartition
from headrace.errors import HeadraceError
from headrace.testing import judge
from headrace.testing.history import asked_late

IN, OUT = TopicPartition("in", 0), TopicPartition("out", 0)
INPUTS = [Record(IN, offset, b"k%d" % (offset % 2), b"") for offset in range(4)]


def results(*offsets: int) -> list[Record]:
    return [
        Record(OUT, n, None, b"", headers=[("headrace-source", b"in/0/%d" % offset)])
        for n, offset in enumerate(offsets)
    ]


def test_nothing_is_wrong_with_one_result_each_in_order():
    verdict = judge(INPUTS, results(0, 1, 2, 3), finished=lambda *_: True)

    assert not verdict
    assert str(verdict) == "nothing is wrong"


def test_a_record_without_a_result_is_lost():
    assert judge(INPUTS, results(0, 1, 3)).lost == ("in-0@2",)


def test_a_record_with_two_results_is_duplicated():
    assert judge(INPUTS, results(0, 1, 1, 2, 3)).duplicated == ("in-0@1",)


def test_a_result_after_a_later_one_of_its_key_is_reordered():
    assert judge(INPUTS, results(2, 0, 1, 3)).reordered == ("in-0@0",)


def test_results_of_different_keys_may_come_in_any_order():
    assert not judge(INPUTS, results(1, 0, 3, 2))


def test_a_whole_partition_may_be_one_lane():
    assert judge(INPUTS, results(1, 0, 2, 3), lane=lambda _: 0).reordered == ("in-0@0",)


def test_without_lanes_any_order_will_do():
    assert not judge(INPUTS, results(3, 2, 1, 0), lane=None)


def test_records_without_a_key_are_lanes_of_their_own():
    keyless = [Record(IN, offset, None, b"") for offset in range(2)]

    assert not judge(keyless, results(1, 0))


@pytest.mark.parametrize(("offsets", "done"), [((0, 1), {0, 1, 2}), ((0, 1, 2), {0, 1})])
def test_results_and_committed_offsets_that_disagree_are_torn(offsets, done):
    verdict = judge(INPUTS, results(*offsets), finished=lambda _, offset: offset in done)

    assert verdict.torn == ("in-0@2",)


def test_a_result_of_no_source_record_is_unexpected():
    verdict = judge(INPUTS, results(0, 1, 2, 3, 99))

    assert verdict.unexpected == ("Record(out-0@4) from in-0@99",)
    assert str(verdict) == "unexpected: Record(out-0@4) from in-0@99"


def test_a_result_that_does_not_say_where_it_comes_from_is_an_error():
    with pytest.raises(HeadraceError):
        judge(INPUTS, [Record(OUT, 0, None, b"")])


def test_a_result_of_an_aborted_record_is_seen():
    verdict = judge(INPUTS, results(0, 1, 2, 3, 4), aborted={(IN, 4)})

    assert verdict.aborted == ("in-0@4",)
    assert not verdict.unexpected


def test_a_record_that_a_model_saw_after_its_outcome_was_durable_is_seen():
    asked = {(IN, 0): 1.0, (IN, 1): 2.0, (IN, 2): 3.0}
    late = asked_late(asked, durable={(IN, 0): 1.5, (IN, 1): 1.5})
    verdict = judge(INPUTS, results(0, 1, 2, 3), again=late)

    assert verdict.again == ("in-0@1",)
