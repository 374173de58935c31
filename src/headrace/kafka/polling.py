"""The thread that owns the Kafka consumer: nothing else ever touches it."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import TopicPartition
from headrace.kafka.access import made
from headrace.kafka.gone import GonePlaces
from headrace.kafka.handover import Handover
from headrace.kafka.membership import group_token
from headrace.kafka.messages import Messages
from headrace.kafka.rebalances import Positions, Rebalances
from headrace.kafka.translate import NOT_STARTED, OUT_OF_RANGE, failure_of, translated
from headrace.kafka.trouble import SLOW_S, Trouble
from headrace.ports import Assignment, Fetched

LOGGER = logging.getLogger("headrace.kafka")

BATCH = 500
CAPACITY = 4 * BATCH
_OVERFLOW = 0.025
_RESUMES_AT = 0.5
_POLL_S = 0.05
_FULL_TURN_S = 0.1
_POSITIONS_EVERY_S = 1.0
_REACHABLE_WITHIN_S = 10.0
_WAKE_WITHIN_S = 0.5
_FIRST_WITHIN_S = 2.0
_JOIN_AGAIN_S = 0.5
_SEEK_TRIES = 50
_SEEK_AGAIN_S = 0.02


class Poller:
    """Polls, converts, hands over; pauses, seeks and rebalances in between.

    Everything but `post` and `stop` runs on its own thread. A pause ends when its partition is
    revoked. A command belongs to the assignment that was current on the loop when it was given:
    if its partition was revoked and assigned again since, it is ignored.

    Args:
        properties: The client's properties.
        topics: What to subscribe to.
        is_incremental: Whether the group protocol moves single partitions (KIP-848).
        handover: Where batches go.
        rebalances: Who is asked on rebalances.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        *,
        is_incremental: bool,
        handover: Handover,
        rebalances: Rebalances,
    ) -> None:
        self._properties = dict(properties)
        self._topics = list(topics)
        self._is_incremental = is_incremental
        self._handover = handover
        self._rebalances = rebalances
        self._trouble = Trouble(handover, topics)
        self._gone = GonePlaces(self._trouble)
        self._commands: deque[Callable[[], None]] = deque()
        self._is_stopping = False
        self._epoch = 0
        self._messages = Messages()
        self._since: dict[TopicPartition, int] = {}
        self._begun_at: dict[TopicPartition, int] = {}
        self._undecided: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._is_throttled = False
        self._halted: set[TopicPartition] = set()
        self._reported: dict[TopicPartition, int] = {}
        self._report_due = 0.0

    def post(self, command: Callable[[], None]) -> None:
        """Run a command on the thread before its next poll; from any thread."""
        self._commands.append(command)

    def stop(self) -> None:
        """Let `run` leave the group and return; from any thread."""
        self._is_stopping = True

    def open(self) -> None:
        """Connect and subscribe.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka does not let this client in.
            ConfigError: The Kafka client does not take its properties.
        """
        try:
            self._connect()
            self._require_access()
            self._subscribe()
        except KafkaException as error:
            raise translated(error, "connecting to Kafka") from error

    def run(self) -> None:
        """Poll until stopped, then leave the group."""
        try:
            while not self._is_stopping:
                started = time.monotonic()
                with self._trouble.ends("polling"):
                    self._turn()
                    self._gone.look(self._consumer)
                    self._trouble.look_for_topics(self._consumer)
                    if self._trouble.must_join_again:
                        self._join_again()
                if time.monotonic() - started > SLOW_S:
                    LOGGER.warning("a turn of the polling thread took over %.0f s", SLOW_S)
        finally:
            # Calls on_revoke, which commits, and then leaves.
            self._consumer.close()

    def pause(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        """Stop reading partitions."""
        self._paused.update(each for each in partitions if self._holds(epoch, each))
        self._settle()

    def resume(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        """Read partitions again."""
        self._paused.difference_update(each for each in partitions if self._holds(epoch, each))
        self._settle()

    def start_at(self, epoch: int, partition: TopicPartition, offset: int) -> None:
        """Begin reading a partition that was assigned without a position."""
        if partition not in self._undecided or not self._holds(epoch, partition):
            return
        self._begun_at[partition] = offset
        with self._trouble.ends(f"seeking {partition} to {offset}"):
            self._seek(ClientPartition(*partition, offset))
            # Until the seek has returned, records may come from the placeholder.
            self._undecided.discard(partition)
            self._settle()

    def _connect(self) -> None:
        self._consumer = made(Consumer, {**self._properties, "error_cb": self._trouble.on_error})

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def _join_again(self) -> None:
        self._consumer.close()
        time.sleep(_JOIN_AGAIN_S)
        self._trouble.joins()
        self._halted.clear()
        self._connect()
        self._subscribe()

    def _require_access(self) -> None:
        failure = failure_of(self._consumer.list_topics, timeout=_REACHABLE_WITHIN_S)
        if failure is None:
            return
        # A refusal looks like silence here; its reason comes with the next poll.
        self._consumer.poll(0)
        raise self._trouble.failure or failure

    def _seek(self, to: ClientPartition) -> None:
        # A partition that was assigned a moment ago may not have started: _STATE.
        for _ in range(_SEEK_TRIES):
            try:
                return self._consumer.seek(to)
            except KafkaException as error:
                if error.args[0].code() not in NOT_STARTED:
                    raise
            time.sleep(_SEEK_AGAIN_S)
        return self._consumer.seek(to)

    def _holds(self, epoch: int, partition: TopicPartition) -> bool:
        return self._since.get(partition, math.inf) <= epoch

    def _turn(self) -> None:
        while self._commands:
            self._commands.popleft()()
        if self._is_throttled:
            self._poll_throttled()
        elif self._handover.is_full:
            self._poll_full()
        else:
            self._poll()

    def _poll(self) -> None:
        first = self._consumer.poll(_POLL_S)
        if first is None:
            self._report_positions()
            return
        # Read only now: the first call may have run a rebalance and then gone on to a record of
        # the new assignment.
        epoch = self._epoch
        # One call for up to 500 would wait until it has them or its time is up, and every record
        # with it. The second call, too, may run a rebalance; the client then drops what it had
        # queued, but knows nothing of the first record any more.
        rest = self._consumer.consume(BATCH - 1, 0)
        if self._epoch == epoch or self._holds(epoch, self._messages.place_of(first)):
            rest.insert(0, first)
        self._deliver(rest)

    def _poll_full(self) -> None:
        # A pause throws the prefetch away, so a short jam is waited out. Rebalances still have to
        # be served: one record at a time is taken on top for that, a few of them only.
        self._handover.wait_for_room(_FULL_TURN_S)
        if not self._handover.is_full:
            return
        self._deliver(self._consumer.consume(1, 0))
        if self._handover.fill >= 1.0 + _OVERFLOW:
            LOGGER.info("nobody takes records: reading stops until somebody does")
            self._is_throttled = True
            self._settle()

    def _poll_throttled(self) -> None:
        if self._handover.fill <= _RESUMES_AT:
            self._is_throttled = False
            self._settle()
        self._deliver(self._consumer.consume(1, _POLL_S))

    def _deliver(self, messages: list[Message]) -> None:
        if any(map(Message.error, messages)):
            self._hand_over([each for each in messages if each.error() is None])
            for each in messages:
                self._judge(each)
        elif messages:
            self._trouble.heard()
            self._hand_over(messages)

    def _judge(self, message: Message) -> None:
        error, offset = message.error(), message.offset() or 0
        partition = self._messages.place_of(message)
        if error is None or partition in self._undecided:
            return
        if error.code() not in OUT_OF_RANGE:
            self._trouble.on_record_error(error, partition)
        # A placeholder may fail as it likes; what is said of it may come after the seek.
        elif offset >= self._begun_at.get(partition, 0):
            self._gone.add(partition, offset)

    def _hand_over(self, messages: list[Message]) -> None:
        if silent := self._undecided:
            place_of = self._messages.place_of
            messages = [each for each in messages if place_of(each) not in silent]
        if records := self._messages.records(messages):
            self._put(Fetched(self._epoch, records))

    def _put(self, batch: Fetched) -> None:
        # If a callback failed, the client may have assigned by itself and read from anywhere:
        # neither its records nor its positions mean anything then.
        if self._trouble.failure is None:
            self._handover.put(batch)

    def _report_positions(self) -> None:
        now = time.monotonic()
        if now < self._report_due:
            return
        self._report_due = now + _POSITIONS_EVERY_S
        asked = [ClientPartition(*each) for each in self._since if each not in self._undecided]
        with self._trouble.ends("reading positions"):
            found = {
                self._messages.place(each.topic, each.partition): each.offset
                for each in self._consumer.position(asked)
                # Negative: nothing was read since the assignment or the seek.
                if each.error is None and each.offset >= 0
            }
            if found.items() - self._reported.items():
                self._put(Fetched(self._epoch, (), found))
            self._reported = found

    def _on_assign(self, consumer: Consumer, partitions: list[ClientPartition]) -> None:
        self._trouble.joined()
        with self._trouble.contained("assigning partitions"):
            self._epoch += 1
            added = [self._messages.place(each.topic, each.partition) for each in partitions]
            assignment = Assignment(self._epoch, group_token(consumer), added)
            positions = self._rebalances.assigned(assignment, self._resolve_late)
            starts = {each: positions.get(each) for each in added}
            self._since.update(dict.fromkeys(added, self._epoch))
            self._undecided.update(each for each, start in starts.items() if start is None)
            placeholders = self._placeholders([each for each in added if each in self._undecided])
            self._assign(
                [
                    ClientPartition(*each, starts[each] or placeholders.get(each, 0))
                    for each in added
                ]
            )
            # The client keeps pauses through a revocation, but not of partitions new to it.
            self._halted.difference_update(self._wanted_halted())
            self._settle()

    def _placeholders(self, undecided: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return an offset that each partition surely has: the first one."""
        # Not OFFSET_BEGINNING itself: the answer to the client's query for it, if it comes after
        # the seek, makes the client forget the seek and skip or repeat records. And not 0: a
        # fetch out of range, before the pause takes hold, stops a partition for good.
        if not undecided:
            return {}
        asked = [ClientPartition(*each, OFFSET_BEGINNING) for each in undecided]
        try:
            found = self._consumer.offsets_for_times(asked, timeout=_FIRST_WITHIN_S)
        except KafkaException as error:
            LOGGER.info("the first offsets of %s are unknown: %s", undecided, error)
            return {}
        return {
            self._messages.place(each.topic, each.partition): max(each.offset, 0) for each in found
        }

    def _assign(self, partitions: list[ClientPartition]) -> None:
        if self._is_incremental:
            self._consumer.incremental_assign(partitions)
        else:
            self._consumer.assign(partitions)

    def _on_revoke(self, _consumer: Consumer, partitions: list[ClientPartition]) -> None:
        with self._trouble.contained("revoking partitions"):
            self._epoch += 1
            going = [self._messages.place(each.topic, each.partition) for each in partitions]
            try:
                self._rebalances.revoked(self._epoch, going)
            finally:
                self._forget(going)
                self._unassign(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self._undecided.difference_update(partitions)
        self._paused.difference_update(partitions)
        self._gone.forget(partitions)
        for each in partitions:
            self._since.pop(each, None)
            self._reported.pop(each, None)
            self._begun_at.pop(each, None)

    def _unassign(self, partitions: list[ClientPartition]) -> None:
        if self._is_incremental:
            self._consumer.incremental_unassign(partitions)
        else:
            self._consumer.unassign()

    def _resolve_late(self, assignment: Assignment, positions: Positions) -> None:
        def resolve() -> None:
            for each, offset in positions.items():
                if offset is not None:
                    self.start_at(assignment.epoch, each, offset)

        self.post(resolve)

    def _wanted_halted(self) -> set[TopicPartition]:
        return set(self._since) if self._is_throttled else self._paused | self._undecided

    def _settle(self) -> None:
        """Make the client pause exactly what has to be paused."""
        wanted = self._wanted_halted()
        halt = wanted - self._halted
        go = (self._halted - wanted) & self._since.keys()
        with self._trouble.ends("pausing or resuming"):
            if halt:
                self._consumer.pause([ClientPartition(*each) for each in halt])
            if go:
                self._consumer.resume([ClientPartition(*each) for each in go])
                self._wake(go)
        self._halted = (self._halted | halt) - go

    def _wake(self, partitions: set[TopicPartition]) -> None:
        # The client's connection sleeps up to a second when all its partitions were paused, and
        # a resume does not wake it; a request to the same brokers does.
        latest = [ClientPartition(*each, OFFSET_END) for each in partitions]
        try:
            self._consumer.offsets_for_times(latest, timeout=_WAKE_WITHIN_S)
        except KafkaException as error:
            LOGGER.info("resumed partitions may take a second to start: %s", error)
