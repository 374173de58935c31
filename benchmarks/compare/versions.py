"""What took part in a run, by version."""

import platform
import subprocess
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from headrace.local.java import find_java, major_version
from headrace.local.kafka_jars import KAFKA_VERSION


@cache
def versions(repository: Path) -> dict[str, str]:
    """Return the versions of what all runs have in common, and of headrace."""
    project = tomllib.loads((repository / "benchmarks/model-upper/pyproject.toml").read_text())
    mlserver = project["project"]["dependencies"][0].partition("==")[2]
    return {
        "headrace": f"{version('headrace')} ({_commit(repository)})",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "java": str(major_version(find_java())),
        "mlserver": mlserver,
        "confluent-kafka": version("confluent-kafka"),
        "grpcio": version("grpcio"),
        "httptools": version("httptools"),
    }


def _commit(repository: Path) -> str:
    asked = ["git", "-C", str(repository), "describe", "--always", "--dirty"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"
