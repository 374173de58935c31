"""The jars of Apache Kafka: fetched once from Maven Central, then read from the cache."""

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from headrace.errors import LocalError
from headrace.local.maven import LockedJar, Maven, read_lock
from headrace.local.paths import cache_dir, locked

KAFKA_VERSION = "4.3.1"
# The marks keep log4j's managed versions from pulling kafka-clients down to 3.8.
ENDPOINT = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}!"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
)


def kafka_jars(progress: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Return the jars to put on Kafka's class path.

    `KAFKA_HOME` wins if it is set. Otherwise the jars of Kafka 4.3.1 come from the cache;
    the first call fills it from Maven Central (43 MB), or from the mirror that
    `HEADRACE_MAVEN_REPOSITORY` names, and checks every jar against the lock file.

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


def locked_jars() -> list[LockedJar]:
    """Return the jars that the lock file names."""
    return read_lock((files("headrace.local") / "kafka_jars.lock").read_text())


def resolved_coordinates(repository: Path) -> list[str]:
    """Ask Maven Central what `ENDPOINT` needs now; the lock file is made from this.

    Args:
        repository: Folder for what is downloaded on the way.
    """
    return Maven(repository).resolved(ENDPOINT)


def _listed(folder: Path) -> list[Path]:
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise LocalError(f"no jars of Kafka in {folder}")
    return jars


def _fill(folder: Path, progress: Callable[[str], None]) -> None:
    progress(f"downloading Apache Kafka {KAFKA_VERSION} (43 MB, once)")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="downloading-") as scratch:
        complete = Path(scratch) / "jars"
        complete.mkdir()
        for jar in _downloaded(Path(scratch) / "repository"):
            shutil.move(jar, complete / jar.name)
        # Renamed as a whole, so that an interrupted download never looks like a full cache.
        complete.rename(folder)


def _downloaded(repository: Path) -> list[Path]:
    try:
        return Maven(repository).jars(locked_jars())
    except (OSError, RuntimeError) as error:
        raise LocalError(f"the jars of Kafka could not be downloaded: {error}") from error
