"""The supervisor restarts what dies, gives up on what is hopeless and leaves nothing behind."""

import asyncio
import queue
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.errors import LocalError
from headrace.local.process import is_alive
from headrace.local.supervisor import Command, RestartPolicy, Supervisor, keep_running

QUICK = RestartPolicy(first_delay_s=0.01, max_delay_s=0.05, give_up_after=4)
SLEEPER = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"


def python(name: str, code: str, **env: str) -> Command:
    return Command(name, (sys.executable, "-c", code), env)


class Lines:
    """Collects what workers say."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()

    def write(self, line: str) -> None:
        self.all.append(line)
        self._queue.put(line)

    async def next(self, part: str) -> str:
        while True:
            line = await asyncio.to_thread(self._queue.get, timeout=20)
            if part in line:
                return line


def pid_in(line: str) -> int:
    return int(line.rsplit(" ", 1)[1])


def ended(pid: int) -> bool:
    return not is_alive(pid)


def run(scenario) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario

    asyncio.run(bounded())


def test_lines_of_a_worker_carry_its_name_and_its_environment():
    lines = Lines()

    async def scenario() -> None:
        command = python("w0", "import os; print(os.environ['SLOT'], flush=True)", SLOT="seven")
        async with Supervisor([command], write=lines.write):
            await lines.next("seven")

    run(scenario())

    assert lines.all == ["w0 | seven"]


def test_output_on_stderr_and_overlong_lines_come_out_too():
    lines = Lines()
    code = "import sys; sys.stderr.write('x' * 100_000 + '\\nafter\\n')"

    async def scenario() -> None:
        async with Supervisor([python("w0", code)], write=lines.write):
            await lines.next("after")

    run(scenario())

    assert sum(line.count("x") for line in lines.all) == 100_000


def test_a_worker_that_is_killed_is_started_again_and_counted():
    lines = Lines()

    async def scenario() -> None:
        commands = [python(name, SLEEPER) for name in ("w0", "w1")]
        async with Supervisor(commands, write=lines.write) as supervisor, asyncio.TaskGroup() as tg:
            watching = tg.create_task(supervisor.watch())
            first = {await lines.next("pid"), await lines.next("pid")}
            name = supervisor.kill_one(random.Random(1))
            again = await lines.next("pid")
            status = supervisor.status()
            await supervisor.stop()
            await watching

            assert name is not None
            assert again.startswith(name)
            assert again not in first
            assert (status.running, status.restarts, status.kills) == (2, 1, 1)

    run(scenario())


def test_workers_are_killed_at_random_by_the_seed_until_cancelled():
    lines = Lines()

    async def scenario() -> None:
        async with (
            Supervisor([python("w0", SLEEPER)], write=lines.write, policy=QUICK) as supervisor,
            asyncio.TaskGroup() as tg,
        ):
            watching = tg.create_task(supervisor.watch())
            killing = tg.create_task(supervisor.kill_every(0.05, random.Random(7)))
            for _ in range(QUICK.give_up_after + 2):
                await lines.next("pid")
            killing.cancel()
            await supervisor.stop()
            await watching
            # More kills of our own than quick deaths are forgiven.
            assert supervisor.status().kills > QUICK.give_up_after

    run(scenario())


def test_a_worker_that_always_dies_is_given_up_with_its_status():
    lines = Lines()

    async def scenario() -> None:
        crashing = python("w0", "raise SystemExit(1)")
        async with Supervisor([crashing], write=lines.write, policy=QUICK) as supervisor:
            with pytest.raises(LocalError, match=r"'w0' ended \(exit status 1\) 4 times in a row"):
                await supervisor.watch()
            assert supervisor.status().restarts == QUICK.give_up_after - 1

    run(scenario())


def test_a_worker_that_calls_itself_hopeless_is_not_started_again():
    async def scenario() -> None:
        broken = python("w0", "raise SystemExit(2)")
        async with Supervisor([broken], write=lambda _: None) as supervisor:
            with pytest.raises(LocalError, match="would not help"):
                await supervisor.watch()
            assert supervisor.status().restarts == 0

    run(scenario())


def test_leaving_asks_workers_to_end_and_kills_what_does_not():
    lines = Lines()
    polite = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'drained\\n'), sys.exit()))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    pids: list[int] = []

    async def scenario() -> None:
        commands = [python("polite", polite), python("stubborn", stubborn)]
        async with Supervisor(commands, write=lines.write, grace_s=1.0):
            pids.append(pid_in(await lines.next("pid")))
            if "polite | ready" not in lines.all:
                await lines.next("ready")

    run(scenario())

    assert "polite | drained" in lines.all
    assert ended(pids[0])


def test_children_of_a_dead_worker_do_not_outlive_it():
    lines = Lines()
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])\n"
        "time.sleep(60)"
    )
    pids: list[int] = []

    async def scenario() -> None:
        async with Supervisor([python("w0", code)], write=lines.write) as supervisor:
            watching = asyncio.ensure_future(supervisor.watch())
            pids.append(pid_in(await lines.next("pid")))
            supervisor.kill_one(random.Random(1))
            pids.append(pid_in(await lines.next("pid")))
            await supervisor.stop()
            await watching

    run(scenario())

    assert all(_goes(pid) for pid in pids)


def _goes(pid: int, within_s: float = 15.0) -> bool:
    """Whether a process is gone soon; a signal that was sent takes its time."""
    deadline = time.monotonic() + within_s
    while not _gone(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return _gone(pid)


def _gone(pid: int) -> bool:
    """An orphan that nobody reaps yet is gone all the same."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


