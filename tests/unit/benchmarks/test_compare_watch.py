"""What a watcher of a feed says of what it saw: lost, doubled, late, silent."""

import pytest

from benchmarks.compare.watch import Sight, delays_ms, longest_silence, lost_and_doubled


def sights(*seen: tuple[float, float], partition: int = 0, first: int = 0) -> list[Sight]:
    """Return what was seen, each given as when and when written."""
    return [Sight(at, first + n, partition, written) for n, (at, written) in enumerate(seen)]


def test_what_never_comes_is_lost_and_what_comes_again_is_doubled():
    assert lost_and_doubled([0, 1, 1, 3, 1], 5) == (2, 2)
    assert lost_and_doubled([0, 1, 2], 3) == (0, 0)


def test_delays_are_those_of_records_written_in_the_window():
    seen = sights((1.5, 1.0), (3.0, 2.0), (9.0, 4.0))

    assert delays_ms(seen, 1.0, 4.0) == [500.0, 1000.0]


def test_silence_lasts_from_one_result_to_the_next_while_a_record_waits():
    seen = sights((10.0, 9.9), (14.0, 10.0), (14.1, 14.0))

    assert longest_silence(seen, 9.0, 20.0) == pytest.approx(4.0)


def test_a_partition_without_records_is_not_silent():
    seen = sights((10.0, 9.9), (14.0, 13.5))

    assert longest_silence(seen, 9.0, 20.0) == pytest.approx(0.5)


def test_of_a_silence_only_what_is_within_the_window_counts():
    seen = sights((10.0, 9.9), (14.0, 10.0))

    assert longest_silence(seen, 12.0, 20.0) == pytest.approx(2.0)
    assert longest_silence(seen, 9.0, 13.0) == pytest.approx(3.0)
    assert longest_silence(seen, 15.0, 20.0) == 0.0
    assert longest_silence(seen, 0.0, 9.0) == 0.0


def test_a_result_that_comes_again_does_not_break_a_silence():
    again = [Sight(12.0, 0, 0, 9.9)]
    seen = sights((10.0, 9.9), (14.0, 10.0)) + again

    assert longest_silence(seen, 9.0, 20.0) == pytest.approx(4.0)


def test_the_longest_silence_of_all_partitions_counts():
    seen = sights((10.0, 9.9), (11.0, 10.0)) + sights((10.0, 9.9), (13.0, 10.0), partition=1)

    assert longest_silence(seen, 9.0, 20.0) == pytest.approx(3.0)


def test_a_result_out_of_turn_leaves_the_older_one_waiting():
    seen = sights((10.0, 9.0), (11.0, 10.9), (15.0, 9.1))

    assert longest_silence(seen, 9.0, 20.0) == pytest.approx(4.0)
