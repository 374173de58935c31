"""What is recommended is nearly the fastest, and nothing as fast is more modest."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.tuning import NEARLY, Measured, percentile, recommend

WAYS = st.lists(
    st.builds(
        Measured,
        protocol=st.sampled_from(["gRPC", "REST JSON"]),
        rows=st.sampled_from([1, 8, 32]),
        slots=st.integers(1, 4),
        rate=st.floats(1, 1e6),
        p50_s=st.just(0.001),
        p99_s=st.just(0.002),
        cpu_us=st.floats(0.1, 100),
        row_bytes=st.just(10.0),
    ),
    max_size=20,
)


@given(WAYS)
def test_the_recommended_way_is_nearly_the_fastest_and_the_most_modest_of_those(ways):
    chosen = recommend(ways)

    if not ways:
        assert chosen is None
        return
    fast = [each for each in ways if each.rate >= NEARLY * max(one.rate for one in ways)]
    assert chosen in fast
    assert chosen.rows * chosen.slots == min(each.rows * each.slots for each in fast)


def test_of_two_equals_the_one_that_costs_the_client_less_is_taken():
    dear = Measured("REST JSON", 8, 1, 1000.0, 0.1, 0.2, 9.0, 10.0)
    cheap = Measured("gRPC", 8, 1, 950.0, 0.1, 0.2, 3.0, 10.0)

    assert recommend([dear, cheap]) is cheap


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_enough_of_the_others_do_not_exceed(values, share):
    found = percentile(values, share)

    assert found in values
    assert sum(each <= found for each in values) >= share * len(values)
    below = [each for each in values if each < found]
    assert len(below) < share * len(values)
