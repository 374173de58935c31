"""The adaptive limit against simulated servers."""

import heapq
import random
from collections.abc import Callable
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.concurrency import FIRST_LIMIT, AdaptiveLimit
from headrace.errors import InvariantError


class Fixed:
    """A limit that never changes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def on_answer(self, *_: object) -> None:
        pass


class Server:
    """A first-in first-out server of some units, and a client with records without end."""

    def __init__(self, units: int | None, service_s: Callable[[], float], overhead_s=0.0) -> None:
        self.free = [0.0] * units if units else None
        self.service_s = service_s
        self.overhead_s = overhead_s
        self.now = 0.0
        self.calls: list[tuple[float, int, float, int]] = []
        self.order = count()

    def call(self, rows: int) -> None:
        arrived = self.now + self.overhead_s
        if self.free is None:
            end = arrived + self.service_s()
        else:
            end = max(heapq.heappop(self.free), arrived) + self.service_s()
            heapq.heappush(self.free, end)
        heapq.heappush(self.calls, (end, next(self.order), self.now, rows))

    def run(self, limit, answers, rows=lambda: 64, most_in_flight=10**6) -> list[int]:
        """Keep every slot busy; return the limit after every answer."""
        trace = []
        for _ in range(answers):
            while len(self.calls) < min(limit.limit, most_in_flight):
                self.call(rows())
            busy = len(self.calls)
            self.now, _, sent, size = heapq.heappop(self.calls)
            limit.on_answer(self.now - sent, size, busy, self.now)
            trace.append(limit.limit)
        return trace


def throughput(limit, units, service_s, answers, overhead_s=0.0) -> float:
    server = Server(units, service_s, overhead_s)
    server.run(limit, answers)
    return answers / server.now


@pytest.mark.parametrize("units", [1, 2, 3, 4, 6, 8, 12])
def test_the_limit_swings_between_what_the_server_does_at_once_and_twice_that(units):
    trace = Server(units, lambda: 0.05).run(AdaptiveLimit(1, 64), 12_000)[6000:]

    assert max(trace) <= 2 * units + 1
    assert min(trace) >= int(0.7 * units)  # a probe below; rare, as the mean shows
    within = sum(limit >= units for limit in trace)
    assert within / len(trace) > 0.85
    assert units <= sum(trace) / len(trace) <= 2 * units + 1


@pytest.mark.parametrize("service_s", [0.001, 0.05, 2.0])
def test_a_server_that_shows_no_queue_gets_the_maximum(service_s):
    trace = Server(None, lambda: service_s).run(AdaptiveLimit(1, 16), 2000)

    assert set(trace[400:]) == {16}


@pytest.mark.parametrize("units", [1, 2, 4, 8, None])
@pytest.mark.parametrize("service_s", [0.001, 0.05])
def test_throughput_is_near_that_of_the_best_fixed_limit(units, service_s):
    chosen = random.Random(units or 0)

    def varying() -> float:
        return service_s * chosen.lognormvariate(0.0, 0.3)

    best = max(
        throughput(Fixed(limit), units, varying, 2000, overhead_s=0.0003)
        for limit in (1, 2, 4, 8, 16, 32)
    )

    adaptive = throughput(AdaptiveLimit(1, 32), units, varying, 12_000, overhead_s=0.0003)

    assert adaptive >= 0.9 * best


def test_latency_that_varies_without_a_queue_leaves_most_slots():
    chosen = random.Random(11)

    trace = Server(None, lambda: chosen.expovariate(20.0)).run(AdaptiveLimit(1, 32), 10_000)

    assert sum(trace) / len(trace) > 28


def test_a_very_fast_server_is_never_driven_down_to_one_request():
    chosen = random.Random(5)

    trace = Server(8, lambda: chosen.uniform(0.0005, 0.0015)).run(AdaptiveLimit(1, 32), 10_000)

    assert min(trace) >= 4


def test_latency_that_doubles_through_the_load_of_others_shrinks_the_limit():
    slowness = [1.0]
    server = Server(None, lambda: 0.05 * slowness[0])
    limit = AdaptiveLimit(1, 16)
    before = server.run(limit, 1000)[-1]

    slowness[0] = 2.5
    after = min(server.run(limit, 300))

    assert before == 16
    assert after < 8


def test_a_server_that_became_slower_for_good_gets_its_slots_back():
    slowness = [1.0]
    server = Server(None, lambda: 0.05 * slowness[0])
    limit = AdaptiveLimit(1, 16)
    server.run(limit, 1000)

    slowness[0] = 5.0
    trace = server.run(limit, 4000)

    assert set(trace[-1000:]) == {16}


def test_the_limit_does_not_grow_while_slots_stay_empty():
    trace = Server(None, lambda: 0.05).run(AdaptiveLimit(1, 16), 1000, most_in_flight=2)

    assert set(trace) == {FIRST_LIMIT}


def test_a_slow_answer_with_slots_empty_changes_nothing():
    limit = AdaptiveLimit(1, 16)
    for i in range(500):
        limit.on_answer(0.01 if i < 100 else 1.0, 1, 1, 10.0 + i)

    assert limit.limit == FIRST_LIMIT


def test_large_requests_are_not_compared_with_small_ones():
    sizes = random.Random(3)
    rows = [1]
    server = Server(None, lambda: 0.001 * rows[0])

    def some() -> int:
        rows[0] = sizes.choice([1, 8, 64, 512])
        return rows[0]

    trace = server.run(AdaptiveLimit(1, 16), 4000, rows=some)

    assert set(trace[2000:]) == {16}


def test_a_size_that_was_not_seen_for_a_while_keeps_its_baseline():
    limit = AdaptiveLimit(1, 16)
    now = 0.0

    def answer(latency_s: float, rows: int, times: int) -> None:
        nonlocal now
        for _ in range(times):
            now += latency_s + 1.0
            limit.on_answer(latency_s, rows, limit.limit, now)

    answer(0.01, rows=1, times=24)
    for _ in range(2):
        answer(1.0, rows=64, times=240)
        answer(3.0, rows=64, times=72)
    before = limit.limit

    answer(0.1, rows=1, times=72)

    assert limit.limit < before


def test_a_burst_of_refusals_halves_the_limit_once():
    limit = AdaptiveLimit(1, 16)
    Server(None, lambda: 0.05).run(limit, 1000)

    for i in range(10):
        limit.on_overload(1000.0 + i * 0.001)
    assert limit.limit == 8
    limit.on_overload(1001.0)

    assert limit.limit == 4


def test_after_a_refusal_the_limit_grows_by_one_at_a_time():
    limit = AdaptiveLimit(1, 64)
    server = Server(None, lambda: 0.05)
    server.run(limit, 1000)
    limit.on_overload(server.now)

    trace = server.run(limit, 1000)

    steps = {after - before for before, after in pairwise(trace)}
    assert steps == {0, 1}


@given(
    st.integers(1, 8),
    st.integers(0, 8),
    st.lists(
        st.none() | st.tuples(st.floats(0.0, 10.0), st.integers(0, 600), st.integers(0, 20)),
        max_size=200,
    ),
)
def test_whatever_happens_the_limit_stays_within_its_bounds(minimum, more, events):
    limit = AdaptiveLimit(minimum, minimum + more)

    for i, event in enumerate(events):
        if event is None:
            limit.on_overload(float(i))
        else:
            for _ in range(24):
                limit.on_answer(*event, now=10.0 * i + 11.0)

        assert minimum <= limit.limit <= minimum + more


@pytest.mark.parametrize(("minimum", "maximum", "first"), [(1, 16, 4), (1, 2, 2), (6, 9, 6)])
def test_the_first_limit_is_four_or_what_the_bounds_allow(minimum, maximum, first):
    assert AdaptiveLimit(minimum, maximum).limit == first


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 4), (5, 4)])
def test_impossible_bounds_are_refused(minimum, maximum):
    with pytest.raises(InvariantError, match="slots"):
        AdaptiveLimit(minimum, maximum)
