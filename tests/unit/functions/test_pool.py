import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from headrace.errors import ConfigError, FunctionError, FunctionTimeoutError
from headrace.functions.loading import load
from headrace.functions.pool import ProcessCaller

SOURCE = """
    import os, signal, sys, threading, time

    started = os.getpid()

    def judge(document):
        what = document.get("do")
        if what == "raise":
            raise ValueError(document["n"])
        if what == "drop":
            return None
        if what == "exit":
            os._exit(7)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            threading.Event().wait()
        if what == "print":
            print("to the terminal"); sys.stdout.flush(); os.write(1, b"and to its descriptor")
            assert sys.stdin.read() == ""
        if what == "slow":
            time.sleep(0.06)  # longer than outcomes are kept back
        if what == "leave":
            raise SystemExit(3)
        document["pid"] = os.getpid()
        return document

    def lock(document):
        return {"lock": threading.Lock()} if document["n"] else document

    class Own:
        pass

    def own(document):
        return {"own": Own()}

    async def later(document):
        import asyncio
        await asyncio.sleep(0)
        return {"later": document["n"]}

    class Bomb:
        def __reduce__(self):
            os._exit(9)

    def bomb(document):
        return {"bomb": Bomb()} if document["n"] == 1 else document
"""
GENEROUS_S = 60.0


@pytest.fixture
def caller(module, tmp_path):
    name = module(SOURCE)

    def make(function="judge", workers=1, timeout_s=GENEROUS_S):
        loaded = load(f"{name}:{function}", str(tmp_path))
        return ProcessCaller(loaded, "step", workers=workers, timeout_s=timeout_s)

    return make


def documents(*what):
    return [{"n": n, "do": each} for n, each in enumerate(what)]


async def test_every_document_gets_its_answer_in_order_from_one_process(caller):
    calling = caller()

    found = await calling.call(documents("", "raise", "drop", "leave", "print"))
    again = await calling.call(documents(""))

    assert [type(each) for each in found] == [dict, FunctionError, type(None), FunctionError, dict]
    assert str(found[1]).endswith("ValueError: 1")
    assert found[0]["pid"] == found[4]["pid"] == again[0]["pid"] != os.getpid()
    assert [found[0]["n"], found[4]["n"]] == [0, 4]
    await calling.close()


async def test_no_documents_start_no_process(caller):
    calling = caller()

    assert await calling.call([]) == []
    await calling.close()


@pytest.mark.parametrize(
    ("what", "how"), [("exit", "ended with exit code 7"), ("kill", "was killed by SIGKILL")]
)
async def test_a_process_that_dies_costs_the_document_it_had(caller, caplog, what, how):
    calling = caller()

    with caplog.at_level(logging.ERROR):
        found = await calling.call(documents("", what, "", what, ""))

    assert [each["n"] for each in found[::2]] == [0, 2, 4]
    assert found[1].args[0].endswith(f"judge: its process {how}")
    assert str(found[1]) == str(found[3])
    assert [record.event for record in caplog.records] == ["function_process_replaced"]
    await calling.close()


async def test_what_was_told_before_a_process_died_is_not_called_again(caller):
    calling = caller()

    found = await calling.call(documents("slow", "", "exit", "", "exit", ""))

    assert [each["n"] for each in (found[0], found[1], found[3], found[5])] == [0, 1, 3, 5]
    assert all("exit code 7" in str(found[at]) for at in (2, 4))
    assert found[0]["pid"] != found[5]["pid"]
    await calling.close()


async def test_a_document_that_hangs_times_out_and_its_process_is_gone(caller):
    calling = caller(timeout_s=1.0)

    found = await calling.call(documents("", "hang", ""))

    assert isinstance(found[1], FunctionTimeoutError)
    assert [found[0]["n"], found[2]["n"]] == [0, 2]
    assert found[2]["pid"] == (await calling.call(documents("")))[0]["pid"]
    await calling.close()


async def test_an_idle_process_that_died_is_replaced_without_a_loss(caller):
    calling = caller()
    (first,) = await calling.call(documents(""))

    os.kill(first["pid"], signal.SIGKILL)
    (second,) = await calling.call(documents(""))

    assert second["pid"] != first["pid"]
    await calling.close()


