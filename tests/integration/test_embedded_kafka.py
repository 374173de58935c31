"""The embedded Kafka starts, survives SIGKILL, and never outlives its parent."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.errors import LocalError, PortInUseError
from headrace.local import broker_record, storage
from headrace.local import kafka as embedded
from headrace.local.kafka import EmbeddedKafka, join_or_start, running_broker
from headrace.local.kafka_jars import KAFKA_VERSION, locked_jars, resolved_coordinates
from headrace.local.paths import cache_dir
from headrace.local.process import is_alive
from tests.network import Proxy

_PARENT = """
import sys, time
from headrace.local.kafka import EmbeddedKafka
kafka = EmbeddedKafka(port=0)
kafka.start()
print(kafka.pid, flush=True)
time.sleep(60)
"""


def _await(what, within_s: float = 15.0):
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _has_ended(pid: int) -> bool:
    if not is_alive(pid):
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_second_broker_is_ready_without_network_and_download(kafka, monkeypatch):
    monkeypatch.setenv("HEADRACE_MAVEN_REPOSITORY", "http://127.0.0.1:1")
    slow_steps: list[str] = []

    with EmbeddedKafka(port=0, progress=slow_steps.append) as another:
        answered = embedded.answers(another.bootstrap_servers)

    assert answered
    assert another.is_running is False
    assert slow_steps == []


def test_records_survive_sigkill_and_restart_on_the_same_port():
    with EmbeddedKafka(port=0) as kafka:
        address = kafka.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic("t", 1, 1)])["t"].result(20)
        producer = Producer({"bootstrap.servers": address})
        producer.produce("t", b"kept")
        assert producer.flush(10) == 0

        kafka.kill()
        was_running = kafka.is_running
        kafka.restart()
        consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
        consumer.assign([TopicPartition("t", 0, 0)])
        records = consumer.consume(1, 20)
        consumer.close()

    assert was_running is False
    assert kafka.is_running is False
    assert [record.value() for record in records] == [b"kept"]


def test_a_given_data_dir_is_kept_and_can_be_started_again(tmp_path: Path):
    with EmbeddedKafka(port=0, data_dir=tmp_path / "kafka") as first:
        admin = AdminClient({"bootstrap.servers": first.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 3, 1)])["kept"].result(20)

    with EmbeddedKafka(port=0, data_dir=tmp_path / "kafka") as second:
        admin = AdminClient({"bootstrap.servers": second.bootstrap_servers})
        topics = admin.list_topics(timeout=10).topics

    assert len(topics["kept"].partitions) == 3


def test_temporary_data_is_removed_by_stop():
    with EmbeddedKafka(port=0) as kafka:
        folder = kafka.log_path.parent
        existed = (folder / "data" / "meta.properties").exists()

    assert existed
    assert not folder.exists()


def test_a_given_port_in_use_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            EmbeddedKafka(port=port).start()


def test_a_broker_that_cannot_start_shows_the_tail_of_its_log():
    broken = EmbeddedKafka(port=0, properties={"num.io.threads": "none"})

    with pytest.raises(LocalError, match=r"Invalid value none for .* num\.io\.threads"):
        broken.start()


def test_a_broker_formatted_by_the_tool_and_one_from_its_result_have_the_same_features(
    monkeypatch, tmp_path: Path
):
    cache = cache_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (cache_dir() / f"kafka-{KAFKA_VERSION}").symlink_to(cache / f"kafka-{KAFKA_VERSION}")
    # An id that begins with a dash must not be taken for an option of the tool.
    monkeypatch.setattr(storage, "new_id", lambda: "-6OZ3WIbTRSqEFMpIPn-Sg")

    with EmbeddedKafka(port=0, data_dir=tmp_path / "first") as by_tool:
        assert by_tool.is_running
    monkeypatch.undo()
    with EmbeddedKafka(port=0, data_dir=tmp_path / "second") as from_result:
        assert from_result.is_running

    levels = [(tmp_path / each / "data" / "bootstrap.checkpoint") for each in ("first", "second")]
    assert _features(levels[0]) == _features(levels[1])
    assert b"transaction.version\x00\x02" in levels[1].read_bytes()


def _features(checkpoint: Path) -> list[bytes]:
    """The names and levels in a checkpoint, which also holds times and checksums."""
    return re.findall(rb"[a-z.]+\.version\x00.", checkpoint.read_bytes())


def test_the_broker_ends_when_its_parent_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        broker = int(parent.stdout.readline())
        lived = not _has_ended(broker)

        parent.kill()
        parent.wait()

    assert lived
    _await(lambda: _has_ended(broker))


def test_a_second_process_joins_the_announced_broker(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    nobody = running_broker()

    address, started = join_or_start()
    assert started is not None
    try:
        joined = join_or_start()
        found = running_broker()
    finally:
        started.stop()

    assert nobody is None
    assert joined == (address, None)
    assert found == address
    assert running_broker() is None


def test_an_announced_broker_that_is_slow_is_joined(monkeypatch, tmp_path: Path, proxy: Proxy):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    broker_record.write(os.getpid(), proxy.address)
    proxy.delay_s = 0.6

    assert running_broker() == proxy.address


def test_a_killed_announced_broker_is_not_joined(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with EmbeddedKafka(port=0) as kafka:
        kafka.announce()

        kafka.kill()

        assert running_broker() is None


@pytest.mark.slow
def test_the_lock_is_what_the_endpoint_resolves_to_on_maven_central(tmp_path: Path):
    assert resolved_coordinates(tmp_path) == sorted(jar.coordinate for jar in locked_jars())
