"""What is heard of a client's log, and what goes on to ours."""

import logging

import pytest

from headrace.kafka.connections import ConnectionWatch

TOLD = ("%s [%s] %s", "FAIL", "producer-1", "h:1/1: Disconnected")


def test_the_users_contexts_stay_beside_ours():
    assert ConnectionWatch().properties({"debug": "eos,msg"})["debug"] == "broker,eos,msg"
    assert ConnectionWatch().properties({})["debug"] == "broker"


@pytest.mark.parametrize(
    ("asked", "level", "is_heard"),
    [(5, 30, True), (5, 20, False), ("6", 20, True), ("3", 30, False), (7, 10, True)],
)
def test_a_line_below_the_level_that_was_asked_for_ends_here(caplog, asked, level, is_heard):
    watch = ConnectionWatch()
    watch.properties({"log_level": asked})

    with caplog.at_level(logging.DEBUG, "headrace.kafka"):
        watch.log(level, *TOLD)

    assert bool(caplog.records) is is_heard


def test_a_level_that_is_none_is_left_for_the_client_to_refuse():
    assert ConnectionWatch().properties({"log_level": "loud"}) == {"log_level": "loud"}
