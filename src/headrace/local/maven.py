"""Jars from Maven Central: found, fetched, and held to a lock."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import LocalError

_CENTRAL = "https://repo.maven.apache.org/maven2"
_DOWNLOADS = 8
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class LockedJar:
    """A jar as a lock file names it: Maven coordinate and SHA-256 in hex."""

    coordinate: str
    sha256: str


def read_lock(text: str) -> list[LockedJar]:
    """Return the jars that a lock file names, one a line; lines with # say something else."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [LockedJar(coordinate, digest) for coordinate, digest in lines]


def digest(jar: Path) -> str:
    """Return a jar's SHA-256 in hex."""
    return hashlib.sha256(jar.read_bytes()).hexdigest()


class Maven:
    """Maven Central, or the mirror that `HEADRACE_MAVEN_REPOSITORY` names.

    Args:
        repository: Folder for what is downloaded.
    """

    def __init__(self, repository: Path) -> None:
        # jgo's own `build` would also fetch a JDK to look at the jars; downloading needs none.
        from jgo.maven import MavenContext

        central = os.environ.get("HEADRACE_MAVEN_REPOSITORY", _CENTRAL).rstrip("/")
        remotes = {"central": central}
        self._context = MavenContext(
            repo_cache=repository, remote_repos=remotes, timeout=_TIMEOUT_S
        )

    def resolved(self, endpoint: str) -> list[str]:
        """Return the coordinates of all jars that an endpoint of jgo needs now, in order."""
        from jgo.parse import Endpoint

        wanted = [
            self._context.create_dependency(each) for each in Endpoint.parse(endpoint).coordinates
        ]
        inputs, transitive = self._context.resolver.resolve(wanted)
        needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
        return sorted(f"{each.groupId}:{each.artifactId}:{each.version}" for each in needed)

    def jar(self, coordinate: str) -> Path:
        """Download a jar."""
        return Path(self._context.create_dependency(coordinate).artifact.resolve())

    def jars(self, locked: Sequence[LockedJar]) -> list[Path]:
        """Download jars, several at once.

        Raises:
            LocalError: One is not what the lock names.
            OSError: One cannot be had; also `RuntimeError`.
        """

        def fetch(wanted: LockedJar) -> Path:
            jar = self.jar(wanted.coordinate)
            if digest(jar) != wanted.sha256:
                raise LocalError(f"{wanted.coordinate} is not the jar that the lock file names")
            return jar

        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            return list(pool.map(fetch, locked))