_PARENT = f"""
import asyncio, sys
from headrace.local.supervisor import Command, Supervisor

async def main():
    command = Command("w0", (sys.executable, "-c", {SLEEPER!r}))
    async with Supervisor([command], write=lambda line: print(line, flush=True)):
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_workers_end_with_a_supervisor_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = pid_in(parent.stdout.readline().strip())
        parent.kill()
        parent.wait()

    assert _goes(worker)


def test_a_command_that_does_not_exist_is_a_clear_error():
    async def scenario() -> None:
        commands = [python("w0", SLEEPER), Command("w1", ("/no/such/worker",))]
        async with Supervisor(commands, write=lambda _: None):
            pytest.fail("it must not start")

    with pytest.raises(LocalError, match="'/no/such/worker' could not be started"):
        run(scenario())


def test_delays_double_from_the_second_quick_death_up_to_the_bound():
    policy = RestartPolicy(first_delay_s=0.2, max_delay_s=1.0)

    delays = [policy.delay_s(deaths) for deaths in range(6)]

    assert delays == [0.0, 0.0, 0.2, 0.4, 0.8, 1.0]


class FakeService:
    """A service that dies, and comes back when its script says so."""

    name = "the oven"

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.is_running = False

    def restart(self) -> None:
        if not self.answers:
            raise asyncio.CancelledError
        if not self.answers.pop(0):
            raise LocalError("not yet")
        self.is_running = True


def test_a_dead_service_is_restarted_until_it_comes_back():
    service = FakeService(False, False, True)
    reports: list[str] = []
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if service.is_running:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_running(service, report=reports.append, policy=QUICK, sleep=sleep))

    assert service.answers == []
    assert reports.count("not yet") == 2
    assert reports[0] == "the oven has died; starting it again"
    assert sleeps == pytest.approx([0.2, 0.2, 0.21, 0.2])


def test_a_service_that_never_comes_back_is_given_up():
    async def sleep(_: float) -> None:
        return None

    with pytest.raises(LocalError, match="not yet"):
        asyncio.run(
            keep_running(
                FakeService(*[False] * 9), report=lambda _: None, policy=QUICK, sleep=sleep
            )
        )
