"""The status endpoint of a worker: alive, ready, metrics and state over HTTP."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from headrace.errors import ConfigError, PortInUseError
from headrace.ports import StageStatus, StatusSource
from headrace.telemetry.metrics import StageCollector

HOST_VARIABLE = "HEADRACE_STATUS_HOST"
_LOOPBACK = "127.0.0.1"
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound by default


class StatusServer:
    """Serves `/live`, `/ready`, `/metrics` and `/status` while it is entered.

    It reads snapshots only, in this process's event loop: an answer to `/live` says that the
    loop turns. It listens before the workers exist, so that its address can stand in their
    client ids; `watch` names them later, and until then it is not ready.

    Args:
        port: Port to listen on; None for any free one.
        host: Address to listen on; None for `HEADRACE_STATUS_HOST`, else the loopback address.

    Raises:
        PortInUseError: On entering, if the port is taken.
    """

    def __init__(self, port: int | None = None, host: str | None = None) -> None:
        self._port = port or 0
        self._host = host or os.environ.get(HOST_VARIABLE) or _LOOPBACK
        self._sources: list[StatusSource] = []
        self._registry = CollectorRegistry()
        self._registry.register(StageCollector(self._sources))
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on; only while entered."""
        return self._port

    @property
    def address(self) -> str:
        """`host:port` that others on the network reach it by; only while entered."""
        host = socket.gethostname() if self._host in _WILDCARDS else self._host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    def watch(self, *sources: StatusSource) -> None:
        """Report on these stages, besides the earlier ones."""
        self._sources.extend(sources)

    def stages(self) -> Sequence[StageStatus]:
        """Return a snapshot of every stage."""
        return [source.status() for source in self._sources]

    async def __aenter__(self) -> Self:
        listener = self._listen()
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app(), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]), name="status-server")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            # A scraper that keeps its connection open must not keep the worker from leaving.
            self._server.force_exit = True
            await self._serving

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                message = f"status port {self._port} is in use; name another or leave it out"
                raise PortInUseError(message) from error
            message = f"cannot listen on {self._host}:{self._port}: {error.strerror}"
            raise ConfigError(message) from error
        # From now on connections wait in its queue until the server takes them.
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/live", self._live),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics),
                Route("/status", self._status),
            ]
        )

    async def _live(self, _: Request) -> Response:
        return PlainTextResponse("live\n")

    async def _ready(self, _: Request) -> Response:
        reasons = unready(self.stages())
        if reasons:
            return PlainTextResponse("\n".join(reasons) + "\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _status(self, _: Request) -> Response:
        return JSONResponse({"stages": [_finite(asdict(stage)) for stage in self.stages()]})


class _Server(uvicorn.Server):
    """A server inside somebody else's process: signals are that process's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def unready(stages: Sequence[StageStatus]) -> list[str]:
    """Return why a worker is not ready, one reason a stage; empty when it is."""
    if not stages:
        return ["starting"]
    reasons = []
    for stage in stages:
        if stage.phase != "running":
            reasons.append(f"{stage.stage}: {stage.phase}")
        elif not stage.is_assigned:
            reasons.append(f"{stage.stage}: waiting for its assignment")
        elif stage.paused_reason:
            reasons.append(f"{stage.stage}: waiting for its model: {stage.paused_reason}")
    return reasons


def _finite(status: dict[str, object]) -> dict[str, object]:
    """Return a status whose latency bounds JSON can say: the last, infinite one becomes null."""
    for name in ("model_latency", "commit_latency"):
        latency: Any = status[name]
        buckets, total_s = latency
        finite = [[None if bound == float("inf") else bound, count] for bound, count in buckets]
        status[name] = [finite, total_s]
    return status
