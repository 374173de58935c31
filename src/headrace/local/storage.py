"""Formatting of a broker's data folder: by Kafka's own tool once, from its result afterwards."""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from headrace.errors import LocalError
from headrace.local.kafka_jars import KAFKA_VERSION
from headrace.local.paths import cache_dir

_CHECKPOINT = "bootstrap.checkpoint"
_IDENTITY = "meta.properties"


def is_formatted(log_dir: Path) -> bool:
    """Tell whether a data folder was formatted to its end."""
    return (log_dir / _IDENTITY).exists()


def format_storage(java: Sequence[str], settings: Path, log_dir: Path) -> None:
    """Make an empty data folder one that a broker with these settings starts from.

    The tool writes the node's identity and the feature levels of its version. Only the first
    differs from broker to broker, so the levels are kept in the cache and the second of CPU
    time that the tool takes is spent once.

    Args:
        java: The command up to the main class.
        settings: The broker's settings; its node id is 1.
        log_dir: The data folder they name.

    Raises:
        LocalError: The tool failed; the message has what it said.
    """
    levels = cache_dir() / f"kafka-{KAFKA_VERSION}.{_CHECKPOINT}"
    if os.environ.get("KAFKA_HOME"):
        _run_tool(java, settings)
    elif levels.exists():
        _write(log_dir, levels)
    else:
        _run_tool(java, settings)
        _keep(log_dir / _CHECKPOINT, levels)


def new_id() -> str:
    """Return a random id in Kafka's own spelling."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _run_tool(java: Sequence[str], settings: Path) -> None:
    # One word, because an id may begin with a dash.
    cluster = f"--cluster-id={new_id()}"
    tool = ["kafka.tools.StorageTool", "format", cluster, "-c", str(settings)]
    done = subprocess.run([*java, *tool], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"the storage of Kafka could not be formatted:\n{done.stderr}")


def _write(log_dir: Path, levels: Path) -> None:
    log_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(levels, log_dir / _CHECKPOINT)
    identity = f"version=1\nnode.id=1\ndirectory.id={new_id()}\ncluster.id={new_id()}\n"
    # Last, and as a whole: its presence says that formatting came to its end.
    unfinished = log_dir / f"{_IDENTITY}.tmp"
    unfinished.write_text(identity)
    unfinished.rename(log_dir / _IDENTITY)


def _keep(checkpoint: Path, levels: Path) -> None:
    unfinished = levels.with_name(f"{levels.name}.{os.getpid()}")
    shutil.copyfile(checkpoint, unfinished)
    unfinished.rename(levels)
