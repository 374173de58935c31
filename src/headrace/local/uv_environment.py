"""The locked Python environment of a folder of models, made by uv outside that folder."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.errors import LocalError
from headrace.local.paths import cache_dir, locked

_TAIL_LINES = 20


def is_locked_project(folder: Path) -> bool:
    """Tell whether a folder has a `pyproject.toml` and a `uv.lock` of its own."""
    return (folder / "pyproject.toml").is_file() and (folder / "uv.lock").is_file()


def synced_environment(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Bring the folder's environment to what its lock says and return its path.

    The environment lies in the user's cache under the folder's name, its path and its lock; a
    changed lock gives another one. Nothing is written into the folder.

    Args:
        folder: A folder for which `is_locked_project` holds.
        progress: Receives uv's lines; the first time this may take a minute.

    Raises:
        LocalError: uv is missing, or failed; the message has its last lines.
    """
    environment = _environment_path(folder)
    environment.parent.mkdir(parents=True, exist_ok=True)
    with locked(environment.with_suffix(".lock")):
        _sync(folder, environment, progress)
    return environment


def find_uv() -> str:
    """Return the uv to use: `HEADRACE_UV`, the one on `PATH`, or the Python package's.

    Raises:
        LocalError: There is none.
    """
    found = os.environ.get("HEADRACE_UV") or shutil.which("uv")
    if found:
        return found
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise LocalError("uv was not found: install the Python package uv") from error


def clean_environ() -> dict[str, str]:
    """Return this process's environment without what would leak our own Python into another."""
    leaking = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in leaking}


def _environment_path(folder: Path) -> Path:
    resolved = folder.resolve()
    key = hashlib.sha256(str(resolved).encode())
    key.update((resolved / "uv.lock").read_bytes())
    return cache_dir() / "environments" / f"{resolved.name}-{key.hexdigest()[:16]}"


def _sync(folder: Path, environment: Path, progress: Callable[[str], None]) -> None:
    if not environment.is_dir():
        progress(f"making the environment of {folder.name} (once; this may take a minute)")
    command = [find_uv(), "sync", "--project", str(folder), "--frozen", "--no-dev"]
    with subprocess.Popen(
        command,
        env=_sync_environ(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as uv:
        lines: list[str] = []
        for line in uv.stderr or ():
            lines.append(line.rstrip())
            if not line.startswith((" ", "Checked ")):
                progress(lines[-1])
    if uv.returncode:
        said = "\n".join(lines[-_TAIL_LINES:])
        raise LocalError(f"uv could not make the environment of {folder}:\n{said}")


def _sync_environ(environment: Path) -> Mapping[str, str]:
    return clean_environ() | {
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
    }
