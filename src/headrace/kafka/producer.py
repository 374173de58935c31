"""The transactional producer of one slot."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import Commit, Outgoing
from headrace.errors import (
    BrokerUnavailableError,
    FencedError,
    InvariantError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.kafka.access import Complaints, hear, made
from headrace.kafka.call_thread import CallThread, StuckError
from headrace.kafka.connections import ConnectionWatch
from headrace.kafka.properties import LOGGER, TRANSACTION_TIMEOUT_MS
from headrace.kafka.translate import FENCED, MISSING, failure_of, kafka_error, translated
from headrace.ports import GroupToken, Transaction

_INIT_WITHIN_S = 20.0
# The broker ends a transaction that takes longer, so going on would be in vain.
_SEND_WITHIN_S = TRANSACTION_TIMEOUT_MS / 1000
# librdkafka recommends no limit for the two calls that end a transaction, because its state and
# the broker's part when a limit is hit. Here a producer whose end is unknown is never used
# again, so they cannot part, and a dead broker does not hold the thread for ever.
_COMMIT_WITHIN_S = 15.0
_ABORT_WITHIN_S = 10.0
# After this a call that should have given up by itself is taken for stuck.
_GRACE_S = 2.0
_AGAIN_AFTER_S = 0.02
_DRAIN_S = 0.05
_HEAR_EVERY_S = 5.0
_METADATA_WITHIN_S = 5.0
_UNWRITABLE = (TypeError, ValueError, OverflowError)

FaultPoint = Callable[[str], None]


class KafkaSink:
    """Writes whole transactions, each in one call on a thread of its own.

    Cancelling `commit` does not stop a transaction that has begun; the next call waits for it.

    Args:
        properties: From `producer_properties`.
        fault_point: Called at `begin`, `produced`, `offsets_sent`, `before_commit` and
            `after_commit`; what it raises leaves the transaction as it is. For fault tests.
    """

    def __init__(
        self, properties: Mapping[str, Any], fault_point: FaultPoint = lambda _: None
    ) -> None:
        self._properties = dict(properties)
        self._fault_point = fault_point
        self._thread = CallThread("headrace-produce")
        self._producer: Producer | None = None
        self._connections = ConnectionWatch()
        self._is_doubtful = False
        self._attempt: _Attempt | None = None
        self._left_behind: list[weakref.ref[_Attempt]] = []
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take over the transactional id: ends and fences whatever used it before.

        Raises:
            BrokerUnavailableError: No broker answers; call again.
            FencedError: Somebody took the id over in the meantime.
            BrokerError: Kafka refuses the id to this client.
        """
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="listen-to-producer")
        await self._thread.run(self._open, lambda: False)

    async def commit(self, transaction: Transaction) -> None:
        """Write and commit, all or nothing.

        A producer goes on to a next transaction only after one that ended as asked, over
        connections that stood; else it is opened again first.

        After any error but TransactionAbortedError, `open` has to be called first.

        Raises:
            TransactionAbortedError: Nothing is visible; the same may be sent again.
            TransactionIndefiniteError: Unknown; `open`, then look at the committed offsets.
            FencedError: Another producer took the id over. Where that was noticed during the
                commit itself, an earlier try of the same commit may have succeeded: look at the
                committed offsets here, too.
            InvariantError: The token is not a member's; nothing was begun.
        """
        try:
            await self._thread.run(lambda: self._commit(transaction), self._is_stuck)
        except StuckError as error:
            if self._attempt is not None:
                self._left_behind.append(weakref.ref(self._attempt))
            self._producer = self._attempt = None
            raise TransactionIndefiniteError(
                "the Kafka client did not come back from a call within its time"
            ) from error

    async def close(self) -> None:
        """Let go of the producer without ending anything; a call that never returns keeps it."""
        if self._listening is not None:
            self._listening.cancel()
        with contextlib.suppress(StuckError):
            await self._thread.run(self._drop, self._is_stuck)
        self._thread.stop()

    def _is_stuck(self) -> bool:
        """Whether a call of the transaction under way is long past its time; leaves it then."""
        attempt = self._attempt
        if attempt is None or time.monotonic() < attempt.due:
            return False
        attempt.is_abandoned = True
        return True

    def _open(self) -> None:
        self._drop()
        name = self._properties["transactional.id"]
        complaints = Complaints()
        self._connections = ConnectionWatch()
        properties = self._connections.properties(self._properties)
        producer = made(Producer, {**properties, "error_cb": complaints})
        deadline = time.monotonic() + _INIT_WITHIN_S
        failure = failure_of(_until_done, producer.init_transactions, deadline)
        if failure is not None:
            reason = complaints.reason(producer, failure)
            raise translated(reason, f"taking over {name}") from failure
        self._producer, self._is_doubtful = producer, False

    async def _listen(self) -> None:
        """Hear the clients also while there is nothing to commit, or a call never returns."""
        while True:
            await asyncio.sleep(_HEAR_EVERY_S)
            self._hear()

    def _hear(self) -> None:
        """Take what clients have to tell; they keep that in memory until they are asked."""
        if (producer := self._producer) is not None:
            hear(producer)
        for each in self._left_behind:
            if (attempt := each()) is not None:
                attempt.hear()

    def _renew(self) -> None:
        """Open again, so that what may still be on its way is fenced.

        The client repeats requests on a new connection by itself. The first one may arrive later
        and would end, or add to, the transaction that is open then (KAFKA-17754). After a
        transaction that did not end well nobody knows what is left behind on which connection.
        """
        try:
            self._open()
        except BrokerUnavailableError as error:
            raise TransactionIndefiniteError("the producer has to be opened first") from error

    def _drop(self) -> None:
        # Not Producer.close(), which would end the transaction that is open.
        self._producer = None

    def _commit(self, transaction: Transaction) -> None:
        if transaction.commits and not transaction.token.is_member:
            raise InvariantError("a transaction without a group membership would not be fenced")
        if self._producer is None:
            raise TransactionIndefiniteError("the producer has to be opened first")
        self._hear()
        if self._is_doubtful or self._connections.was_lost:
            self._renew()
        attempt = self._attempt = _Attempt(self._producer, self._fault_point)
        try:
            attempt.run(transaction)
        except TransactionAbortedError:
            self._is_doubtful = True
            raise
        except (TransactionIndefiniteError, FencedError):
            if not attempt.is_abandoned:
                self._drop()
            raise
        finally:
            if self._attempt is attempt:
                self._attempt = None


