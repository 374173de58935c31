"""The choice of a replica."""

import pytest

from headrace.inference.balance import FIRST_REST_S, LONGEST_REST_S, Balancer


def test_the_replica_with_the_fewest_outstanding_is_chosen():
    balancer = Balancer(3)
    first, second, third = (balancer.take(0.0) for _ in range(3))
    balancer.give_back(second)

    chosen = balancer.take(0.0)

    assert sorted([first, second, third]) == [0, 1, 2]
    assert chosen == second
    assert balancer.outstanding() == (1, 1, 1)


def test_idle_replicas_take_turns():
    balancer = Balancer(2)
    chosen = []
    for _ in range(4):
        chosen.append(balancer.take(0.0))
        balancer.give_back(chosen[-1])

    assert chosen == [0, 1, 0, 1]


def test_a_replica_that_was_tried_is_left_out():
    balancer = Balancer(2)

    assert balancer.take(0.0, tried=[0]) == 1
    with pytest.raises(LookupError):
        balancer.take(0.0, tried=[0, 1])


def test_an_unreachable_replica_rests_even_when_the_others_are_busy():
    balancer = Balancer(2)
    balancer.unreachable(0, now=0.0)

    assert [balancer.take(0.1) for _ in range(5)] == [1] * 5


def test_a_rested_replica_is_tried_again():
    balancer = Balancer(2)
    balancer.unreachable(0, now=0.0)
    balancer.take(0.1)

    assert balancer.take(FIRST_REST_S) == 0


def test_the_only_replica_is_chosen_although_it_rests():
    balancer = Balancer(1)
    balancer.unreachable(0, now=0.0)

    assert balancer.take(0.0) == 0


def test_when_all_rest_the_one_that_rests_shortest_is_chosen():
    balancer = Balancer(2)
    balancer.unreachable(0, now=0.0)
    balancer.unreachable(1, now=0.1)

    assert balancer.take(0.2) == 0


def test_each_failure_doubles_the_rest_and_an_answer_ends_it():
    balancer = Balancer(2)
    now = 0.0
    for _ in range(20):
        balancer.unreachable(0, now)
        now += LONGEST_REST_S
    balancer.unreachable(0, now)

    resting, rested = balancer.take(now + LONGEST_REST_S - 0.1), balancer.take(now + LONGEST_REST_S)
    balancer.give_back(rested)
    balancer.reached(0)

    assert (resting, rested) == (1, 0)
    assert balancer.take(now) == 0


def test_calls_that_fail_together_count_as_one_failure():
    balancer = Balancer(2)
    for _ in range(16):
        balancer.unreachable(0, now=0.0)
    balancer.take(0.0)

    assert balancer.take(FIRST_REST_S) == 0
