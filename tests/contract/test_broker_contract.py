"""What a worker may rely on from Kafka, held against the simulated broker and a real one."""

import dataclasses
import time

import pytest

from headrace.core.records import Commit, Committed, TopicPartition
from headrace.errors import (
    ConfigError,
    FencedError,
    OffsetOutOfRangeError,
    TransactionAbortedError,
)
from headrace.ports import Bounds, Transaction

# TransactionSink


async def test_records_and_offsets_of_a_transaction_appear_together(setting):
    source, out = await setting.topic(), await setting.topic(2)
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    sink = await setting.sink("a")
    results = [setting.result(out, "zero", 0), setting.result(out, "one", 1)]

    await sink.commit(setting.transaction(member.token, results, commit={p: 3}, metadata="map"))

    assert await setting.stable(p) == (3, "map")
    assert await setting.values(out) == ["zero", "one"]


async def test_an_old_generation_aborts_and_leaves_nothing(setting):
    source, out = await setting.topic(2), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p, TopicPartition(source, 1))
    old = member.token
    other = await setting.member("b", source)
    await setting.one_partition_each(member, other)
    sink = await setting.sink("a")

    with pytest.raises(TransactionAbortedError):
        await sink.commit(setting.transaction(old, [setting.result(out, "x")], commit={p: 3}))

    assert await setting.stable(p) == (None, "")
    assert await setting.values(out) == []


async def test_the_same_transaction_passes_with_the_new_generation(setting):
    source, out = await setting.topic(2), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p, TopicPartition(source, 1))
    refused = setting.transaction(member.token, [setting.result(out, "x")], commit={p: 3})
    other = await setting.member("b", source)
    await setting.one_partition_each(member, other)
    sink = await setting.sink("a")
    with pytest.raises(TransactionAbortedError):
        await sink.commit(refused)

    await sink.commit(dataclasses.replace(refused, token=member.token))

    assert await setting.stable(p) == (3, "m")
    assert await setting.values(out) == ["x"]


async def test_a_member_may_commit_a_partition_that_another_one_owns(setting):
    """Kafka checks the generation, not the owner: leaving revoked partitions out is our duty."""
    source = await setting.topic(2)
    first = await setting.member("a", source)
    second = await setting.member("b", source)
    await setting.one_partition_each(first, second)
    (of_first,) = first.owned
    sink = await setting.sink("b")

    await sink.commit(setting.transaction(second.token, commit={of_first: 7}))

    assert await setting.stable(of_first) == (7, "m")


