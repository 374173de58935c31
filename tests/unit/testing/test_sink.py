import asyncio

import pytest

from headrace.core.records import TopicPartition
from headrace.errors import (
    BrokerUnavailableError,
    FencedError,
    InvariantError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.testing import SimulatedCrash, SimulatedSink
from headrace.testing.hazards import (
    ABORT,
    APPLIED,
    APPLIED_THEN_FENCED,
    CRASH,
    CRASH_IN_FLIGHT,
    DOWN,
    FENCED,
    LATE,
    LOST,
    UNAVAILABLE,
)

P0 = TopicPartition("in", 0)


async def turns_until(holds):
    """Let the event loop take single turns."""
    for _ in range(100):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to hold")


@pytest.mark.parametrize("point", ["produce", "offsets", "end"])
async def test_a_refused_transaction_leaves_nothing_and_may_be_repeated(cluster, point):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan(point, ABORT)

    with pytest.raises(TransactionAbortedError):
        await sink.commit(cluster.transaction("x", p0=1))
    after_abort = cluster.outcome
    await sink.commit(cluster.transaction("x", p0=1))

    assert after_abort == ([], None)
    assert cluster.outcome == (["x"], 1)


@pytest.mark.parametrize(("fault", "outcome"), [(LOST, ([], None)), (APPLIED, (["x"], 1))])
async def test_an_indefinite_end_has_happened_or_not(cluster, fault, outcome):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("end", fault)

    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("x", p0=1))
    await sink.open()

    assert cluster.outcome == outcome
    assert not cluster.broker.has_open_transactions


@pytest.mark.parametrize(
    ("point", "fault", "outcome"),
    [
        ("produce", FENCED, ([], None)),
        ("offsets", FENCED, ([], None)),
        ("end", FENCED, ([], None)),
        ("end", APPLIED_THEN_FENCED, (["x"], 1)),
    ],
)
async def test_a_fenced_end_may_have_happened_only_if_the_commit_was_sent(
    cluster, point, fault, outcome
):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan(point, fault)

    with pytest.raises(FencedError):
        await sink.commit(cluster.transaction("x", p0=1))

    assert cluster.outcome == outcome
    assert not cluster.broker.has_open_transactions


async def test_an_indefinite_end_that_is_late_is_stopped_by_a_new_producer(cluster):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("end", LATE)
    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("x", p0=1))

    await sink.open()
    await asyncio.sleep(60)

    assert cluster.outcome == ([], None)


async def test_a_producer_that_is_not_replaced_has_its_next_transaction_torn(cluster):
    """KAFKA-17754: the late end of one transaction ends the next one half written."""
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("end", LATE)
    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("x"))
    cluster.hazards.plan("offsets", CRASH)

    with pytest.raises(SimulatedCrash):
        await sink.commit(cluster.transaction("y", p0=1))
    await asyncio.sleep(60)

    assert cluster.outcome == (["x", "y"], None)


async def test_after_an_indefinite_end_the_producer_is_not_used_again(cluster):
    sink = await cluster.sink(cluster.process("a"))
    sink.is_careless = False
    cluster.hazards.plan("end", LOST)
    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("x"))

    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("y"))


async def test_a_transaction_goes_on_when_its_caller_is_cancelled(cluster):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("end", DOWN)
    committing = asyncio.create_task(sink.commit(cluster.transaction("x", p0=1)))
    await turns_until(lambda: cluster.broker.is_down)
    committing.cancel()
    await asyncio.sleep(5)

    assert committing.cancelled()
    assert cluster.outcome == (["x"], 1)
    await sink.commit(cluster.transaction("y"))
    assert cluster.outcome == (["x", "y"], 1)


async def test_a_call_waits_for_the_one_before_it(cluster):
    sink = await cluster.sink(cluster.process("a"))
    cluster.broker.go_down(3.0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sink.commit(cluster.transaction("x")))
        tasks.create_task(sink.open())
        tasks.create_task(sink.commit(cluster.transaction("y")))

    assert cluster.outcome == (["x", "y"], None)


async def test_whoever_opens_last_has_the_transactional_id(cluster):
    first, second = cluster.process("a"), cluster.process("a")
    slow, fast = (SimulatedSink(cluster.broker, each, "group") for each in (first, second))

    async with asyncio.TaskGroup() as tasks:
        loser = tasks.create_task(refused(slow.open))
        tasks.create_task(fast.open())

    assert isinstance(loser.result(), FencedError)
    await fast.commit(cluster.transaction("x"))
    assert cluster.outcome == (["x"], None)


