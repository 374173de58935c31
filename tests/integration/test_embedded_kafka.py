"""The embedded Kafka starts, survives SIGKILL, and never outlives its parent."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.errors import LocalError, PortInUseError
from headrace.local import kafka as embedded
from headrace.local.kafka import EmbeddedKafka, join_or_start, running_broker
from headrace.local.process import is_alive

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


def test_a_cached_broker_is_ready_within_seconds(kafka):
    began = time.monotonic()

    with EmbeddedKafka(port=0) as another:
        took = time.monotonic() - began
        answered = embedded.answers(another.bootstrap_servers)

    assert answered
    assert another.is_running is False
    # 3 s on a quiet machine of two cores; the bound leaves room for a busy one.
    assert took < 20


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


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(monkeypatch):
    monkeypatch.setattr(embedded, "new_cluster_id", lambda: "-6OZ3WIbTRSqEFMpIPn-Sg")

    with EmbeddedKafka(port=0) as kafka:
        assert kafka.is_running


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


def test_a_killed_announced_broker_is_not_joined(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with EmbeddedKafka(port=0) as kafka:
        kafka.announce()

        kafka.kill()

        assert running_broker() is None
