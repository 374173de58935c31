import json

import pytest

from headrace.cli.trails import as_json, as_text
from headrace.core.hops import Failure, Hop, HopKind, Story
from headrace.core.records import TopicPartition
from headrace.core.standing import State
from headrace.kafka.tracing import Trail

ROOT = "in-0-4"


def hop(kind: HopKind, step: str = "", **more: object) -> Hop:
    given = {"id": ROOT, "place": TopicPartition("t", 1), "offset": 9, **more}
    return Hop(kind=kind, step=step, **given)


def trail(*hops: Hop, states: tuple[State, ...] = (), children: tuple[Story, ...] = ()) -> Trail:
    return Trail(ROOT, Story(ROOT, hops, children), states, ("p.a",), (), 1_234)


def lines(shown: Trail) -> list[list[str]]:
    return [line.split() for line in as_text(shown).splitlines()]


def test_a_hop_is_a_line_with_its_place_and_models():
    shown = lines(
        trail(hop(HopKind.SOURCE), hop(HopKind.DERIVED, "a", outcome="result", models=("a=m@1",)))
    )

    assert shown[0] == ["STEP", "WHAT", "WHERE", "WRITTEN", "MODELS"]
    assert shown[1:4] == [
        [ROOT],
        ["source", "source", "t-1@9"],
        ["a", "result", "t-1@9", "a=m@1"],
    ]


@pytest.mark.parametrize(
    ("found", "what", "note"),
    [
        (hop(HopKind.SINK, "a", outcome="result"), "result", "sink"),
        (
            hop(HopKind.DEAD_LETTER, "a", attempt=1, failure=Failure("a", "E", "no\n good")),
            "dead letter",
            "1 attempt; E: no good",
        ),
        (hop(HopKind.DEAD_LETTER, "a", attempt=3), "dead letter", "3 attempts"),
        (hop(HopKind.REPLAYED, mark="1-9"), "sent back", "dead letter 1-9"),
        (hop(HopKind.RETRY, "a", attempt=2), "retry", "attempt 2"),
        (hop(HopKind.RETRY, "a", attempt=1, is_replay=True), "replay", ""),
        (hop(HopKind.SPILL, "a"), "parts put aside", ""),
        (hop(HopKind.CLOSED, "a"), "closed", ""),
        (
            hop(
                HopKind.DERIVED,
                "b",
                outcome="failed",
                is_replay=True,
                failure=Failure("a", "E", "no"),
            ),
            "failed",
            "after a replay; at a: E: no",
        ),
    ],
)
def test_what_is_particular_about_a_hop_is_noted(found, what, note):
    line = as_text(trail(found)).splitlines()[2]

    assert f"  {what}  " in f"{line}  "
    assert line.endswith(note)


def test_when_a_retry_is_due_is_noted():
    assert "not before 2025-10-" in as_text(
        trail(hop(HopKind.RETRY, "a", attempt=2, not_before_ms=1_760_000_000_000))
    )


def test_the_key_of_the_source_record_is_shown():
    source = trail(hop(HopKind.SOURCE, key=b"C-7"))

    assert as_text(source).splitlines()[2].endswith("key C-7")
    assert json.loads(as_json(source))["key"] == "C-7"
    assert json.loads(as_json(trail(hop(HopKind.SOURCE))))["key"] is None


def test_children_are_indented_below_their_parent():
    child = Story(f"{ROOT}/0", [hop(HopKind.DERIVED, "a", id=f"{ROOT}/0", outcome="dropped")])

    shown = as_text(trail(hop(HopKind.SOURCE), children=(child,))).splitlines()

    assert shown[3].startswith(f"  {ROOT}/0")
    assert shown[4].startswith("    a")


def test_where_it_stands_and_what_is_gone_and_what_it_took_stand_at_the_end():
    ids = [f"{ROOT}/{index}" for index in range(5)]
    states = (State([ROOT], "waiting at step a"), State(ids, "waiting at step b"))

    assert as_text(trail(states=states)).splitlines()[-4:] == [
        f"now: {ROOT}: waiting at step a",
        f"now: {ids[0]}, {ids[1]}, {ids[2]} and 2 more: waiting at step b",
        "p.a: records of that time have left the trace window",
        "read 1,234 records",
    ]
    assert "now: finished" in as_text(trail())


def test_a_machine_gets_all_of_it():
    child = Story(f"{ROOT}/0", ())
    failed = hop(HopKind.DERIVED, "a", at_ms=5, failure=Failure("a", "E", "no"))

    told = json.loads(as_json(trail(failed, children=(child,), states=(State([ROOT], "s"),))))

    assert told["id"] == ROOT
    assert told["trail"]["hops"] == [
        {
            "kind": "derived",
            "step": "a",
            "topic": "t",
            "partition": 1,
            "offset": 9,
            "written_ms": 5,
            "outcome": "",
            "models": [],
            "attempt": 0,
            "not_before_ms": 0,
            "is_replay": False,
            "error": {"step": "a", "class": "E", "message": "no"},
        }
    ]
    assert told["trail"]["children"] == [{"id": f"{ROOT}/0", "hops": [], "children": []}]
    assert told["states"] == [{"ids": [ROOT], "state": "s"}]
    assert (told["left_trace_window"], told["records_read"]) == (["p.a"], 1234)
