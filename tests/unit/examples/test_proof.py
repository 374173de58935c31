"""The demo's proof can fail."""

import pytest

from headrace.core.records import Record, TopicPartition

IN, OUT, DEAD = (TopicPartition(topic, 0) for topic in ("in", "out", "dead-letters"))


@pytest.fixture
def proof(module_of):
    return module_of("tweets/proof.py")


def inputs(count):
    return [Record(IN, offset, None, b"{}") for offset in range(count)]


def left(place, *origins):
    return [
        Record(place, at, None, b"{}", 0, [("headrace-source", b"in/0/%d" % origin)])
        for at, origin in enumerate(origins)
    ]


def test_every_record_once_in_results_or_dead_letters_is_a_proof(proof):
    found = proof.Proof.of(7, inputs(4), left(OUT, 0, 1, 3), left(DEAD, 2))

    assert found.holds
    assert str(found) == (
        "killed 7 workers with -9: 4 read = 3 written + 1 dead-lettered, 0 lost, 0 doubled"
    )


def test_a_lost_record_is_none(proof):
    found = proof.Proof.of(7, inputs(3), left(OUT, 0, 2), [])

    assert not found.holds
    assert "1 lost, 0 doubled\nlost: in-0@1" in str(found)


@pytest.mark.parametrize(("results", "dead"), [((0, 1, 1), ()), ((0, 1), (1,))])
def test_a_doubled_record_is_none(proof, results, dead):
    found = proof.Proof.of(7, inputs(2), left(OUT, *results), left(DEAD, *dead))

    assert not found.holds
    assert "0 lost, 1 doubled\nduplicated: in-0@1" in str(found)


def test_a_run_with_few_kills_proves_too_little(proof):
    found = proof.Proof.of(4, inputs(1), left(OUT, 0), [])

    assert not found.holds
    assert "fewer than 5 kills prove nothing" in str(found)