async def refused(call):
    try:
        await call()
    except FencedError as error:
        return error


async def test_a_crash_inside_a_transaction_leaves_it_open_until_it_is_too_old(cluster):
    process = cluster.process("a")
    sink = await cluster.sink(process)
    cluster.hazards.plan("end", CRASH)

    with pytest.raises(SimulatedCrash):
        await sink.commit(cluster.transaction("x", p0=1))
    was_open = cluster.broker.has_open_transactions
    await asyncio.sleep(10.5)

    assert was_open
    assert not cluster.broker.has_open_transactions
    assert cluster.outcome == ([], None)


async def test_a_crash_after_the_end_arrived_has_committed(cluster):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("ended", CRASH)

    with pytest.raises(SimulatedCrash):
        await sink.commit(cluster.transaction("x", p0=1))

    assert cluster.outcome == (["x"], 1)


async def test_an_end_in_flight_survives_the_process_unless_it_is_fenced(cluster):
    outcomes = []
    for slot, is_fenced in (("a", False), ("b", True)):
        sink = await cluster.sink(cluster.process(slot))
        cluster.hazards.plan("end", CRASH_IN_FLIGHT)
        with pytest.raises(SimulatedCrash):
            await sink.commit(cluster.transaction(slot))
        if is_fenced:
            await cluster.view().fence(slot)
        await asyncio.sleep(20)
        outcomes.append(cluster.outcome[0])

    assert outcomes == [["a"], ["a"]]


async def test_a_transaction_that_takes_too_long_is_aborted_by_the_coordinator(cluster):
    sink = await cluster.sink(cluster.process("a"))
    committing = asyncio.create_task(sink.commit(cluster.transaction("x")))
    await turns_until(lambda: cluster.broker.has_open_transactions)
    cluster.broker.go_down(11.0)

    with pytest.raises(TransactionIndefiniteError):
        await committing

    assert cluster.outcome == ([], None)


async def test_an_abort_without_an_answer_is_indefinite(cluster):
    sink = await cluster.sink(cluster.process("a"))
    cluster.hazards.plan("offsets", ABORT)
    cluster.hazards.plan("abort", LOST)

    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(cluster.transaction("x", p0=1))
    await sink.open()

    assert cluster.outcome == ([], None)


async def test_a_commit_waits_for_a_broker_and_an_open_does_not(cluster):
    process = cluster.process("a")
    sink = await cluster.sink(process)
    cluster.broker.go_down(4.0)

    await sink.commit(cluster.transaction("x"))
    waited_until = asyncio.get_running_loop().time()
    cluster.broker.go_down(4.0)

    with pytest.raises(BrokerUnavailableError):
        await sink.open()
    assert waited_until == pytest.approx(4.0)
    assert cluster.outcome == (["x"], None)


@pytest.mark.parametrize("fault", [UNAVAILABLE, DOWN])
async def test_requests_about_the_group_may_stay_unanswered(cluster, fault):
    view = cluster.view()
    cluster.hazards.plan("committed", fault)
    if fault == DOWN:
        cluster.broker.go_down(1.0)

    with pytest.raises(BrokerUnavailableError):
        await view.committed([P0])
    await asyncio.sleep(10)

    assert (await view.committed([P0]))[P0].offset is None


async def test_the_broker_lets_somebody_who_is_no_member_commit_unchecked(cluster):
    """Classic groups really accept this, which is why the sink refuses it."""
    owner = await cluster.member(cluster.process("owner"))
    sink = await cluster.sink(cluster.process("stranger"))
    sink.is_careless = False
    stray = cluster.transaction("x", token=cluster.no_member, p0=9)

    with pytest.raises(InvariantError):
        await sink.commit(stray)
    sink.is_careless = True
    await sink.commit(stray)

    assert owner.token.is_member
    assert cluster.outcome == (["x"], 9)


async def test_nothing_a_dead_process_does_reaches_the_broker(cluster):
    process = cluster.process("a")
    sink, view = await cluster.sink(process), cluster.view(process)
    process.crash()

    for call in (
        lambda: sink.commit(cluster.transaction("x")),
        sink.open,
        lambda: view.fence("b"),
        lambda: view.committed([P0]),
        sink.close,
    ):
        with pytest.raises(SimulatedCrash):
            await call()
    assert cluster.outcome == ([], None)
