import asyncio

import pytest

from headrace.core.records import TopicPartition
from headrace.testing.membership import Member, assign_range


async def test_every_member_gets_a_run_of_each_topic():
    members = [Member(name, name, "", ["left", "right"]) for name in ("b", "a", "c")]

    shares = assign_range(members, {"left": 7, "right": 7, "other": 3})

    for topic in ("left", "right"):
        numbers = {
            name: [p.partition for p in share if p.topic == topic] for name, share in shares.items()
        }
        assert numbers == {"a": [0, 1, 2], "b": [3, 4], "c": [5, 6]}
    assert all(p.topic != "other" for share in shares.values() for p in share)


async def test_more_members_than_partitions_leave_some_with_nothing():
    members = [Member(name, name, "", ["t"]) for name in "abc"]

    shares = assign_range(members, {"t": 2})

    assert shares == {"a": [TopicPartition("t", 0)], "b": [TopicPartition("t", 1)], "c": []}


async def test_who_does_not_join_again_in_time_is_out(cluster):
    group = cluster.broker.group("group")
    first, second = (Member(name, name, "", ["in"]) for name in "ab")
    group.join(first)
    answer = group.join(second)
    await asyncio.sleep(14.9)
    before = answer.done(), group.refusal(1, "a")
    await asyncio.sleep(0.2)

    assert before == (False, None)
    assert answer.result() == 2
    assert group.slots == {"b"}
    assert group.refusal(1, "a") == "UNKNOWN_MEMBER_ID"


@pytest.mark.parametrize(
    ("generation", "member", "refusal"),
    [
        (1, "m", None),
        (0, "m", "ILLEGAL_GENERATION"),
        (2, "m", "ILLEGAL_GENERATION"),
        (1, "x", "UNKNOWN_MEMBER_ID"),
        (-1, "x", "UNKNOWN_MEMBER_ID"),
        (-1, "", None),
    ],
)
async def test_commits_are_checked_by_generation(cluster, generation, member, refusal):
    group = cluster.broker.group("group")
    group.join(Member("m", "a", "", ["in"]))

    assert group.refusal(generation, member) == refusal
