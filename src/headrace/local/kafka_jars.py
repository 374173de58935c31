"""The jars of Apache Kafka: resolved once from Maven Central, then read from the cache."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from headrace.errors import LocalError
from headrace.local.paths import cache_dir, locked

KAFKA_VERSION = "4.3.1"
# The marks keep log4j's managed versions from pulling kafka-clients down to 3.8.
ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}!"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
)
_CENTRAL = "https://repo.maven.apache.org/maven2"
_DOWNLOADS = 8


def kafka_jars(progress: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Return the jars to put on Kafka's class path.

    `KAFKA_HOME` wins if it is set. Otherwise the jars of Kafka 4.3.1 come from the cache;
    the first call fills it from Maven Central (43 MB), or from the mirror that
    `HEADRACE_MAVEN_REPOSITORY` names.

    Args:
        progress: Receives a line of text before each slow step.

    Raises:
        LocalError: There are no jars and they could not be downloaded.
    """
    home = os.environ.get("KAFKA_HOME")
    if home:
        return _listed(Path(home) / "libs")
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    with locked(cache_dir() / "kafka.lock"):
        if not folder.is_dir():
            _fill(folder, progress)
    return _listed(folder)


def _listed(folder: Path) -> list[Path]:
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise LocalError(f"no jars of Kafka in {folder}")
    return jars


def _fill(folder: Path, progress: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="resolving-") as scratch:
        complete = Path(scratch) / "jars"
        complete.mkdir()
        for jar in _downloaded(Path(scratch) / "repository", progress):
            shutil.move(jar, complete / jar.name)
        # Renamed as a whole, so that an interrupted download never looks like a full cache.
        complete.rename(folder)


def _downloaded(repository: Path, progress: Callable[[str], None]) -> list[Path]:
    try:
        artifacts = _resolved(repository, progress)
        progress(f"downloading {len(artifacts)} jars of Apache Kafka {KAFKA_VERSION}")
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            jars = [Path(jar) for jar in pool.map(lambda each: each.resolve(), artifacts)]
    except (OSError, RuntimeError, ValueError) as error:
        raise LocalError(f"the jars of Kafka could not be downloaded: {error}") from error
    _check(jars)
    return jars


def _resolved(repository: Path, progress: Callable[[str], None]) -> list[Any]:
    # jgo's own `build` would also fetch a JDK to look at the jars; resolving needs none.
    from jgo.maven import MavenContext
    from jgo.parse import Endpoint

    central = os.environ.get("HEADRACE_MAVEN_REPOSITORY", _CENTRAL).rstrip("/")
    progress(f"resolving the jars of Apache Kafka {KAFKA_VERSION} (once)")
    maven = MavenContext(repo_cache=repository, remote_repos={"central": central}, timeout=60)
    wanted = [maven.create_dependency(each) for each in Endpoint.parse(ENDPOINT).coordinates]
    inputs, transitive = maven.resolver.resolve(wanted)
    needed = [each for each in transitive if each.scope in ("compile", "runtime")]
    return [each.artifact for each in [*inputs, *needed]]


def _check(jars: list[Path]) -> None:
    damaged = [jar.name for jar in jars if not zipfile.is_zipfile(jar)]
    if damaged:
        raise LocalError(f"damaged downloads: {', '.join(damaged)}; try again")
    if f"kafka-clients-{KAFKA_VERSION}.jar" not in {jar.name for jar in jars}:
        raise LocalError(f"the resolver did not choose kafka-clients {KAFKA_VERSION}")
