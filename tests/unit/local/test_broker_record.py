"""The record of a broker names a living process or nothing."""

import os
import subprocess
import sys

import pytest

from headrace.local import broker_record


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_living_broker_is_found():
    broker_record.write(os.getpid(), "127.0.0.1:9092")

    assert broker_record.read() == "127.0.0.1:9092"


def test_a_dead_broker_is_not_found():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    broker_record.write(dead.pid, "127.0.0.1:9092")

    assert broker_record.read() is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x", "bootstrap_servers": "y"}'])
def test_a_damaged_record_counts_as_none(text):
    broker_record.record_path().write_text(text)

    assert broker_record.read() is None


def test_only_the_recorded_broker_takes_its_record_away():
    broker_record.write(os.getpid(), "127.0.0.1:9092")

    broker_record.forget(os.getpid() + 1)
    kept = broker_record.read()
    broker_record.forget(os.getpid())

    assert kept == "127.0.0.1:9092"
    assert broker_record.read() is None