async def test_batches_run_in_processes_side_by_side(module, tmp_path):
    name = module("""
        import os, time
        def meet(document):
            open(document["mine"], "w").close()
            while not os.path.exists(document["other"]): time.sleep(0.001)
            return document
    """)
    calling = ProcessCaller(
        load(f"{name}:meet", str(tmp_path)), "step", workers=2, timeout_s=GENEROUS_S
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")

    await asyncio.gather(
        calling.call([{"mine": a, "other": b}]), calling.call([{"mine": b, "other": a}])
    )
    await calling.close()


async def test_async_functions_run_in_processes_too(caller):
    calling = caller("later")

    assert await calling.call(documents("", "")) == [{"later": 0}, {"later": 1}]
    await calling.close()


async def test_what_cannot_be_pickled_costs_only_its_document(caller):
    calling = caller("lock")

    found = await calling.call([{"n": 0}, {"n": 1}, {"n": 0}, {"n": 0, "bad": lambda: None}])

    assert [found[0], found[2]] == [{"n": 0}, {"n": 0}]
    assert "returned what cannot leave its process" in str(found[1])
    assert "the document cannot go to its process" in str(found[3])
    await calling.close()


async def test_a_result_that_ends_the_process_while_it_is_packed_costs_its_document(caller):
    calling = caller("bomb")

    found = await calling.call([{"n": 0}, {"n": 1}, {"n": 2}])

    assert [found[0], found[2]] == [{"n": 0}, {"n": 2}]
    assert "ended with exit code 9" in str(found[1])
    await calling.close()


async def test_a_result_that_the_worker_cannot_read_is_an_error(caller, monkeypatch):
    calling = caller("own")
    monkeypatch.delitem(sys.modules, calling._function.target.__module__)

    (found,) = await calling.call([{}])

    assert "returned what the worker cannot read" in str(found)
    await calling.close()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("raise RuntimeError('no device')", "RuntimeError: no device.*in its process, not in the"),
        ("os._exit(4)", "its process ended with exit code 4 while it imported the module"),
    ],
)
async def test_a_module_that_cannot_be_imported_there_stops_the_call(module, tmp_path, extra, told):
    name = module(f"""
        import os
        def judge(document): return document
        if os.getpid() != {os.getpid()}:
            {extra}
    """)
    calling = ProcessCaller(load(f"{name}:judge", str(tmp_path)), "step", workers=1, timeout_s=9)

    with pytest.raises(ConfigError, match=told):
        await calling.call([{}])
    await calling.close()


@pytest.mark.parametrize("ending", ["cancel", "close"])
async def test_a_call_under_way_can_be_cut_and_its_process_is_gone(module, tmp_path, ending):
    name = module("""
        import os, threading
        def judge(document):
            with open(document["pipe"], "w") as pipe: pipe.write(str(os.getpid()))
            threading.Event().wait()
    """)
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    calling = ProcessCaller(load(f"{name}:judge", str(tmp_path)), "step", workers=1, timeout_s=99)
    call = asyncio.create_task(calling.call([{"pipe": str(pipe)}]))
    pid = int(await asyncio.to_thread(pipe.read_text))

    if ending == "cancel":
        call.cancel()
    else:
        await calling.close()

    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await calling.close()


@pytest.mark.parametrize("does", ["hang", "wait"])
def test_processes_go_when_their_worker_is_killed(module, tmp_path, does):
    name = module("""
        import os, threading
        def judge(document):
            # Held open until this process is gone.
            pipe = os.open(document["pipe"], os.O_WRONLY)
            os.write(pipe, b"x")
            if document["does"] == "hang":
                threading.Event().wait()
            return document
    """)
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    worker = textwrap.dedent(f"""
        import asyncio
        from headrace.core.steps import FunctionStep
        from headrace.functions import caller_of
        step = FunctionStep(name="s", function="{name}:judge", folder={str(tmp_path)!r},
                            is_process=True)
        async def main():
            await caller_of(step).call([{{"pipe": {str(pipe)!r}, "does": "{does}"}}])
            await asyncio.Event().wait()
        asyncio.run(main())
    """)

    process = subprocess.Popen([sys.executable, "-c", worker])
    with pipe.open("rb") as alive:
        assert alive.read(1) == b"x"
        process.kill()
        process.wait()
        # The end of the pipe: nobody has it open any more.
        assert alive.read() == b""


def test_uvloop_drives_processes_as_well(module, tmp_path):
    name = module("def judge(document): return document")
    program = textwrap.dedent(f"""
        import uvloop
        from headrace.core.steps import FunctionStep
        from headrace.functions import caller_of
        async def main():
            step = FunctionStep(name="s", function="{name}:judge", folder={str(tmp_path)!r},
                                is_process=True, timeout_s=20)
            caller = caller_of(step)
            print(await caller.call([{{"n": 1}}]))
            await caller.close()
        uvloop.run(main())
    """)

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (ran.stdout, ran.stderr) == ("[{'n': 1}]\n", "")