class _Attempt:
    """One transaction on one producer.

    Attributes:
        due: When the blocking call under way has to be back, `time.monotonic`.
        is_abandoned: Set when nobody waits for it any more; it must not be committed then.
    """

    def __init__(self, producer: Producer, fault_point: FaultPoint) -> None:
        self._producer = producer
        self._fault_point = fault_point
        self._begun = time.monotonic()
        self.due = self._begun + _SEND_WITHIN_S + _GRACE_S
        self.is_abandoned = False
        self._is_ending = False
        self._unknown_topic = ""

    def run(self, transaction: Transaction) -> None:
        """Begin, fill and commit; raises as `KafkaSink.commit` does."""
        failure: Exception | None = None
        try:
            self._fill(transaction)
        except (KafkaException, BufferError, *_UNWRITABLE) as error:
            failure = error
        if failure is not None:
            self._give_up(failure)
        self._fault_point("before_commit")
        if self.is_abandoned:
            raise TransactionIndefiniteError("the transaction was given up")
        self._is_ending = True
        deadline = self._within(_COMMIT_WITHIN_S)
        failure = failure_of(_until_done, self._producer.commit_transaction, deadline)
        if failure is not None:
            self._give_up(failure)
        self._fault_point("after_commit")

    def hear(self) -> None:
        """Take what the client has to tell, also while a call never returns; from any thread."""
        hear(self._producer)

    def _within(self, seconds: float) -> float:
        deadline = time.monotonic() + seconds
        self.due = deadline + _GRACE_S
        return deadline

    def _fill(self, transaction: Transaction) -> None:
        self._producer.begin_transaction()
        self._fault_point("begin")
        self._produce(transaction.outgoing)
        self._fault_point("produced")
        if transaction.commits:
            self._send_offsets(transaction.commits, transaction.token)
        self._fault_point("offsets_sent")

    def _produce(self, outgoing: Sequence[Outgoing]) -> None:
        produce = self._producer.produce
        for topic, value, key, partition, timestamp, headers in outgoing:
            try:
                produce(topic, value, key, partition, None, None, timestamp, headers)  # type: ignore[arg-type]
                continue
            except BufferError:
                pass
            except KafkaException as error:
                if kafka_error(error).code() in MISSING:
                    self._unknown_topic = topic
                raise
            self._produce_slowly(topic, value, key, partition, None, None, timestamp, headers)

    def _produce_slowly(self, *arguments: Any) -> None:
        while True:
            self._producer.poll(_DRAIN_S)
            try:
                return self._producer.produce(*arguments)
            except BufferError:
                if time.monotonic() > self._begun + _SEND_WITHIN_S:
                    raise

    def _send_offsets(self, commits: Sequence[Commit], token: GroupToken) -> None:
        offsets = [
            ClientPartition(*each.partition, each.offset, metadata=each.metadata)
            for each in commits
        ]
        _until_done(
            lambda seconds: self._producer.send_offsets_to_transaction(
                offsets, token.value, seconds
            ),
            self._begun + _SEND_WITHIN_S,
        )

    def _give_up(self, cause: Exception) -> NoReturn:
        """Raise what is certain about the transaction after an error, aborting it if possible."""
        if isinstance(cause, BufferError):
            self._abort(cause)
            raise TransactionAbortedError("the client's queue stayed full: aborted") from cause
        if isinstance(cause, _UNWRITABLE):
            self._abort(cause)
            raise InvariantError(f"a record that Kafka's client cannot write: {cause}") from cause
        if self._unknown_topic:
            # Partitions added a moment ago are not known until somebody asks for them.
            failure_of(self._producer.list_topics, self._unknown_topic, timeout=_METADATA_WITHIN_S)
        error = kafka_error(cause)
        said = f"{error.name()}: {error.str()}"
        if error.code() in FENCED:
            self._raise_fenced(cause, said)
        if error.fatal() or not self._may_abort(error):
            raise TransactionIndefiniteError(
                f"the transaction's end is unknown ({said})"
            ) from cause
        self._abort(cause)
        raise TransactionAbortedError(f"the transaction was aborted ({said})") from cause

    def _may_abort(self, error: KafkaError) -> bool:
        # A commit that was only late may still come: aborting then would race with it.
        return error.txn_requires_abort() or not self._is_ending

    def _raise_fenced(self, cause: Exception, said: str) -> NoReturn:
        # The broker also fences a producer whose transaction it has timed out. Only then, and
        # not before the timeout, nobody else needs to be using the id.
        if time.monotonic() - self._begun >= _SEND_WITHIN_S:
            raise TransactionIndefiniteError(
                f"the transaction may have timed out ({said})"
            ) from cause
        raise FencedError(f"another producer took over the transactional id ({said})") from cause

    def _abort(self, cause: Exception) -> None:
        deadline = self._within(_ABORT_WITHIN_S)
        failure = failure_of(_until_done, self._producer.abort_transaction, deadline)
        if failure is None:
            return
        said = kafka_error(failure)
        LOGGER.warning("a transaction could not be aborted: %s", said.str())
        if said.code() in FENCED:
            self._raise_fenced(failure, f"{said.name()}: {said.str()}")
        raise TransactionIndefiniteError(
            f"the transaction failed ({cause}) and could not be aborted ({said.str()})"
        ) from failure


def _until_done(call: Callable[[float], None], deadline: float) -> None:
    """Repeat a call while its error says so and there is time, then let the error out."""
    while True:
        try:
            return call(max(deadline - time.monotonic(), 0.1))
        except KafkaException as error:
            if not kafka_error(error).retriable() or time.monotonic() >= deadline:
                raise
        time.sleep(_AGAIN_AFTER_S)
