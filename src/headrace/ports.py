"""What the runtime needs from the outside, as small asynchronous protocols.

Threads live only inside the adapters; every await here is a place where the simulation may
reorder, delay, fail or crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from headrace.core.records import Commit, Committed, Outgoing, Record, TopicPartition
from headrace.errors import FunctionError


@dataclass(frozen=True, slots=True)
class GroupToken:
    """Membership of a consumer group, as captured when an assignment began.

    Attributes:
        value: The client's own group metadata; opaque here.
        generation: Generation or member epoch; below 0 means "not a member".
        member: Member id; empty means "not a member".
    """

    value: Any
    generation: int
    member: str

    @property
    def is_member(self) -> bool:
        """Whether it may fence: classic groups accept a non-member's commit unchecked."""
        return self.generation >= 0 and self.member != ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records that one poll returned.

    Attributes:
        epoch: The assignment epoch that was current after the poll returned.
        records: Records, in offset order within each partition.
        positions: Next offset to read per partition, only when the poll found the log's end.
    """

    epoch: int
    records: Sequence[Record]
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A change of what this member owns.

    Attributes:
        epoch: Counts this member's assignments and revocations, from 1.
        token: The membership to commit with while this assignment lasts.
        added: Partitions that are new with it.
    """

    epoch: int
    token: GroupToken
    added: Sequence[TopicPartition]


@dataclass(frozen=True, slots=True)
class Bounds:
    """First offset in a partition's log, and the one after its last."""

    start: int
    end: int


