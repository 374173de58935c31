"""Clients of a broker that does not answer are let go of, whoever keeps the error."""

import weakref

import pytest

from headrace.core.records import TopicPartition
from headrace.errors import BrokerError
from headrace.kafka import access, listing, reading

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


@pytest.fixture
def clients(monkeypatch):
    """Every administrative client made, as far as it is still there."""
    made: list[weakref.ref[object]] = []

    for module in (access, listing, reading):
        kind = module.AdminClient

        def make(properties, kind=kind):
            client = kind(properties)
            made.append(weakref.ref(client))
            return client

        monkeypatch.setattr(module, "AdminClient", make)
    return made


@pytest.mark.parametrize(
    "ask",
    [
        lambda: reading.partitions_of(NOWHERE, ["t"], 0.2),
        lambda: reading.log_bounds(NOWHERE, [TopicPartition("t", 0)]),
        lambda: access.await_access(NOWHERE, 0.2),
    ],
    ids=["partitions_of", "log_bounds", "await_access"],
)
def test_an_error_that_is_kept_keeps_no_client(ask, clients, monkeypatch):
    monkeypatch.setattr(reading, "ANSWER_WITHIN_S", 0.3)

    with pytest.raises(BrokerError) as kept:
        ask()

    assert len(clients) == 1
    assert clients[0]() is None
    assert kept.value.__traceback__ is not None
