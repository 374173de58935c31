"""The file in which a started broker leaves its address for other processes of the user."""

import json
from pathlib import Path

from headrace.local.paths import runtime_dir
from headrace.local.process import is_alive


def record_path() -> Path:
    """Return where the address is kept."""
    return runtime_dir() / "broker.json"


def write(pid: int, bootstrap_servers: str) -> None:
    """Record a broker; readers see the old or the new record, never a part."""
    whole = record_path().with_suffix(f".{pid}.tmp")
    whole.write_text(json.dumps({"pid": pid, "bootstrap_servers": bootstrap_servers}))
    whole.replace(record_path())


def read() -> str | None:
    """Return the recorded address if the broker's process lives."""
    recorded = _recorded()
    return recorded[1] if recorded and is_alive(recorded[0]) else None


def forget(pid: int) -> None:
    """Remove the record if it names this process."""
    recorded = _recorded()
    if recorded and recorded[0] == pid:
        record_path().unlink(missing_ok=True)


def _recorded() -> tuple[int, str] | None:
    try:
        found = json.loads(record_path().read_text())
        return int(found["pid"]), str(found["bootstrap_servers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
