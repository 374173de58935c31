"""Plants every bug of the register in a copy of the repository, and sees its test fail.

`python -m tests.docs.breaking` tries all, with words those whose promise or bug contains one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.docs.guarantees import Break, register
from tests.docs.snippets import ROOT

AT_ONCE = 2
LONGEST_S = 600
FAILED = 1
"""What pytest exits with if tests ran and some failed, but not only then."""

TOO_LONG = "from pytest-timeout"
"""What pytest says of a test that was given up: a busy machine is no proof."""

SCHEDULES = {"HEADRACE_SCHEDULES": "4000", "HEADRACE_DAG_SCHEDULES": "400"}
"""Enough to meet a planted bug; without one they pass in any number."""


def copied(folder: Path) -> Path:
    """Copy what tests need."""
    leave = shutil.ignore_patterns(".*", "build", "node_modules", "__pycache__")
    return Path(shutil.copytree(ROOT, folder / "copy", ignore=leave))


def verdict(copy: Path, bug: Break) -> tuple[bool, str]:
    """Plant a bug in a copy; return whether its test failed, and how it ended."""
    file = copy / bug.file
    text = file.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        return False, f"{bug.file} holds what is to be replaced {text.count(bug.old)} times"
    file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    try:
        return seen(copy, bug.test)
    finally:
        file.write_text(text, encoding="utf-8")


def seen(copy: Path, test: str) -> tuple[bool, str]:
    """Return whether a test fails in a copy, and the last words of pytest."""
    ran = ran_in(copy, [f"tests/{test}"])
    words = [line for line in ran.stdout.splitlines() if line.startswith(("E ", "/", "FAILED"))]
    is_seen = ran.returncode == FAILED and " failed" in ran.stdout and TOO_LONG not in ran.stdout
    return is_seen, " ".join([*words, *ran.stdout.splitlines()[-1:]])[:300]


def ran_in(copy: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on the sources of a copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *tests],
        cwd=copy,
        env=os.environ | SCHEDULES | {"PYTHONPATH": f"{copy / 'src'}"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def check_passing(copy: Path, tests: Sequence[str]) -> None:
    """Stop unless tests pass in a copy as it is: one that fails anyway sees nothing."""
    ran = ran_in(copy, [f"tests/{name}" for name in dict.fromkeys(tests)])
    if ran.returncode:
        sys.exit(f"{ran.stdout}{ran.stderr}\na test fails before anything is planted")


def tried(bugs: Sequence[Break]) -> Iterator[tuple[Break, bool, str]]:
    """Plant bugs, each alone, and yield what came of them."""
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            copies.put(copied(Path(folder) / str(number)))
        check_passing(Path(folder) / "0" / "copy", [bug.test for bug in bugs])

        def one(bug: Break) -> tuple[Break, bool, str]:
            copy = copies.get()
            try:
                return bug, *verdict(copy, bug)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            yield from threads.map(one, bugs)


def main(words: Sequence[str]) -> int:
    """Try bugs; return how many went unseen."""
    planted = [(each.says, each.planted) for each in register().promises if each.planted]
    chosen = {
        bug: says
        for says, bug in planted
        if not words or any(word in f"{says} {bug.what} {bug.test}" for word in words)
    }
    unseen = 0
    for bug, is_seen, how in tried(list(chosen)):
        unseen += not is_seen
        sys.stdout.write(f"{'seen  ' if is_seen else 'UNSEEN'} {bug.what}: {bug.test}\n")
        sys.stdout.write(f"       {how}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - unseen} of {len(chosen)} planted bugs were seen\n")
    return unseen


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
