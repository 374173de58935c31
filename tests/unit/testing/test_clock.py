import asyncio
import time

import pytest

from headrace.testing import DeadlockError, VirtualTimeExceededError, explore, run


def test_an_hour_of_virtual_time_takes_no_time():
    async def wait():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    started = time.monotonic()

    assert run(wait()) == 3600
    assert time.monotonic() - started < 5


def test_timers_fire_in_order_of_their_time():
    async def race():
        woken = []

        async def sleeper(seconds):
            await asyncio.sleep(seconds)
            woken.append((seconds, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as tasks:
            for seconds in (3.0, 0.1, 0.2, 1e-7, 0.1):
                tasks.create_task(sleeper(seconds))
        return woken

    assert run(race()) == [(s, pytest.approx(s)) for s in (1e-7, 0.1, 0.1, 0.2, 3.0)]


def test_a_timeout_ends_a_wait_for_something_that_never_comes():
    async def wait():
        async with asyncio.timeout(5):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(wait())


def test_a_deadlock_names_the_tasks_that_wait():
    async def never():
        await asyncio.Event().wait()

    async def main():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(never(), name="first")
            tasks.create_task(never(), name="second")

    with pytest.raises(DeadlockError, match=r"first, second"):
        run(main())


def test_a_run_ends_at_the_limit():
    async def tick():
        for _ in range(100):
            await asyncio.sleep(1)

    with pytest.raises(VirtualTimeExceededError, match="10 virtual seconds"):
        run(tick(), limit_s=10)


def test_threads_are_refused():
    async def think():
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(RuntimeError, match="no threads"):
        run(think())


def test_tasks_left_over_are_cancelled():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main():
        left_over.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    left_over = []
    run(main())

    assert ended == ["cancelled"]


def test_an_exploration_says_which_seed_failed():
    async def scenario(seed):
        await asyncio.sleep(seed)
        if seed == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three") as caught:
        explore(scenario, range(10))

    assert caught.value.__notes__ == ["seed 3"]


def test_whoever_sets_a_timer_again_that_came_too_early_comes_to_an_end():
    async def main():
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        calls = 0

        def check(due):
            nonlocal calls
            calls += 1
            if loop.time() >= due or calls > 100:
                done.set()
            else:
                loop.call_at(due, check, due)
                # There is something to do at once: the loop does not wait for the timer.
                loop.call_soon(list)

        loop.call_at(3.0, check, 3.0)
        for _ in range(60):
            # The sum of these falls short of 3 by the last bits.
            await asyncio.sleep(0.05)
        await done.wait()
        return calls

    assert run(main()) <= 2
