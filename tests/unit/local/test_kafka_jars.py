"""The jars are those of the lock file, from the cache, and a damaged download is refused."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import LocalError
from headrace.local import kafka_jars as jars
from headrace.local.kafka_jars import locked_jars
from headrace.local.maven import LockedJar

CONTENT = b"a jar"
GOOD = hashlib.sha256(CONTENT).hexdigest()


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers every jar with the same bytes."""

    def do_GET(self):
        found = self.path.endswith(".jar")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch, tmp_path) -> Iterator[Path]:
    """A repository on this machine and an empty cache; gives the cache."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HEADRACE_MAVEN_REPOSITORY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("KAFKA_HOME", raising=False)
        yield tmp_path / "headrace"
        server.shutdown()


def lock(monkeypatch, *digests: str) -> None:
    named = [LockedJar(f"org.example:part{n}:1.0", each) for n, each in enumerate(digests)]
    monkeypatch.setattr(jars, "locked_jars", lambda: named)


def test_the_lock_names_one_version_of_kafka_throughout():
    coordinates = [jar.coordinate for jar in locked_jars()]

    assert len(coordinates) == len(set(coordinates)) == 46
    kafka = [each for each in coordinates if each.startswith("org.apache.kafka:")]
    assert "org.apache.kafka:kafka-clients:4.3.1" in kafka
    assert {each.rsplit(":", 1)[1] for each in kafka} == {jars.KAFKA_VERSION}


def test_jars_are_downloaded_once_and_then_read_from_the_cache(mirror, monkeypatch):
    lock(monkeypatch, GOOD, GOOD)

    first = jars.kafka_jars()
    monkeypatch.setenv("HEADRACE_MAVEN_REPOSITORY", "http://127.0.0.1:1")
    second = jars.kafka_jars()

    assert [each.name for each in first] == ["part0-1.0.jar", "part1-1.0.jar"]
    assert second == first
    assert all(each.read_bytes() == CONTENT for each in second)


def test_a_jar_that_is_not_the_locked_one_is_refused_and_not_kept(mirror, monkeypatch):
    lock(monkeypatch, GOOD, "0" * 64)

    with pytest.raises(LocalError, match=r"org\.example:part1:1\.0 is not the jar"):
        jars.kafka_jars()

    assert [each.name for each in mirror.iterdir()] == ["kafka.lock"]


def test_a_repository_that_does_not_answer_is_a_clear_error(mirror, monkeypatch):
    monkeypatch.setenv("HEADRACE_MAVEN_REPOSITORY", "http://127.0.0.1:1")

    with pytest.raises(LocalError, match="could not be downloaded"):
        jars.kafka_jars()


def test_an_installed_kafka_is_used_when_it_is_named(monkeypatch, tmp_path):
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka-clients-4.1.0.jar").touch()
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    assert jars.kafka_jars() == [tmp_path / "libs" / "kafka-clients-4.1.0.jar"]


def test_a_named_kafka_without_jars_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    with pytest.raises(LocalError, match="no jars of Kafka"):
        jars.kafka_jars()
