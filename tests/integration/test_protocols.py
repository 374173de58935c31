"""Every protocol in the real pipeline: from a topic through a model and back, exactly once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.testing.oip_server import OipServer
from tests.integration.pipelines import Scene, header, in_loop, text

pytestmark = [pytest.mark.kafka, pytest.mark.mlserver, pytest.mark.timeout(120)]

MakeScene = Callable[..., Scene]
WORDS = [f"good {number} ñ" for number in range(40)]


@pytest.fixture
def scene(bootstrap: str, unique: Callable[[str], str], tmp_path: Path) -> MakeScene:
    """Return a function that makes a pipeline with topics of its own."""
    return lambda **settings: Scene(bootstrap, unique("p"), tmp_path, **settings)


@in_loop
async def test_json_reaches_mlserver_and_its_poison_is_found(scene, upper):
    stage = scene(model={"url": upper.url("http")})

    found = await stage.run_through(*map(text, WORDS), text("!400 poison"), text("!500 poison"))

    assert found.texts() == WORDS
    assert [kind for kind, _ in found.errors().values()] == [
        "InvalidInputError",
        "InferenceFailedError",
    ]
    assert "'!400 poison' (HTTP 400)" in header(found.dead[0], "headrace-error-message")
    assert [header(dead, "headrace-error-status") for dead in found.dead] == ["400", "500"]


@in_loop
async def test_binary_tensors_and_v1_carry_whole_pipelines(scene):
    async def one(profile: str, protocol: str) -> None:
        async with OipServer() as server:
            stage = scene(model={"url": server.http_url, "profile": profile})
            found = await stage.run_through(*map(text, WORDS))
        assert (found.texts(), found.dead) == (WORDS, [])
        assert {request.protocol for request in server.requests} == {protocol}

    await asyncio.gather(one("auto", "binary"), one("v1", "v1"))


@in_loop
async def test_a_server_of_another_protocol_pauses_the_step_and_says_why(scene):
    async def one(url: str, why: str) -> None:
        stage = scene(model={"url": url, "token": "s3cret-token"})
        await asyncio.to_thread(stage.create_topics)
        await asyncio.to_thread(stage.feed, *map(text, WORDS))
        async with stage.worker() as running:
            await running.until(lambda status: why in status["paused_reason"])
            status = await running.status()
        assert status["paused_reason"].startswith("AccessRefusedError: ")
        assert "s3cret" not in json.dumps(status)
        assert stage.read("out") == stage.read("dead-letters") == []

    async with OipServer() as server:
        await asyncio.gather(
            one(server.url.replace("grpc", "http"), "write grpc:// instead of http://"),
            one(server.http_url.replace("http", "grpc"), "write http:// instead of grpc://"),
        )
