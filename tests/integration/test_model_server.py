"""A folder of models and a command are served, watched and cleaned up."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import LocalError
from headrace.local.model_server import ModelServer
from headrace.local.ports import accepts
from headrace.local.process import is_alive
from headrace.local.uv_environment import find_uv

pytestmark = [pytest.mark.mlserver, pytest.mark.timeout(300)]

MODELS = Path(__file__).parents[2] / "benchmarks" / "model-upper"

_COMMAND = """
import http.server, os, sys, time
if len(sys.argv) > 2:
    print(sys.argv[2], flush=True)
    time.sleep(0.1)
    sys.exit(3)
class Ready(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Ready.asked += 1
        self.send_response(200 if Ready.asked > 3 else 503)
        self.end_headers()
    def log_message(self, *args):
        print("asked", self.path, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


_BROKEN = """
from mlserver import MLModel
class Broken(MLModel):
    async def load(self):
        raise RuntimeError("no weights here")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of the benchmark's models, to see what is written into it."""
    copy = tmp_path_factory.mktemp("serve") / "models"
    return Path(shutil.copytree(MODELS, copy, ignore=shutil.ignore_patterns("__pycache__", ".*")))


@pytest.fixture(scope="module")
def files_before(folder) -> set[Path]:
    return tree(folder)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory) -> Iterator[Path]:
    """A cache of this run alone for environments; uv's downloads stay where they are."""
    downloads = subprocess.run(
        [find_uv(), "cache", "dir"], capture_output=True, text=True, check=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", downloads.stdout.strip())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Path(os.environ["XDG_CACHE_HOME"])


@pytest.fixture(scope="module")
def progress() -> list[str]:
    return []


@pytest.fixture(scope="module")
def server(folder, files_before, own_cache, progress) -> Iterator[ModelServer]:
    with ModelServer("models", directory=folder.parent, progress=progress.append) as running:
        yield running


@pytest.fixture
def command(tmp_path) -> str:
    (tmp_path / "server.py").write_text(_COMMAND)
    return f"{sys.executable} server.py"


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_locked_folder_is_served_from_its_own_environment(server):
    with urllib.request.urlopen(f"{server.url('http')}/v2/models/upper/ready", timeout=5) as answer:
        status = answer.status

    assert status == 200
    assert server.is_ready("upper")
    assert not server.is_ready("no-such-model")
    assert accepts(server.ports.grpc)


def test_the_first_start_reports_its_progress_and_makes_the_environment_in_the_cache(
    server, progress, own_cache
):
    environments = list((own_cache / "headrace" / "environments").glob("models-*/"))

    assert progress[0] == "making the environment of models (once; this may take a minute)"
    assert progress[-1] == "starting the model server 'models'"
    assert [(each / "bin" / "mlserver").exists() for each in environments] == [True]


def test_nothing_is_written_into_the_folder(folder, server, files_before):
    assert server.is_ready()
    assert tree(folder) == files_before


def test_a_killed_server_is_ready_again_on_the_same_ports(server):
    ports, dead = server.ports, server.pid

    server.kill()
    was_running = server.is_running
    server.restart()

    assert was_running is False
    assert server.ports == ports
    assert server.pid != dead
    assert server.is_ready("upper")


def test_a_model_that_does_not_load_is_an_error_with_its_reason(folder, server, tmp_path):
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "broken_runtime.py").write_text(_BROKEN)
    settings = '{"name": "upper", "implementation": "broken_runtime.Broken"}'
    (broken / "upper" / "model-settings.json").write_text(settings)

    with pytest.raises(LocalError, match=r"(?s)'broken' ended .*no weights here"):
        ModelServer("broken", directory=tmp_path).start()


def test_a_second_start_makes_no_environment(folder, server, own_cache):
    lines: list[str] = []

    with ModelServer("models", directory=folder.parent, progress=lines.append) as second:
        assert second.is_ready()

    assert not any("making the environment" in line for line in lines)


def test_a_command_finds_its_ports_and_is_ready_when_it_says_so(command, tmp_path):
    server = ModelServer(f"{command} $HTTP_PORT", directory=tmp_path, log_dir=tmp_path)

    with server:
        pid = server.pid
        ready = server.is_ready()

    assert ready
    assert (tmp_path / "model-server.log").read_text().count("asked /v2/health/ready") >= 4
    assert not is_alive(pid)


def test_a_server_that_fails_shows_the_tail_of_its_log(command, tmp_path):
    server = ModelServer(f"{command} $HTTP_PORT 'no such weights'", directory=tmp_path)

    with pytest.raises(LocalError, match=r"ended \(exit status 3\):\nno such weights"):
        server.start()

    assert not server.is_running


def test_a_server_that_is_never_ready_is_killed_in_time(tmp_path):
    server = ModelServer("sleep 60", directory=tmp_path, ready_within_s=0.3)

    with pytest.raises(LocalError, match="not ready in time"):
        server.start()

    assert not server.is_running


def test_a_lock_that_cannot_be_installed_is_a_clear_error(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "pyproject.toml").write_text("[project]\nname = 'm'\n")
    (tmp_path / "models" / "uv.lock").write_text("not a lock")

    with pytest.raises(LocalError, match="uv could not make the environment"):
        ModelServer("models", directory=tmp_path).start()


def test_a_folder_without_a_lock_and_without_mlserver_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LocalError, match=r"no pyproject\.toml and uv\.lock"):
        ModelServer("models", directory=tmp_path).start()


def test_ports_that_the_folder_itself_declares_are_used(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "settings.json").write_text('{"http_port": 18080}')

    server = ModelServer("models", directory=tmp_path)

    assert server.url("http") == "http://127.0.0.1:18080"
    assert server.ports.grpc != 0


def test_what_is_neither_a_folder_nor_a_command_is_told(tmp_path):
    with pytest.raises(LocalError, match="'modls' cannot be started: there is neither a folder"):
        ModelServer("modls", directory=tmp_path).start()


_PARENT = """
import sys, time
from pathlib import Path
from headrace.local.model_server import ModelServer
server = ModelServer(sys.argv[1] + " $HTTP_PORT", directory=Path(sys.argv[2]))
server.start()
print(server.pid, server.ports.http, flush=True)
time.sleep(60)
"""


def test_the_server_ends_when_its_parent_is_killed(command, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, command, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        _, port = map(int, parent.stdout.readline().split())
        answered = accepts(port)
        parent.kill()
        parent.wait()

    ended = _until(lambda: not accepts(port))

    assert answered
    assert ended


def _until(holds, within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()
