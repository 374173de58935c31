import asyncio

import pytest

from headrace.testing import Fleet


class Idler:
    """Counts what happens to it."""

    def __init__(self, slot, log):
        self.slot, self.log = slot, log
        self.drained = asyncio.Event()
        self.error = None

    def drain(self):
        self.drained.set()

    async def run(self):
        self.log.append(("runs", self.slot))
        try:
            await self.drained.wait()
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.log.append(("dies", self.slot))
            raise
        self.log.append(("drains", self.slot))


@pytest.fixture
def log():
    return []


@pytest.fixture
def workers():
    return {}


@pytest.fixture
def fleet(cluster, log, workers):
    def make_worker(_source, _view, _sink, _model, slot):
        workers[slot] = Idler(slot, log)
        return workers[slot]

    return lambda: Fleet(cluster.broker, "group", ["in"], make_worker, restart_after_s=(2.0, 2.0))


async def test_a_killed_worker_starts_again(fleet, log):
    async with fleet() as running:
        running.start("a")
        await asyncio.sleep(1)
        running.crash("a")
        await asyncio.sleep(1.5)
        while_dead = running.slots
        await asyncio.sleep(1)

        assert while_dead == []
        assert log == [("runs", "a"), ("dies", "a"), ("runs", "a")]


async def test_a_worker_that_fails_is_remembered_and_starts_again(fleet, log, workers):
    async with fleet() as running:
        running.start("a")
        workers["a"].error = error = ValueError("broken")
        workers["a"].drain()
        await asyncio.sleep(3)

        assert running.failures == [("a", error)]
        assert log == [("runs", "a"), ("runs", "a")]


async def test_a_stopped_worker_drains_and_stays_away(fleet, log):
    async with fleet() as running:
        running.start("a", "b")
        await asyncio.sleep(0)
        await running.stop("a")
        await asyncio.sleep(60)

        assert running.slots == ["b"]
        assert log == [("runs", "a"), ("runs", "b"), ("drains", "a")]


async def test_leaving_kills_whoever_runs(fleet, log):
    async with fleet() as running:
        running.start("a")
        await asyncio.sleep(0)
    await asyncio.sleep(60)

    assert log == [("runs", "a"), ("dies", "a")]


async def test_waiting_for_what_never_comes_names_the_failures(fleet, workers):
    async with fleet() as running:
        running.start("a")
        workers["a"].error = ValueError("broken")
        workers["a"].drain()

        with pytest.raises(TimeoutError, match="broken"):
            await running.until(lambda: False, within_s=10)
