"""The Kafka Streams peer: jars as its lock says, compiled into the cache by Eclipse's compiler.

python -m benchmarks.compare.java_peer      # what its lock should hold now
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from headrace.local.java import find_java
from headrace.local.kafka_jars import KAFKA_VERSION
from headrace.local.maven import LockedJar, Maven, digest, read_lock
from headrace.local.paths import cache_dir, locked

PEER = Path(__file__).parent / "peers" / "streams"
LOCK = PEER / "jars.lock"
COMPILER = "org.eclipse.jdt:ecj:3.46.100"
# The marks say that these versions win over what other jars ask for.
ENDPOINT = "!+".join(
    (
        f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}",
        "com.squareup.okhttp3:okhttp-jvm:5.5.1",
        "io.github.resilience4j:resilience4j-retry:2.4.0",
        "com.fasterxml.jackson.core:jackson-databind:2.21.2",
        "org.slf4j:slf4j-api:2.0.20",
        "org.slf4j:slf4j-simple:2.0.20!",
    )
)
_RELEASE = "17"


def locked_jars() -> list[LockedJar]:
    """Return the jars that the lock names, the compiler's among them."""
    return read_lock(LOCK.read_text())


def class_path(progress: Callable[[str], None] = lambda _: None) -> str:
    """Return the class path of the peer, which is compiled if it has changed."""
    folder = cache_dir() / "compare" / f"streams-{_fingerprint()}"
    folder.parent.mkdir(exist_ok=True)
    with locked(folder.parent / "streams.lock"):
        if not folder.is_dir():
            _build(folder, progress)
    jars = sorted(str(each) for each in folder.glob("*.jar") if not each.name.startswith("ecj-"))
    return os.pathsep.join([str(folder / "classes"), *jars])


def _sources() -> list[Path]:
    return sorted((PEER / "src").rglob("*.java"))


def _fingerprint() -> str:
    content = b"".join(each.read_bytes() for each in (*_sources(), LOCK))
    return hashlib.sha256(content).hexdigest()[:16]


def _build(folder: Path, progress: Callable[[str], None]) -> None:
    progress("downloading and compiling the Kafka Streams peer (once)")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as scratch:
        made = Path(scratch) / "peer"
        made.mkdir()
        for jar in Maven(Path(scratch) / "repository").jars(locked_jars()):
            shutil.move(jar, made / jar.name)
        _compile(made)
        # Renamed as a whole, so that an interrupted build never looks like a peer.
        made.rename(folder)


def _compile(folder: Path) -> None:
    [compiler] = folder.glob("ecj-*.jar")
    jars = os.pathsep.join(str(each) for each in folder.glob("*.jar") if each != compiler)
    options = ["-source", _RELEASE, "-target", _RELEASE, "-encoding", "UTF-8", "-nowarn"]
    places = ["-classpath", jars, "-d", str(folder / "classes")]
    done = subprocess.run(
        [str(find_java()), "-jar", str(compiler), *options, *places, *map(str, _sources())],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the Kafka Streams peer does not compile:\n{done.stderr}")


def resolved_lock() -> str:
    """Ask Maven Central what `ENDPOINT` and the compiler are now, as the lock writes it."""
    head = "# The jars of the Kafka Streams peer, and its compiler: coordinate and SHA-256."
    with tempfile.TemporaryDirectory() as scratch:
        maven = Maven(Path(scratch))
        names = [*maven.resolved(ENDPOINT), COMPILER]
        jars = [f"{name} {digest(maven.jar(name))}" for name in names]
    return "\n".join([head, *jars]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(resolved_lock())
