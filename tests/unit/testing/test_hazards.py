import pytest

from headrace.testing import STORM, Hazards
from headrace.testing.hazards import CRASH, LATE


def test_a_planned_fault_happens_once_and_to_the_slot_it_is_meant_for():
    hazards = Hazards.none()
    hazards.plan("end", LATE, "b")

    faults = [hazards.fault(*where) for where in [("end", "a"), ("open", "b"), ("end", "b")] * 2]

    assert faults == [None, None, LATE, None, None, None]
    assert hazards.injected == [("end", LATE, "b")]


def test_random_faults_end_with_their_budget():
    hazards = Hazards(1, {"end": [(CRASH, 1.0)]}, budget=2)

    assert [hazards.fault("end", "a") for _ in range(4)] == [CRASH, CRASH, None, None]


def test_without_delays_nothing_takes_time():
    hazards = Hazards.none()

    assert {hazards.latency() for _ in range(100)} == {0.0}
    assert hazards.between(1.0, 2.0) == 1.0
    assert hazards.some(500) == 500


def test_the_same_seed_gives_the_same_course():
    courses = []
    for _ in range(2):
        hazards = Hazards(7, STORM, budget=5)
        courses.append(
            [(hazards.latency(), hazards.fault("end", "a"), hazards.some(9)) for _ in range(200)]
        )

    assert courses[0] == courses[1]
    assert any(fault for _, fault, _ in courses[0])


@pytest.mark.parametrize("seed", range(20))
def test_times_and_numbers_stay_in_their_bounds(seed):
    hazards = Hazards(seed)

    for _ in range(200):
        assert 0 <= hazards.latency() <= 1
        assert 1 <= hazards.some(7) <= 7
        assert 2 <= hazards.between(2, 3) <= 3
        assert 0 < hazards.lateness() <= 12
