"""A model server that a pipeline file names with `serve:`, as a child process.

    with ModelServer("models", directory=Path("examples/tweets")) as server:
        client = ...(server.url("grpc"))          # grpc://127.0.0.1:PORT
        server.kill()                             # SIGKILL; `restart()` keeps the ports

Every call blocks; from asyncio use `asyncio.to_thread`.
"""

import http.client
import json
import shlex
import shutil
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from headrace.errors import LocalError
from headrace.local.paths import cache_dir
from headrace.local.ports import accepts, free_port
from headrace.local.process import Child, signal_name, tail
from headrace.local.scratch import ScratchDir
from headrace.local.uv_environment import clean_environ, is_locked_project, synced_environment

_STOP_GRACE_S = 5.0
_POLL_S = 0.05
_ASK_TIMEOUT_S = 2.0
_TAIL_LINES = 40


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The loopback ports of one model server."""

    http: int
    grpc: int
    metrics: int


class ModelServer:
    """A folder of MLServer models, or any command, run until `stop`.

    A folder with its own `pyproject.toml` and `uv.lock` runs in its own environment, another
    folder with the `mlserver` on `PATH`. A command finds its ports in `HTTP_PORT`, `GRPC_PORT`
    and `METRICS_PORT`, which may also stand in it as `$HTTP_PORT`. The server ends with this
    process, however this process ends. Ports stay the same across restarts.

    Args:
        serve: The folder or the command.
        directory: What `serve` is relative to; a command runs there.
        env: Environment variables to add.
        log_dir: Where the log goes and stays; None: a temporary folder that `stop` removes.
        ready_within_s: Longest time from the process's start until it says it is ready.
        progress: Receives a line of text before and during slow steps.

    Raises:
        LocalError: On `start`, if the server does not become ready; the message has the log's
            tail.
    """

    def __init__(
        self,
        serve: str,
        *,
        directory: Path = Path(),
        env: Mapping[str, str] | None = None,
        log_dir: Path | None = None,
        ready_within_s: float = 120.0,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._serve = serve
        self._directory = directory
        self._env = dict(env or {})
        self._log_dir = log_dir
        self._scratch: ScratchDir | None = None
        self._ready_within_s = ready_within_s
        self._progress = progress
        self._child: Child | None = None
        self._is_stopping = False
        folder = directory / serve
        declared = _declared(folder / "settings.json")
        self._models = _model_names(folder) if declared.get("load_models_at_startup", True) else []
        self.ports = ServerPorts(
            **{
                name: int(declared.get(f"{name}_port") or free_port())
                for name in ("http", "grpc", "metrics")
            }
        )

    @property
    def name(self) -> str:
        """What to call it in words for a person."""
        return f"the model server {self._serve!r}"

    @property
    def is_folder(self) -> bool:
        """Whether `serve` names a folder, not a command."""
        return (self._directory / self._serve).is_dir()

    @property
    def log_path(self) -> Path:
        """The server's log file; only after `start`."""
        if self._log_dir is None:
            raise LocalError(f"{self.name} was not started")
        return self._log_dir / "model-server.log"

    @property
    def pid(self) -> int:
        """Process id of the server; only after `start`."""
        if self._child is None:
            raise LocalError(f"{self.name} is not running")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._child is not None and self._child.is_running

    def url(self, scheme: str) -> str:
        """Return the server's address for `grpc` or `http`."""
        return f"{scheme}://127.0.0.1:{self.ports.grpc if scheme == 'grpc' else self.ports.http}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and return when it is ready."""
        if self.is_running:
            return
        self._is_stopping = False
        if self._log_dir is None:
            self._scratch = ScratchDir("models")
            self._log_dir = self._scratch.path
        self._log_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Start again on the same ports, after `kill` or in order if it still runs."""
        if self._child is not None:
            self._child.stop(_STOP_GRACE_S)
        self._launch()

    def kill(self) -> None:
        """End the server and its own children with SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        """End the server; another thread's `start` then fails. May be repeated."""
        self._is_stopping = True
        if self._child is not None:
            self._child.stop(_STOP_GRACE_S)
            self._child = None
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = self._log_dir = None

    def is_ready(self, model: str | None = None) -> bool:
        """Ask the server, by status code, whether it or one of its models is ready.

        A folder's server is ready with all models of the folder. A command that opens only its
        gRPC port counts as ready when that port accepts.
        """
        if accepts(self.ports.http):
            # MLServer calls itself ready while it ends because a model did not load.
            models = [model] if model else self._models
            paths = [f"/v2/models/{each}/ready" for each in models] or ["/v2/health/ready"]
            return all(self._status(path) == 200 for path in paths)
        return not self.is_folder and accepts(self.ports.grpc)

    def _status(self, path: str) -> int:
        asked = http.client.HTTPConnection("127.0.0.1", self.ports.http, timeout=_ASK_TIMEOUT_S)
        try:
            asked.request("GET", path)
            return asked.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            asked.close()

    def _launch(self) -> None:
        environ = clean_environ() | self._port_variables() | self._env
        folder = self._directory / self._serve
        argv = self._folder_command(folder) if self.is_folder else self._command(environ)
        if self._is_stopping:
            raise LocalError(f"{self.name} was stopped")
        self._progress(f"starting the model server {self._serve!r}")
        with self.log_path.open("ab") as log:
            self._child = Child(
                argv, output=log, env=environ, cwd=folder if self.is_folder else self._directory
            )
        self._await_ready(self._child)

    def _folder_command(self, folder: Path) -> list[str]:
        if is_locked_project(folder):
            mlserver = synced_environment(folder, self._progress) / "bin" / "mlserver"
            if not mlserver.exists():
                raise LocalError(f"the lock of {folder} does not hold mlserver; add it there")
            return [str(mlserver), "start", str(folder.resolve())]
        found = shutil.which("mlserver")
        if found is None:
            raise LocalError(
                f"{folder} has no pyproject.toml and uv.lock, and there is no mlserver on PATH"
            )
        return [found, "start", str(folder.resolve())]

    def _command(self, environ: Mapping[str, str]) -> list[str]:
        words = shlex.split(self._serve)
        if not words:
            raise LocalError("serve names neither a folder nor a command")
        if shutil.which(words[0], path=environ.get("PATH")) is None:
            raise LocalError(
                f"{self.name} cannot be started: there is neither a folder nor a command like that"
            )
        return [string.Template(word).safe_substitute(environ) for word in words]

    def _port_variables(self) -> dict[str, str]:
        ports = {
            "HTTP_PORT": str(self.ports.http),
            "GRPC_PORT": str(self.ports.grpc),
            "METRICS_PORT": str(self.ports.metrics),
        }
        scratch = cache_dir() / "mlserver"
        return ports | {
            **{f"MLSERVER_{name}": port for name, port in ports.items()},
            "MLSERVER_HOST": "127.0.0.1",
            # MLServer would put both into the working directory, which is the user's folder.
            "MLSERVER_ENVIRONMENTS_DIR": str(scratch / "environments"),
            "MLSERVER_METRICS_DIR": str(scratch / f"metrics-{self.ports.metrics}"),
            # Compiled once, and not beside the user's models.
            "PYTHONPYCACHEPREFIX": str(cache_dir() / "bytecode"),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONUNBUFFERED": "1",
        }

    def _await_ready(self, child: Child) -> None:
        deadline = time.monotonic() + self._ready_within_s
        while time.monotonic() < deadline:
            if not child.is_running:
                ended = signal_name(child.exit_status or 0)
                raise LocalError(f"{self.name} ended ({ended}):\n{self._said}")
            if self.is_ready():
                return
            time.sleep(_POLL_S)
        child.kill()
        raise LocalError(f"{self.name} is not ready in time:\n{self._said}")

    @property
    def _said(self) -> str:
        return tail(self.log_path, _TAIL_LINES)


def _model_names(folder: Path) -> list[str]:
    """Return the names of the models that MLServer finds in a folder."""
    found = folder.rglob("model-settings.json") if folder.is_dir() else ()
    return sorted(str(_declared(path).get("name") or path.parent.name) for path in found)


def _declared(path: Path) -> Mapping[str, Any]:
    """Read MLServer's own settings, which win over its environment."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
