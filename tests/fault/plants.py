"""Bugs that a worker can be run with, to see whether a campaign notices."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer

from headrace.errors import TransactionAbortedError, TransactionIndefiniteError
from headrace.kafka.connections import ConnectionWatch
from headrace.kafka.producer import KafkaSink, _Attempt
from headrace.ports import GroupToken
from tests.bugs import commit_highest_seen, late_part_handled_twice, map_dropped, outcome_lost


def plant(name: str) -> None:
    """Plant a bug in this process; an empty name plants none."""
    if name:
        PLANTS[name](pytest.MonkeyPatch())


def fencing_skipped(patch: pytest.MonkeyPatch) -> None:
    """Use a transactional id of one's own, and commit offsets in nobody's name."""
    init, send = KafkaSink.__init__, _Attempt._send_offsets
    strangers: list[Consumer] = []

    def anonymous(self: KafkaSink, properties: Any, fault_point: Any) -> None:
        own = properties["transactional.id"]
        servers = properties["bootstrap.servers"]
        group = own.rpartition(".")[0]
        strangers.append(Consumer({"bootstrap.servers": servers, "group.id": group}))
        init(self, {**properties, "transactional.id": f"{own}.{uuid.uuid4().hex}"}, fault_point)

    def unfenced(self: _Attempt, commits: Any, token: GroupToken) -> None:
        nobody = strangers[-1].consumer_group_metadata()
        send(self, commits, GroupToken(nobody, token.generation, token.member))

    patch.setattr(KafkaSink, "__init__", anonymous)
    patch.setattr(_Attempt, "_send_offsets", unfenced)


def producer_reused(patch: pytest.MonkeyPatch) -> None:
    """Take a transaction whose end nobody knows for an aborted one, and go on."""
    commit = KafkaSink.commit

    async def careless(self: KafkaSink, transaction: Any) -> None:
        with patch.context() as kept:
            kept.setattr(KafkaSink, "_drop", lambda _: None)
            try:
                await commit(self, transaction)
            except TransactionIndefiniteError as error:
                raise TransactionAbortedError("as good as aborted") from error

    patch.setattr(KafkaSink, "commit", careless)


def lost_connection_trusted(patch: pytest.MonkeyPatch) -> None:
    """Go on with a producer whose connection was cut (KAFKA-17754)."""
    patch.setattr(ConnectionWatch, "log", lambda *_: None)


PLANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    each.__name__: each
    for each in (
        commit_highest_seen,
        map_dropped,
        fencing_skipped,
        producer_reused,
        lost_connection_trusted,
        outcome_lost,
        late_part_handled_twice,
    )
}
