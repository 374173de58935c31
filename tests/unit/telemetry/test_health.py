import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from headrace.errors import PortInUseError
from headrace.telemetry.health import StatusServer, unready


async def get(server: StatusServer, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{server.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


def served(path: str, *stages, port: int | None = None) -> tuple[int, str]:
    async def scenario() -> tuple[int, str]:
        async with StatusServer(port) as server:
            server.watch(*stages)
            return await get(server, path)

    return asyncio.run(scenario())


def test_a_process_whose_loop_turns_is_live(stage: Callable):
    assert served("/live", stage(phase="starting")) == (200, "live\n")


def test_a_running_assigned_stage_is_ready(stage: Callable):
    assert served("/ready", stage()) == (200, "ready\n")


def test_a_worker_without_stages_yet_is_not_ready():
    assert served("/ready") == (503, "starting\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phase": "draining"}, "translate: draining"),
        ({"is_assigned": False}, "translate: waiting for its assignment"),
        ({"paused_reason": "connection refused"}, "translate: waiting for its model: connection"),
    ],
)
def test_a_stage_that_does_not_work_is_not_ready_and_says_why(stage, changes, reason):
    status, text = served("/ready", stage(), stage(**changes))

    assert status == 503
    assert text.startswith(reason)


def test_one_reason_is_given_per_stage(stage: Callable):
    reasons = unready([stage(phase="failed", is_assigned=False).status()])

    assert reasons == ["translate: failed"]


def test_status_is_the_snapshot_as_json(stage: Callable):
    status, text = served("/status", stage())

    (told,) = json.loads(text)["stages"]
    assert status == 200
    assert told["counters"] == {"read": 12, "written": 5}
    assert told["partitions"][0]["committable"] == 100
    assert told["model_latency"] == [[[0.1, 2], [1.0, 4], [None, 5]], 3.5]


def test_metrics_are_in_prometheus_text(stage: Callable):
    status, text = served("/metrics", stage())

    assert status == 200
    assert "# TYPE headrace_records_read_total counter" in text


def test_an_unknown_path_is_not_found():
    assert served("/nix")[0] == 404


def test_the_named_port_is_used():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    assert served("/live", port=port) == (200, "live\n")


def test_a_port_in_use_is_an_error_that_names_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            served("/live", port=port)


def test_a_wildcard_host_is_advertised_by_the_machines_name():
    async def scenario() -> str:
        async with StatusServer(host="0.0.0.0") as server:
            return server.address

    host, _, port = asyncio.run(scenario()).rpartition(":")

    assert host == socket.gethostname()
    assert int(port) > 0


def test_a_scraper_that_stays_connected_does_not_hold_up_the_end():
    async def scenario() -> None:
        async with StatusServer() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readline()
        writer.close()

    async def bounded() -> None:
        async with asyncio.timeout(3):
            await scenario()

    asyncio.run(bounded())


def test_signals_stay_the_process_own_business():
    import signal

    async def scenario() -> object:
        async with StatusServer() as server:
            await get(server, "/live")
            return signal.getsignal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)

    assert asyncio.run(scenario()) is before