class AssignmentListener(Protocol):
    """Who is told of rebalances. Both calls run inside the rebalance: be quick, never raise."""

    async def assigned(self, assignment: Assignment) -> Mapping[TopicPartition, int | None]:
        """Return where to resume each added partition; None keeps it paused until `start_at`."""
        ...

    async def revoked(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are going, or are lost; the epoch is the new one."""
        ...


class RecordSource(Protocol):
    """A member of one consumer group."""

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def fetch(self) -> Fetched:
        """Wait for records. Not calling it is back-pressure: the member stays alive meanwhile.

        Raises:
            OffsetOutOfRangeError: The next record of a partition is gone.
            BrokerError: The consumer cannot go on.
        """
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop reading partitions soon; records already read may still come."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Read paused partitions again, from where they stopped."""
        ...

    def start_at(self, epoch: int, partition: TopicPartition, offset: int) -> None:
        """Begin reading a partition that `assigned` answered None for; ignored if epoch is old."""
        ...

    async def close(self) -> None:
        """Leave the group; `revoked` is called first if partitions are still owned."""
        ...


class GroupView(Protocol):
    """What Kafka knows about this consumer group and its topics."""

    async def committed(
        self, partitions: Sequence[TopicPartition], *, stable: bool = True
    ) -> Mapping[TopicPartition, Committed | None]:
        """Return what is committed; None where a transaction that has not ended holds it.

        With `stable=False` the last stable value is returned for every partition.

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Return the offsets that each partition's log holds (the last stable end).

        Raises:
            BrokerUnavailableError: No broker answers.
        """
        ...

    async def start_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where a partition without a commit begins, by its source's `start`.

        Raises:
            BrokerUnavailableError: No broker answers.
            ConfigError: The source says `error`.
        """
        ...

    async def slots(self) -> frozenset[str]:
        """Return the slots of the group's live members, read from their client ids."""
        ...

    async def fence(self, slot: str) -> None:
        """End whatever transaction a dead slot of this stage left open."""
        ...


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything that becomes durable at once.

    Attributes:
        outgoing: Records to write, in order.
        commits: Offsets and metadata to commit, one per partition.
        token: Membership of the assignment the commits belong to.
    """

    outgoing: Sequence[Outgoing]
    commits: Sequence[Commit]
    token: GroupToken


class TransactionSink(Protocol):
    """The transactional producer of one slot."""

    async def open(self) -> None:
        """Take over the transactional id: ends and fences whatever used it before.

        Also called to replace a producer after an indefinite end; the old one is never used again.

        Raises:
            BrokerUnavailableError: No broker answers; call again.
            FencedError: Somebody took the id over in the meantime.
        """
        ...

    async def commit(self, transaction: Transaction) -> None:
        """Write and commit, all or nothing.

        Raises:
            TransactionAbortedError: Nothing is visible; the same may be sent again.
            TransactionIndefiniteError: Unknown; `open`, then look at the committed offsets.
            FencedError: Another producer took the id over; `open`, then look at the committed
                offsets: an earlier try of the same commit may have succeeded.
        """
        ...

    async def close(self) -> None:
        """Let go of the producer without ending anything."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to a batch.

    Attributes:
        columns: One list per bound output, one value per row of the request, in order.
        version: The model version that answered, empty where the server does not say.
        faults: Rows whose output cannot be used, and why.
    """

    columns: Sequence[Sequence[Any]]
    version: str = ""
    faults: Mapping[int, str] = field(default_factory=dict)


class InferenceClient(Protocol):
    """One model, bound to the tensors a step reads and writes."""

    async def infer(self, columns: Sequence[Sequence[Any]]) -> Prediction:
        """Ask the model for one answer per row.

        Args:
            columns: One sequence per bound input, all of the same length: the rows.

        Raises:
            InferenceUnavailableError: The model cannot answer now.
            AccessRefusedError: The server refuses this caller or does not know the model.
            InferenceTimeoutError: No answer in time.
            InferenceFailedError: The server failed, or cut the connection.
            InvalidInputError: The server rejects these rows.
            InvalidRowsError: Some rows cannot become tensors; nothing was sent.
            RowCountError: The answer has another number of rows.
            BrokenAnswerError: The answer cannot be read.
        """
        ...

    async def ready(self) -> bool:
        """Whether the model says it is ready; False when it cannot be reached."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class FunctionCaller(Protocol):
    """One user's function, ready to be called."""

    async def call(
        self, documents: Sequence[Any]
    ) -> Sequence["dict[str, Any] | FunctionError | None"]:
        """Call the function once per document; it may change what it is given.

        Returns per document, in order, the document it returned, None for a record to drop, or
        why there is none: it raised, timed out, or returned something else. Calls may overlap; how
        many documents are worked on at once is for the caller behind this port to say.

        Raises:
            ConfigError: A process for it cannot be started: what it imports is gone or broken.
            CancelledError: `close` was called meanwhile.
        """
        ...

    async def close(self) -> None:
        """Stop threads and processes; calls under way are cut, a thread's function runs on."""
        ...


Condition: TypeAlias = Callable[[Any], bool]
"""A compiled condition of a route or gate, for a decoded document, which it does not change.

Raises `DocumentError`, naming the condition, where it cannot be decided or gives no bool.
"""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One owned partition.

    Attributes:
        topic: Its topic.
        partition: Its number.
        committable: Lowest offset that is not durably finished.
        position: Next offset to read.
        in_flight: Records taken and not durable.
        blocked: Finished records that wait for an earlier one of their lane.
        metadata_size: Characters of commit metadata in use, of 4095.
        waiting: Records that wait at a join or gather for parts to come.
    """

    topic: str
    partition: int
    committable: int
    position: int
    in_flight: int
    blocked: int
    metadata_size: int
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step of a stage in this worker.

    Attributes:
        step: The step.
        kind: `model`, `function`, `split` or `gather`.
        model: The model it calls, empty for none.
        paused_reason: Why it waits for its model, empty if it does not.
        paused_s: For how long it has been waiting, seconds.
        slots: Calls that may be under way at once.
        busy: Calls under way.
        waiting: Ids that wait here for parts to come.
        late: Parts that came after their id had ended here.
        counters: `results`, `dropped`, `unmatched`, `failed` since the worker started.
    """

    step: str
    kind: str
    model: str
    paused_reason: str
    paused_s: float
    slots: int
    busy: int
    waiting: int
    late: int
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage of this worker, as metrics, health and the console read it.

    Attributes:
        pipeline: The pipeline's name.
        stage: The stage's name.
        step: Its steps, separated by commas.
        model: Their models, likewise.
        slot: This worker's name in the fleet.
        phase: starting, running, draining, stopped or failed.
        is_assigned: Whether the group gave it an assignment (which may be empty).
        paused_reason: Why the step waits for its model, empty while it does not.
        paused_s: Seconds since then.
        slots: Calls that may be under way at once.
        busy: Calls under way.
        in_flight: Records taken and not durable.
        counters: Name to count since the worker started; see `runtime.stats.StageStats`.
        errors: Failed calls by error class.
        model_latency: Cumulative (upper bound in s, count) pairs, then sum in s.
        commit_latency: The same for transactions.
        partitions: Owned partitions.
        steps: Its steps, upstream first.
    """

    pipeline: str
    stage: str
    step: str
    model: str
    slot: str
    phase: str
    is_assigned: bool
    paused_reason: str
    paused_s: float
    slots: int
    busy: int
    in_flight: int
    counters: Mapping[str, int]
    errors: Mapping[str, int]
    model_latency: tuple[Sequence[tuple[float, int]], float]
    commit_latency: tuple[Sequence[tuple[float, int]], float]
    partitions: Sequence[PartitionStatus]
    steps: Sequence[StepStatus] = ()


class StatusSource(Protocol):
    """Something whose state can be read at any time, cheaply, without touching the hot path."""

    def status(self) -> StageStatus:
        """Return a snapshot."""
        ...