async def test_opening_a_sink_fences_the_former_holder(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    former = await setting.sink("a")
    await former.commit(setting.transaction(member.token, [setting.result(out, "mine")]))
    await setting.sink("a")

    with pytest.raises(FencedError):
        await former.commit(
            setting.transaction(member.token, [setting.result(out, "late")], commit={p: 3})
        )

    assert await setting.stable(p) == (None, "")
    assert await setting.values(out) == ["mine"]


async def test_a_fenced_sink_may_be_opened_again(setting):
    source, out = await setting.topic(), await setting.topic()
    member = await setting.member("a", source)
    await member.owns(TopicPartition(source, 0))
    first, second = await setting.sink("a"), await setting.sink("a")
    with pytest.raises(FencedError):
        await first.commit(setting.transaction(member.token, [setting.result(out, "x")]))

    await first.open()
    await first.commit(setting.transaction(member.token, [setting.result(out, "y")]))

    assert await setting.values(out) == ["y"]
    with pytest.raises(FencedError):
        await second.commit(setting.transaction(member.token, [setting.result(out, "z")]))


async def test_metadata_of_4095_characters_fits(setting):
    source = await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    sink = await setting.sink("a")

    await sink.commit(setting.transaction(member.token, commit={p: 3}, metadata="x" * 4095))

    assert await setting.stable(p) == (3, "x" * 4095)


async def test_metadata_of_4096_characters_aborts_and_the_sink_works_on(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    sink = await setting.sink("a")

    with pytest.raises(TransactionAbortedError):
        await sink.commit(
            setting.transaction(
                member.token, [setting.result(out, "x")], commit={p: 3}, metadata="x" * 4096
            )
        )
    await sink.commit(setting.transaction(member.token, [setting.result(out, "y")], commit={p: 4}))

    assert await setting.stable(p) == (4, "m")
    assert await setting.values(out) == ["y"]


async def test_a_record_larger_than_its_topic_takes_aborts_and_the_sink_works_on(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    sink = await setting.sink("a")
    results = [setting.result(out, "small"), setting.result(out, "x" * 1_100_000)]

    with pytest.raises(TransactionAbortedError):
        await sink.commit(setting.transaction(member.token, results, commit={p: 3}))
    await sink.commit(setting.transaction(member.token, [setting.result(out, "y")], commit={p: 4}))

    assert await setting.stable(p) == (4, "m")
    assert await setting.values(out) == ["y"]


async def test_records_arrive_as_they_were_written(setting):
    source, out = await setting.topic(), await setting.topic()
    member = await setting.member("a", source)
    await member.owns(TopicPartition(source, 0))
    sink = await setting.sink("a")
    headers = [("one", b"\x00\xff"), ("none", None), ("one", b"again")]
    tombstone = (out, None, b"key", 0, 1_700_000_000_123, headers)
    empty = (out, b"", b"", 0, 0, None)

    await sink.commit(setting.transaction(member.token, [tombstone, empty]))

    first, second = await setting.read(out)
    assert (first.key, first.value, first.timestamp) == (b"key", None, 1_700_000_000_123)
    assert [tuple(header) for header in first.headers or ()] == headers
    assert (second.key, second.value, second.headers or None) == (b"", b"", None)
    assert second.timestamp != 1_700_000_000_123


async def test_without_a_partition_number_the_key_decides(setting):
    source, out = await setting.topic(), await setting.topic(8)
    member = await setting.member("a", source)
    await member.owns(TopicPartition(source, 0))
    sink = await setting.sink("a")
    keys = [b"key %d" % (number % 10) for number in range(40)]

    await sink.commit(
        setting.transaction(member.token, [setting.result(out, "v", -1, key) for key in keys])
    )

    places = {(record.key, record.partition) for record in await setting.read(out)}
    assert len(places) == 10
    assert len({partition for _, partition in places}) > 1


async def test_a_transaction_of_nothing_is_nothing(setting):
    source = await setting.topic()
    member = await setting.member("a", source)
    await member.owns(TopicPartition(source, 0))
    sink = await setting.sink("a")

    await sink.commit(setting.transaction(member.token))

    assert await setting.stable(TopicPartition(source, 0)) == (None, "")


async def test_opening_a_sink_ends_the_transaction_its_slot_left_open(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    orphan = setting.transaction(member.token, [setting.result(out, "orphan")], commit={p: 3})
    await setting.leave_open("a", orphan)

    sink = await setting.sink("a")
    await sink.commit(setting.transaction(member.token, [setting.result(out, "new")]))

    assert await setting.stable(p) == (None, "")
    assert await setting.values(out) == ["new"]


# GroupView


async def test_a_group_that_never_committed_has_no_offset(setting):
    source = await setting.topic(2)
    partitions = [TopicPartition(source, 0), TopicPartition(source, 1)]

    assert await setting.view().committed(partitions) == dict.fromkeys(partitions, Committed(None))
    assert await setting.view().committed(partitions, stable=False) == dict.fromkeys(
        partitions, Committed(None)
    )


async def test_an_open_transaction_hides_the_offsets_it_holds_and_no_others(setting):
    source = await setting.topic(3)
    held, other, fresh = (TopicPartition(source, number) for number in range(3))
    member = await setting.member("a", source)
    await member.owns(held, other, fresh)
    sink = await setting.sink("a")
    await sink.commit(setting.transaction(member.token, commit={held: 1, other: 2}))
    await setting.stable(held)
    await setting.stable(other)
    await setting.leave_open("dead", setting.transaction(member.token, commit={held: 5, fresh: 6}))
    view = setting.view()

    stable = await view.committed([held, other, fresh])
    unstable = await view.committed([held, other, fresh], stable=False)

    assert stable == {held: None, other: Committed(2, "m"), fresh: None}
    assert unstable == {
        held: Committed(1, "m"),
        other: Committed(2, "m"),
        fresh: Committed(None),
    }


async def test_fencing_a_dead_slot_frees_the_offsets_it_held(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    sink = await setting.sink("a")
    await sink.commit(setting.transaction(member.token, [setting.result(out, "x")], commit={p: 1}))
    orphan = setting.transaction(member.token, [setting.result(out, "orphan")], commit={p: 5})
    await setting.leave_open("dead", orphan)

    await setting.view().fence("dead")

    assert await setting.stable(p) == (1, "m")
    assert await setting.values(out) == ["x"]


async def test_bounds_end_before_the_first_open_transaction(setting):
    source, out = await setting.topic(), await setting.topic()
    p, o = TopicPartition(source, 0), TopicPartition(out, 0)
    member = await setting.member("a", source)
    await member.owns(p)
    await setting.write(out, "0", "1", "2")
    await setting.leave_open("dead", setting.transaction(member.token, [setting.result(out, "3")]))
    await setting.write(out, "4")

    assert await setting.view().bounds([p, o]) == {p: Bounds(0, 0), o: Bounds(0, 3)}


async def test_bounds_begin_after_deleted_records(setting):
    p = TopicPartition(await setting.topic(), 0)
    await setting.write(p.topic, *"abcde")
    await setting.delete_records(p, 3)

    assert await setting.view().bounds([p]) == {p: Bounds(3, 5)}


@pytest.mark.parametrize(("start", "expected"), [("earliest", 1), ("latest", 3)])
async def test_a_partition_without_a_commit_starts_where_its_source_says(setting, start, expected):
    p = TopicPartition(await setting.topic(), 0)
    await setting.write(p.topic, "a", "b", "c")
    await setting.delete_records(p, 1)

    assert await setting.view({p.topic: start}).start_offsets([p]) == {p: expected}


async def test_a_timestamp_starts_at_the_first_record_that_is_not_older(setting):
    source, unrelated = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    writer = await setting.member("writer", unrelated)
    await writer.owns(TopicPartition(unrelated, 0))
    sink = await setting.sink("writer")
    now = round(time.time() * 1000)
    ages = (30_000, 20_000, 10_000)
    results = [(source, b"x", None, 0, now - age, None) for age in ages]
    await sink.commit(setting.transaction(writer.token, results))
    reader = await setting.member("reader", source)
    await reader.until(lambda: reader.positions.get(p) == 4)

    starts = [
        (await setting.view({source: now - age}).start_offsets([p]))[p]
        for age in (40_000, 20_000, 19_999, -60_000)
    ]

    assert starts == [0, 1, 2, 4]


async def test_a_source_that_says_error_does_not_start_without_a_commit(setting):
    p = TopicPartition(await setting.topic(), 0)

    with pytest.raises(ConfigError):
        await setting.view({p.topic: "error"}).start_offsets([p])


async def test_the_slots_of_live_members_are_known(setting):
    source = await setting.topic(2)
    first, second = await setting.member("a", source), await setting.member("b", source)
    await setting.one_partition_each(first, second)

    assert await setting.view().slots() == {"a", "b"}

    await first.leave()
    await second.until(lambda: len(second.owned) == 2)

    assert await setting.view().slots() == {"b"}


# RecordSource


async def test_records_are_fetched_in_order(setting):
    source = await setting.topic(2)
    values = [str(number) for number in range(1200)]
    await setting.write(source, *values[:700])
    member = await setting.member("a", source)
    await setting.write(source, *values[700:])
    await setting.write(source, *values, partition=1)

    await member.until(lambda: len(member.records) == 2400)

    for number in range(2):
        records = [r for r in member.records if r.partition == TopicPartition(source, number)]
        assert [record.offset for record in records] == list(range(1200))
        assert [(record.value or b"").decode() for record in records] == values


async def test_aborted_records_are_never_fetched(setting):
    source, unrelated = await setting.topic(), await setting.topic()
    writer = await setting.member("writer", unrelated)
    await writer.owns(TopicPartition(unrelated, 0))
    await setting.leave_open("a", setting.transaction(writer.token, [setting.result(source, "no")]))
    sink = await setting.sink("a")
    await sink.commit(setting.transaction(writer.token, [setting.result(source, "yes")]))

    reader = await setting.member("reader", source)
    await reader.until(lambda: bool(reader.records))

    assert reader.values == ["yes"]


async def test_nothing_behind_an_open_transaction_is_fetched_until_it_ends(setting):
    source, unrelated = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    writer = await setting.member("writer", unrelated)
    await writer.owns(TopicPartition(unrelated, 0))
    await setting.write(source, "before")
    await setting.leave_open("a", setting.transaction(writer.token, [setting.result(source, "no")]))
    await setting.write(source, "behind")
    reader = await setting.member("reader", source)
    await reader.until(lambda: reader.positions.get(p) == 1)
    seen = reader.values

    await setting.view().fence("a")
    await reader.until(lambda: len(reader.records) == 2)

    assert seen == ["before"]
    assert reader.values == ["before", "behind"]


async def test_the_position_at_the_end_of_a_log_is_behind_its_markers(setting):
    source, unrelated = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    writer = await setting.member("writer", unrelated)
    await writer.owns(TopicPartition(unrelated, 0))
    sink = await setting.sink("writer")
    await sink.commit(setting.transaction(writer.token, [setting.result(source, "0")]))

    reader = await setting.member("reader", source)
    await reader.until(lambda: reader.positions.get(p) == 2)

    assert [record.offset for record in reader.records] == [0]
    assert await setting.view().bounds([p]) == {p: Bounds(0, 2)}


async def test_a_paused_partition_waits_and_goes_on_where_it_stopped(setting):
    source = await setting.topic(2)
    paused, other = TopicPartition(source, 0), TopicPartition(source, 1)
    member = await setting.member("a", source)
    await member.owns(paused, other)
    member.source.pause([paused])
    await setting.write(source, "first", partition=1)
    await member.until(lambda: member.values == ["first"])
    await setting.write(source, "waits")
    await setting.write(source, "second", partition=1)
    await member.until(lambda: len(member.records) == 2)
    while_paused = member.values

    member.source.resume([paused])
    await member.until(lambda: len(member.records) == 3)

    assert while_paused == ["first", "second"]
    assert member.values == ["first", "second", "waits"]


async def test_a_partition_assigned_without_an_offset_waits_for_one(setting):
    source = await setting.topic(2)
    waiting = TopicPartition(source, 0)
    await setting.write(source, *"abc")
    await setting.write(source, "other", partition=1)
    member = await setting.member("a", source, resume_at={waiting: None})
    await member.until(lambda: bool(member.records))
    before = member.values

    member.source.start_at(member.epochs[-1], waiting, 1)
    await member.until(lambda: len(member.records) == 3)

    assert before == ["other"]
    assert member.values == ["other", "b", "c"]


async def test_an_offset_for_an_older_epoch_is_ignored(setting):
    source = await setting.topic(2)
    waiting = TopicPartition(source, 0)
    await setting.write(source, *"abc")
    await setting.write(source, "other", partition=1)
    member = await setting.member("a", source, resume_at={waiting: None})
    await member.until(lambda: bool(member.records))

    member.source.start_at(member.epochs[-1] - 1, waiting, 0)
    member.source.start_at(member.epochs[-1], waiting, 2)
    await member.until(lambda: len(member.records) == 2)

    assert member.values == ["other", "c"]


async def test_a_partition_resumes_exactly_at_the_offset_that_was_answered(setting):
    p = TopicPartition(await setting.topic(), 0)
    await setting.write(p.topic, *"abcde")
    member = await setting.member("a", p.topic, resume_at={p: 3})

    await member.until(lambda: member.positions.get(p) == 5)

    assert member.values == ["d", "e"]


async def test_an_offset_that_was_deleted_is_an_error(setting):
    p = TopicPartition(await setting.topic(), 0)
    await setting.write(p.topic, *"abcde")
    await setting.delete_records(p, 3)
    member = await setting.member("a", p.topic, resume_at={p: 1})

    assert isinstance(await member.fails(), OffsetOutOfRangeError)


async def test_an_offset_that_was_deleted_after_the_group_had_passed_it_is_no_error(setting):
    """A member that was away may read where it was before it hears that others went on."""
    source = await setting.topic(2)
    passed, other = TopicPartition(source, 0), TopicPartition(source, 1)
    await setting.write(source, *"abcde")
    first = await setting.member("a", source)
    await first.owns(passed, other)
    sink = await setting.sink("a")
    await sink.commit(setting.transaction(first.token, commit={passed: 4}))
    await first.leave()
    await setting.delete_records(passed, 3)

    late = await setting.member("b", source, resume_at={passed: 1})
    for value in "xyz":
        await setting.write(source, value, partition=1)
        await late.until(lambda value=value: value in late.values)
    await late.leave()

    assert late.values == ["x", "y", "z"]


async def test_equal_partition_numbers_of_two_topics_go_to_the_same_member(setting):
    left, right = await setting.topic(4), await setting.topic(4)
    first = await setting.member("a", left, right)
    second = await setting.member("b", left, right)

    await first.until(lambda: len(first.owned) == 4)
    await second.until(lambda: len(second.owned) == 4)

    for member in (first, second):
        numbers = [
            {p.partition for p in member.owned if p.topic == topic} for topic in (left, right)
        ]
        assert numbers[0] == numbers[1]
    assert first.owned.isdisjoint(second.owned)


async def test_a_member_that_leaves_gives_back_and_hands_over(setting):
    source = await setting.topic(2)
    everything = {TopicPartition(source, 0), TopicPartition(source, 1)}
    first, second = await setting.member("a", source), await setting.member("b", source)
    await setting.one_partition_each(first, second)
    owned = set(first.owned)

    await first.leave()
    await second.owns(*everything)

    assert set(first.revocations[-1]) == owned


async def test_epochs_count_assignments_and_revocations(setting):
    source = await setting.topic(2)
    member = await setting.member("a", source)
    await member.owns(TopicPartition(source, 0), TopicPartition(source, 1))
    first_token = member.token
    await setting.member("b", source)
    await member.until(lambda: len(member.owned) == 1)

    assert member.epochs == [1, 2, 3]
    assert member.token.member == first_token.member
    assert member.token.generation > first_token.generation
    assert member.token.is_member


async def test_a_commit_inside_a_revocation_is_accepted(setting):
    source, out = await setting.topic(2), await setting.topic()
    p = TopicPartition(source, 0)
    member = await setting.member("a", source)
    await member.owns(p, TopicPartition(source, 1))
    sink = await setting.sink("a")
    last = setting.transaction(member.token, [setting.result(out, "last")], commit={p: 3})

    async def commit() -> None:
        member.on_revoked = None
        await sink.commit(last)

    member.on_revoked = commit
    await setting.member("b", source)
    await member.until(lambda: len(member.owned) == 1)

    assert await setting.stable(p) == (3, "m")
    assert await setting.values(out) == ["last"]


async def test_who_takes_over_resumes_after_what_was_committed(setting):
    source, out = await setting.topic(), await setting.topic()
    p = TopicPartition(source, 0)
    await setting.write(source, *"abc")
    first = await setting.member("a", source)
    await first.until(lambda: len(first.records) == 3)
    sink = await setting.sink("a")
    await sink.commit(
        Transaction([setting.result(out, "A")], [Commit(p, 2, "after b")], first.token)
    )
    await first.leave()

    second = await setting.member("b", source)
    await second.until(lambda: bool(second.records))

    assert second.values == ["c"]
