"""What the documentation promises of every hop of a record; see `tests/docs/guarantees.toml`."""

import pytest

from headrace.core.steps import Link, Outlet, Sink
from headrace.testing import ScriptedModel
from tests.unit.runtime.stages import OUT, by_topic, fused, letters, model, running, split, step


@pytest.mark.parametrize("key", [b"mine", None])
async def test_a_record_keeps_its_place_key_time_headers_and_id_on_a_hop(key):
    async with running(model(outlets=(Outlet("p.m"),), sinks=OUT)) as it:
        more = {"key": key, "partition": 3, "timestamp": 7_000, "headers": [("who", b"zoe")]}
        it.tell("p.a", {"text": "a"}, id_="in-3-5", **more)

        rows = await it.commit()

        assert {row.topic for row in rows} == {"p.m", "out"}
        for row in rows:
            assert (row.key, row.partition, row.timestamp) == (key, 3, 7_000)
            assert (row.id, row.says("who")) == ("in-3-5", "zoe")


async def test_children_leave_together_under_ids_of_their_own_where_their_parent_was():
    async with running(split(outlets=(Outlet("p.s"),))) as it:
        more = {"partition": 2, "timestamp": 7_000, "headers": [("who", b"zoe")]}
        [record] = it.tell("p.a", {"id": 1, "items": ["a", "b", "c"]}, id_="in-2-5", **more)

        in_one_transaction = len(record.output)
        rows = await it.commit()

        assert in_one_transaction == len(rows) == 3
        assert [row.id for row in rows] == ["in-2-5/0", "in-2-5/1", "in-2-5/2"]
        assert {(row.partition, row.timestamp, row.says("who")) for row in rows} == {
            (2, 7_000, "zoe")
        }


async def test_a_dead_letter_has_the_bytes_that_were_read_though_they_were_decoded():
    rejecting = ScriptedModel(poison=lambda _: True)
    async with running(model(sinks=OUT), models={"m": [rejecting]}) as it:
        value = b' {"text":  "a", "n": 1.50, "text2": "\\u00e9"} '
        it.tell("p.a", value)

        [letter] = letters(await it.commit())

        assert rejecting.calls == [1]
        assert letter.value == value


async def test_branches_in_memory_do_not_see_what_the_other_wrote():
    """A model writes into the document itself where nothing can refuse it any more."""
    first = step("a", links=(Link("m"), Link("n")))
    branches = [
        model(name, fused("a"), writes=name, links=(Link(f"{name}2"),)) for name in ("m", "n")
    ]
    ends = [step(f"{name}2", fused(name), sinks=(Sink(name),)) for name in ("m", "n")]
    async with running(first, *branches, *ends) as it:
        it.tell("p.a", {"text": "a"})

        rows = by_topic(await it.commit())

        assert rows == {"m": [{"text": "a", "m": "A"}], "n": [{"text": "a", "n": "A"}]}
