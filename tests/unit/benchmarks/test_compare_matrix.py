"""Which runs a comparison has, and which are left when it goes on."""

from pathlib import Path

from benchmarks.compare.matrix import KINDS, LARGE, MOST_SLOTS, PEERS, cases, chosen
from benchmarks.compare.results import Result, append, known, missing

CASES = cases()


def those(kind: str, **wanted: int) -> set:
    found = [case for case in CASES if case.kind == kind]
    return {c.competitor for c in found if all(getattr(c, k) == v for k, v in wanted.items())}


def test_no_run_is_listed_twice_and_each_has_a_name_of_its_own():
    assert len(set(CASES)) == len(CASES)
    assert len({str(case) for case in CASES}) == len(CASES)


def test_every_kind_and_every_program_is_there():
    assert {case.kind for case in CASES} == set(KINDS)
    assert {case.competitor.program for case in CASES} == set(PEERS)


def test_model_servers_take_turns_in_the_order_of_their_cost():
    costs = [case.cost_ms for case in CASES]

    assert costs == sorted(costs)


def test_headrace_runs_with_every_number_of_rows_at_every_cost():
    for cost_ms in (0, 10, 50):
        rows = {c.rows for c in those("throughput", cost_ms=cost_ms) if c.program == "headrace"}
        assert rows == {1, 32, 64, 256}


def test_one_call_per_record_has_one_row():
    callers = [case for case in CASES if case.competitor.program in ("streams", "quix")]

    assert {case.competitor.rows for case in callers} == {1}


def test_large_payloads_and_two_workers_are_measured_at_ten_milliseconds_only():
    special = [c for c in CASES if c.payload_bytes == LARGE or c.block[-1] > 1]

    assert special
    assert {case.cost_ms for case in special if case.kind == "throughput"} == {10}


def test_a_ceiling_has_the_slots_that_headrace_may_reach():
    ceilings = {c.slots for c in those("throughput") if c.program == "alone" and c.rows > 1}

    assert ceilings == {MOST_SLOTS}


def test_runs_are_chosen_by_kind_program_or_both():
    assert {case.kind for case in chosen(["latency"])} == {"latency"}
    assert {case.competitor.program for case in chosen(["streams"])} == {"streams"}
    both = chosen(["silence/quix", "flat"])
    assert {(c.kind, c.competitor.program) for c in both} == {
        ("silence", "quix"),
        ("flat", "headrace"),
    }
    assert chosen([]) == CASES
    assert chosen(["nobody"]) == []


def test_what_is_written_down_is_read_again_and_the_last_line_of_a_run_counts(tmp_path: Path):
    history = tmp_path / "results.jsonl"
    failed = Result(CASES[0], 1, 15.0, error="RunError: it died", versions={"python": "3"})
    worked = Result(CASES[0], 1, 15.0, {"rate": 12.5}, noise=0.1)

    assert known(history) == {}
    append(history, failed)
    assert known(history) == {failed.key: failed}
    append(history, worked)
    assert known(history) == {worked.key: worked}


def test_only_what_is_missing_runs_round_after_round():
    done = [Result(CASES[0], 1, 15.0), Result(CASES[1], 1, 15.0, error="it died")]
    found = {each.key: each for each in done}

    assert missing(CASES[:2], 2, found) == [(CASES[0], 2), (CASES[1], 2)]
    assert missing(CASES[:2], 1, found) == []
    assert missing(CASES[:2], 1, found, is_again=True) == [(CASES[1], 1)]
