"""How each competitor is started: its command, its environment, one process per worker."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare import java_peer
from benchmarks.compare.matrix import MOST_SLOTS, Case, Competitor
from benchmarks.compare.scene import BENCHMARKS, Scene, tell
from headrace.local.java import find_java
from headrace.local.process import Child, tail
from headrace.local.uv_environment import clean_environ, synced_environment

HERE = Path(__file__).parent
_SCRIPTS = {"plain": "plain.py", "quix": "quix.py", "faststream": "fast.py"}
_SETTINGS = ("ROWS", "THREADS", "COMMIT_S")
_OF_A_RUN = re.compile("(bootstrap|url|topic|out|group|n)=")
_PIPELINE = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}"}}
models:
  upper: {{url: "{url}", timeout: 60s{slots}}}
steps:
  upper:
    from: {topic}
    model: upper
    inputs: {{text: text}}
    outputs: {{translation: translation}}
    batch: {{max_size: {rows}, max_wait: 5ms}}
sinks:
  {out}: upper
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A competitor that is ready to be started, worker by worker.

    Attributes:
        command: What is run.
        env: Environment variables of all workers.
        folder: Where logs and state go.
        name: Its group, and the beginning of names of topics of its own.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    name: str

    def start(self, worker: int) -> Child:
        """Start a worker; one that was killed is started under its number again."""
        env = {
            **clean_environ(),
            **self.env,
            "WORKER": str(worker),
            "STATE_DIR": str(self.folder / f"{self.name}-state-{worker}"),
            "HEADRACE_SLOT": f"w{worker}",
        }
        with self._log(worker).open("ab") as log:
            return Child(self.command, output=log, env=env, cwd=self.folder)

    def said(self, worker: int) -> str:
        """Return the last lines of a worker's log."""
        return tail(self._log(worker), 6)[-900:]

    def told(self) -> str:
        """Return how it is started, without what is only this run's."""
        shown = [Path(each).name if each.startswith("/") else each for each in self.command]
        if "-cp" in shown:
            shown[shown.index("-cp") + 1] = "..."
        shown = [each.replace(self.name, "pipeline") for each in shown if not _OF_A_RUN.match(each)]
        settings = [f"{name}={self.env[name]}" for name in _SETTINGS if name in self.env]
        return shlex.join([*settings, *shown])

    def _log(self, worker: int) -> Path:
        return self.folder / f"{self.name}-{worker}.log"


def prepare(case: Case, scene: Scene, name: str, topic: str, out: str) -> Peer:
    """Make a competitor ready to read a topic and write another one."""
    scene.server(case.cost_ms)
    kind = case.competitor.program
    if kind == "headrace":
        return _headrace(case, scene, name, topic, out)
    if kind == "bare":
        return _bare(case, scene, name, topic, out)
    common = {
        "BROKER": scene.bootstrap,
        "OIP_URL": f"{scene.server(case.cost_ms).url('http')}/v2/models/upper/infer",
        "IN": topic,
        "OUT": out,
        "GROUP": name,
    }
    return Peer(_command(kind), common | _settings(case.competitor), scene.folder, name)


def _settings(competitor: Competitor) -> dict[str, str]:
    """Return the environment variables that say how a peer is set."""
    if competitor.program in ("plain", "faststream"):
        return {"ROWS": str(competitor.rows)}
    if competitor.program == "streams":
        return {"THREADS": str(competitor.slots)}
    return {"COMMIT_S": str(competitor.commit_s)} if competitor.commit_s else {}


def _command(program: str) -> tuple[str, ...]:
    if program == "copy":
        return sys.executable, str(HERE / "copy_loop.py")
    if program == "streams":
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return str(find_java()), quiet, "-cp", java_peer.class_path(tell), "bench.App"
    folder = HERE / "peers" / program
    python = synced_environment(folder, tell) / "bin" / "python"
    return str(python), str(folder / _SCRIPTS[program])


def _headrace(case: Case, scene: Scene, name: str, topic: str, out: str) -> Peer:
    chosen, server = case.competitor, scene.server(case.cost_ms)
    slots = f", min_in_flight: {chosen.slots}, max_in_flight: {chosen.slots}"
    text = _PIPELINE.format(
        name=name,
        bootstrap=scene.bootstrap,
        url=server.url("grpc" if chosen.protocol == "grpc" else "http"),
        slots=slots if chosen.slots else "",
        topic=topic,
        out=out,
        rows=chosen.rows,
    )
    path = scene.folder / f"{name}.yaml"
    path.write_text(text)
    program = (sys.executable, "-m", "headrace")
    applied = subprocess.run(
        [*program, "topics", "apply", str(path)], capture_output=True, text=True, check=False
    )
    if applied.returncode:
        raise RuntimeError(f"topics apply: {applied.stderr[-500:]}")
    return Peer((*program, "run", str(path)), {}, scene.folder, name)


def _bare(case: Case, scene: Scene, name: str, topic: str, out: str) -> Peer:
    settings = {
        "bootstrap": scene.bootstrap,
        "url": scene.server(case.cost_ms).url("grpc").removeprefix("grpc://"),
        "topic": topic,
        "out": out,
        "group": name,
        "n": 10**12,
        "batch": case.competitor.rows,
        "inflight": MOST_SLOTS,
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    command = (sys.executable, str(BENCHMARKS / "bare_loop.py"), *words)
    return Peer(command, {}, scene.folder, name)


def versions(program: str) -> dict[str, str]:
    """Return the versions of the libraries that a competitor is made of."""
    if program == "streams":
        names = {"kafka-streams", "okhttp-jvm", "resilience4j-retry"}
        locked = (each.coordinate.split(":") for each in java_peer.locked_jars())
        return {name: version for _, name, version in locked if name in names}
    if program in _SCRIPTS:
        project = tomllib.loads((HERE / "peers" / program / "pyproject.toml").read_text())
        pins = (each.split("==") for each in project["project"]["dependencies"])
        return {name.partition("[")[0]: version for name, version in pins}
    return {}


def dead(workers: Mapping[int, Child], peer: Peer) -> str:
    """Say which worker has ended by itself, with what it said; empty where none has."""
    for number, child in workers.items():
        if not child.is_running:
            return f"worker {number} ended with {child.exit_status}: {peer.said(number)}"
    return ""


def kill_all(workers: Mapping[int, Child]) -> None:
    """End workers at once."""
    for child in workers.values():
        child.kill()


def pids(workers: Mapping[int, Child]) -> list[int]:
    """Return the process ids of the workers that live."""
    return [child.pid for child in workers.values() if child.is_running]
