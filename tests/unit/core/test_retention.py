from headrace.core.records import TopicPartition
from headrace.core.retention import TraceWindow

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def test_nothing_goes_before_a_whole_window_was_seen():
    window = TraceWindow(3600)

    assert window.observe(0, {A: 100}) == {}
    assert window.observe(3599, {A: 900}) == {}


def test_what_was_finished_a_window_ago_goes_and_no_more():
    window = TraceWindow(3600)
    window.observe(0, {A: 100})
    window.observe(60, {A: 200})
    window.observe(120, {A: 300})

    assert window.observe(3600, {A: 900}) == {A: 100}
    assert window.observe(3700, {A: 900}) == {A: 200}
    assert window.observe(9000, {A: 900}) == {A: 900}


def test_without_a_window_everything_finished_goes_at_once():
    window = TraceWindow(0)

    assert window.observe(5, {A: 7}) == {A: 7}
    assert window.observe(5, {A: 9}) == {A: 9}


def test_offsets_that_were_set_back_keep_what_is_to_be_read_again():
    window = TraceWindow(3600)
    window.observe(0, {A: 100})
    window.observe(1800, {A: 50})

    assert window.observe(3600, {A: 500}) == {A: 50}


def test_a_partition_that_comes_back_begins_anew():
    window = TraceWindow(3600)
    window.observe(0, {A: 100, B: 100})

    window.keep_only({B})

    assert window.observe(3600, {A: 200, B: 200}) == {B: 100}


def test_however_often_it_looks_it_remembers_no_more_than_a_moment_is_long():
    window = TraceWindow(3600)
    for second in range(0, 7200, 10):
        window.observe(second, {A: second})

    (kept,) = window._seen.values()

    assert len(kept) < 70
    assert 3530 <= window.observe(7200, {A: 7200})[A] <= 3600
