"""Model servers that the command line starts because the pipeline file says `serve:`."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from headrace.cli.progress import Progress
from headrace.cli.settings import Loaded, with_model_urls
from headrace.core.steps import ModelStep
from headrace.core.topology import Topology
from headrace.local.model_server import ModelServer

_ANSWER_WITHIN_S = 2.0


async def start_server(
    name: str, serve: str, folder: Path, parts: AsyncExitStack, progress: Progress
) -> tuple[str, ModelServer]:
    """Start a model server that ends with `parts`; return it with its name when it is ready.

    Raises:
        LocalError: It does not become ready.
    """
    with progress.step(f"model server {name}") as tell:
        server = ModelServer(serve, directory=folder, progress=tell)
        # Before the start: stopping is also what makes a start under way give up.
        parts.push_async_callback(asyncio.to_thread, server.stop)
        await asyncio.to_thread(server.start)
    progress.say(f"model server {name} is ready")
    return name, server


async def start_absent(
    loaded: Loaded, folder: Path, parts: AsyncExitStack, progress: Progress
) -> tuple[Topology, Mapping[str, ModelServer]]:
    """Start the model servers that do not answer; return the pipeline with their URLs, and them.

    Raises:
        LocalError: One does not become ready.
    """
    steps = loaded.topology.models
    names = _server_names(loaded)
    served = [step for step in steps if names[step.model.name] in loaded.topology.serves]
    answers = await asyncio.gather(*map(_answers, served))
    absent = {
        names[step.model.name]
        for step, is_there in zip(served, answers, strict=True)
        if not is_there
    }
    started = await asyncio.gather(
        *(
            start_server(name, loaded.topology.serves[name], folder, parts, progress)
            for name in absent
        )
    )
    servers = dict(started)
    return with_model_urls(loaded.topology, started_urls(loaded, servers)), servers


def started_urls(loaded: Loaded, servers: Mapping[str, ModelServer]) -> dict[str, str]:
    """Return the URL of every model that a started server has, by the model's name."""
    urls = {}
    names = _server_names(loaded)
    for model in (step.model for step in loaded.topology.models):
        server = servers.get(names[model.name])
        if server is not None:
            scheme = model.urls[0].partition("://")[0].removesuffix("s")
            urls[model.name] = server.url(scheme)
    return urls


def all_urls(loaded: Loaded, servers: Mapping[str, ModelServer], model: str) -> tuple[str, ...]:
    """Return the URLs, over gRPC and HTTP, that a started server has for a model."""
    server = servers.get(_server_names(loaded)[model])
    return () if server is None else (server.url("grpc"), server.url("http"))


def _server_names(loaded: Loaded) -> Mapping[str, str]:
    return {name: model.server or name for name, model in loaded.spec.models.items()}


async def _answers(step: ModelStep) -> bool:
    from headrace.wiring import client_for

    client = client_for(step)
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            return await client.ready()
    except TimeoutError:
        return False
    finally:
        await client.close()
