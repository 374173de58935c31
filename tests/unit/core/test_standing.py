"""Where a record stands, from the records that were found and what each stage has finished."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.core.hops import Failure, Hop, HopKind
from headrace.core.records import TopicPartition
from headrace.core.runs import Runs
from headrace.core.standing import Evidence, Reached, lost, standing
from headrace.core.whereabouts import Map
from tests.unit import dags

DROPPED = "without a result (a gate, a route or a tombstone that is dropped)"
CHAIN = Map(dags.chain(), "in")
DIAMOND = Map(dags.diamond(), "in")
PAGES = Map(dags.pages(), "in")
FUSED = Map(dags.fused(), "in")
RECORDS = Map(dags.records(), "medical.charts")


def hop(topic: str, step: str = "", id_: str = "r", offset: int = 0, **more: Any) -> Hop:
    kind = HopKind.DERIVED if step else HopKind.SOURCE
    given = {"kind": kind, "at_ms": 1, **more}
    return Hop(id=id_, step=step, place=TopicPartition(topic, 0), offset=offset, **given)


def reached(**topics: int) -> dict[TopicPartition, Reached]:
    return {TopicPartition(topic.replace("_", "."), 0): Reached(at) for topic, at in topics.items()}


def states(
    known: Map,
    *hops: Hop,
    done: Mapping[str, Mapping[TopicPartition, Reached]] | None = None,
    **more: Any,
) -> list[tuple[list[str], str]]:
    found = standing(Evidence(hops, reached=done or {}, **more), known)
    return [(list(each.ids), each.words) for each in found]


def test_an_offset_is_finished_below_the_committed_one_and_in_the_map():
    at = Reached(5, Runs([(7, 9)]))

    assert [offset for offset in range(10) if at.has(offset)] == [0, 1, 2, 3, 4, 7, 8]
    assert not Reached(None).has(0)


def test_what_every_stage_has_finished_is_finished():
    done = {"a": reached(**{"in": 1}), "b": reached(chain_a=1), "c": reached(chain_b=1)}
    sink = hop("out", "c", kind=HopKind.SINK)

    assert states(CHAIN, hop("in"), hop("chain.a", "a"), hop("chain.b", "b"), sink, done=done) == []


def test_a_part_that_is_there_waits_for_the_others():
    done = {"left": reached(**{"in": 1}), "right": reached(**{"in": 1})}

    assert (
        states(DIAMOND, hop("in"), hop("diamond.left", "left"), done=done)
        == [
            (["r"], f"finished by step right {DROPPED}"),
            (["r"], "waiting at step both for: right"),
        ][::-1]
    )


def test_a_join_with_all_parts_waits_for_nothing_but_its_turn():
    done = {"left": reached(**{"in": 1}), "right": reached(**{"in": 1})}
    parts = [hop("diamond.left", "left"), hop("diamond.right", "right")]

    assert states(DIAMOND, hop("in"), *parts, done=done) == [(["r"], "waiting at step both")]


def test_parts_that_were_put_aside_are_there():
    spill = hop(
        "diamond.both.retry",
        "both",
        kind=HopKind.SPILL,
        parts=(("left", None), ("right", None)),
    )
    done = {"left": reached(**{"in": 1}), "right": reached(**{"in": 1})}

    assert states(DIAMOND, hop("in"), spill, done=done) == [(["r"], "waiting at step both")]


def test_after_a_replay_only_replayed_parts_count_beside_those_sent_back():
    back = {"kind": HopKind.RETRY, "is_replay": True}
    partial = hop("diamond.both.retry", "both", parts=(("left", None),), **back)
    before = [hop("diamond.left", "left"), hop("diamond.right", "right", outcome="failed")]
    done = {
        "left": reached(**{"in": 1}),
        "right": reached(**{"in": 1}),
        "both": reached(diamond_left=1, diamond_right=1),
    }
    again = hop("diamond.right", "right", offset=1, is_replay=True)

    assert states(DIAMOND, hop("in"), *before, partial, done=done) == [
        (["r"], "waiting at step both for: right"),
    ]
    assert states(DIAMOND, hop("in"), *before, partial, again, done=done) == [
        (["r"], "waiting at step both"),
    ]


def test_a_retry_waits_for_its_attempt_and_a_replay_to_be_taken():
    done = {"a": reached(**{"in": 1})}
    retry = hop("chain.a.retry", "a", kind=HopKind.RETRY, attempt=3)
    replay = hop("chain.a.retry", "a", kind=HopKind.RETRY, is_replay=True)

    assert states(CHAIN, hop("in"), retry, done=done) == [
        (["r"], "waiting at step a for attempt 3")
    ]
    assert states(CHAIN, hop("in"), replay, done=done) == [
        (["r"], "waiting at step a again after a replay")
    ]


def test_a_retry_that_is_finished_has_left_something_later():
    done = {"a": {**reached(**{"in": 1}), **reached(chain_a_retry=1)}}
    first = hop("chain.a.retry", "a", kind=HopKind.RETRY, attempt=2)
    second = hop("chain.a.retry", "a", offset=1, kind=HopKind.RETRY, attempt=3)

    assert states(CHAIN, hop("in"), first, second, done=done) == [
        (["r"], "waiting at step a for attempt 3")
    ]


def test_what_was_there_before_a_replay_did_not_come_of_it():
    done = {"a": {**reached(**{"in": 1}), **reached(chain_a_retry=1)}}
    letter = hop("chain.dead-letters", "a", kind=HopKind.DEAD_LETTER, at_ms=5, mark="0-0")
    mark = hop("chain.dead-letters", "", kind=HopKind.REPLAYED, at_ms=8, mark="0-0")
    replay = hop("chain.a.retry", "a", kind=HopKind.RETRY, is_replay=True, at_ms=9)
    undated = hop("out", "c", kind=HopKind.SINK, at_ms=None)
    silent = f"finished by step a {DROPPED}"

    assert states(CHAIN, hop("in"), letter, mark, replay, done=done) == [(["r"], silent)]
    assert states(CHAIN, hop("in"), letter, mark, replay, undated, done=done) == []


def test_an_open_dead_letter_is_a_state_and_one_with_a_mark_is_none():
    letter = hop(
        "chain.dead-letters",
        "a",
        kind=HopKind.DEAD_LETTER,
        failure=Failure("a", "InvalidInputError", "bad"),
        mark="0-4",
    )
    mark = hop("chain.dead-letters", kind=HopKind.REPLAYED, mark="0-4")
    done = {"a": reached(**{"in": 1})}

    assert states(CHAIN, hop("in"), letter, done=done) == [
        (["r"], "dead-lettered at step a: InvalidInputError: bad")
    ]
    assert states(CHAIN, hop("in"), letter, mark, done=done) == []


def test_an_early_end_is_told_until_it_is_forgotten():
    closed = hop("diamond.both.retry", "both", kind=HopKind.CLOSED)
    done = {"left": reached(**{"in": 1}), "right": reached(**{"in": 1})}
    sink = hop("out", "both", kind=HopKind.SINK)
    forgotten = done | {"both": reached(diamond_both_retry=1)}

    assert states(DIAMOND, hop("in"), closed, sink, done=done) == [
        (["r"], "ended early at step both; parts that still come are dropped")
    ]
    assert states(DIAMOND, hop("in"), closed, sink, done=forgotten) == []


def children(*indexes: int) -> list[Hop]:
    return [hop("pages.pages", "pages", f"r/{index}", offset=index) for index in indexes]


def test_a_gather_names_the_first_children_it_waits_for():
    done = {"pages": reached(**{"in": 1}), "score": reached(pages_pages=99)}
    scored = hop("pages.score", "score", "r/3")
    shown = [each for each in children(*range(9)) if each.id == "r/3"]

    assert states(PAGES, hop("in"), *shown, scored, done=done, counts={"r": 9}) == [
        (["r"], "waiting at step whole for child 0, 1, 2, 4, 5 and 3 more of 9")
    ]


def test_a_gather_whose_children_are_all_there_or_cannot_be_counted_just_waits():
    done = {"pages": reached(**{"in": 1}), "score": reached(pages_pages=99)}
    scored = hop("pages.score", "score", "r/0")

    assert states(PAGES, hop("in"), *children(0), scored, done=done, counts={"r": 1}) == [
        (["r"], "waiting at step whole")
    ]
    assert states(PAGES, hop("in"), *children(0), scored, done=done) == [
        (["r"], "waiting at step whole")
    ]


def test_a_record_that_was_split_into_nothing_is_all_of_its_children():
    done = {"pages": reached(**{"in": 1}), "score": reached(pages_pages=99)}
    empty = [hop(f"pages.{step}", step, outcome="empty") for step in ("pages", "score")]

    assert states(PAGES, hop("in"), *empty, done=done, counts={"r": 2}) == [
        (["r"], "waiting at step whole")
    ]


def test_children_in_one_state_are_named_together():
    done = {"pages": reached(**{"in": 1})}

    assert states(PAGES, hop("in"), *children(0, 1), done=done) == [
        (["r/0", "r/1"], "waiting at step score")
    ]


def test_what_was_taken_before_the_trace_window_or_beyond_the_bound_is_not_guessed():
    done = {"a": reached(**{"in": 1})}

    assert states(CHAIN, hop("in"), done=done, purged=["chain.a"]) == [
        (["r"], "taken by step a; what came of it has left the trace window")
    ]
    assert states(CHAIN, hop("in"), done=done, unread=["chain.a"]) == [
        (["r"], "finished by step a; nothing of it was found as far as was read")
    ]


def test_a_hop_further_on_tells_that_a_purged_one_was_there():
    done = {"a": reached(**{"in": 1})}
    sink = hop("out", "c", kind=HopKind.SINK)

    assert states(CHAIN, hop("in"), sink, done=done, purged=["chain.a"]) == []


def test_topics_that_lack_a_record_of_that_time_are_lost():
    evidence = Evidence([hop("in"), hop("chain.b", "b")], purged=["chain.a", "chain.b"])

    assert lost(evidence, CHAIN) == ["chain.a"]


def test_a_step_in_memory_waits_for_what_comes_to_the_steps_before_it():
    note = hop("records.entities", "entities", "r/0")
    done = {
        "pages": reached(medical_charts=1),
        "kind": reached(records_pages=1),
        "entities": {TopicPartition("records.kind.note", 0): Reached(1)},
        "negation": {TopicPartition("records.kind.note", 0): Reached(1)},
    }

    assert (["r/0"], "waiting at step codes for: negation") in states(
        RECORDS, hop("medical.charts"), note, done=done, counts={"r": 1}
    )


def test_a_fused_step_that_gathers_sees_through_memory():
    pages = dags.pages()
    split, score, whole = (each.steps[0] for each in pages.stages)
    inlet = replace(whole.inlets[0], topic="")
    fused = dags.stage("pages", "in", score, replace(whole, inlets=(inlet,)), name="rest")
    known = Map(dags.topology("pages", dags.stage("pages", "in", split), fused), "in")
    done = {"pages": reached(**{"in": 1})}

    assert states(known, hop("in"), *children(1), done=done, counts={"r": 2}) == [
        (["r"], "waiting at step whole for child 0 of 2")
    ]


def test_a_step_beside_the_one_that_waits_is_not_asked():
    split, score, whole = (each.steps[0] for each in dags.pages().stages)
    rest = dags.stage("pages", "in", score, whole, name="rest")
    known = Map(dags.topology("pages", dags.stage("pages", "in", split), rest), "in")
    done = {"pages": reached(**{"in": 1}), "rest": reached(pages_pages=1)}
    scored = hop("pages.score", "score", "r/0")

    assert states(known, hop("in"), *children(0), scored, done=done, counts={"r": 1}) == [
        (["r"], "waiting at step whole")
    ]


def test_a_child_may_have_left_what_is_told_of_its_parent():
    done = {"pages": reached(**{"in": 1}), "score": reached(pages_pages=1)}
    letter = hop("pages.dead-letters", "whole", kind=HopKind.DEAD_LETTER)

    assert states(PAGES, hop("in"), *children(0), letter, done=done) == []


def test_what_reads_the_source_directly_has_it():
    left, _, both = (each.steps[0] for each in dags.diamond().stages)
    inlets = (both.inlets[0], replace(both.inlets[1], topic="in", step="", parent="in"))
    stages = (dags.stage("diamond", "in", each) for each in (left, replace(both, inlets=inlets)))
    known = Map(dags.topology("diamond", *stages), "in")

    assert states(known, hop("in")) == [
        (["r"], "not finished by step left yet"),
        (["r"], "waiting at step both for: left"),
    ]


def test_a_source_that_several_read_is_read_by_each():
    assert states(DIAMOND, hop("in"), done={"left": reached(**{"in": 1})}, purged=["x"]) == [
        (["r"], "not finished by step right yet"),
        (["r"], f"finished by step left {DROPPED}"),
    ]


def test_a_step_fused_with_the_first_is_waited_for_with_it():
    assert states(FUSED, hop("in")) == [(["r"], "not finished by step first yet")]
