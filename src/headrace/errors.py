"""Every exception headrace raises.

HeadraceError
├── ConfigError                     exit 2, before anything starts
│   ├── SpecError                   the pipeline file; carries every lint
│   ├── MissingTopicsError
│   └── PortInUseError
├── LocalError                      a child of `headrace up` did not start
├── RecordError                     one record; it becomes a dead letter
│   ├── DecodeError
│   ├── DocumentError               a field is missing or does not fit the tensor
│   ├── OversizeError
│   ├── ExpiredError                its deadline passed before a model was asked
│   ├── FunctionError               a function of the user's raised, or answered with nonsense
│   │   └── FunctionTimeoutError
│   ├── MissingPartError            a join or gather lacks a part: it failed or never came
│   └── StrayPartError              a part that no join or gather can place
├── InferenceError
│   ├── InferenceUnavailableError*  unreachable, not ready, overloaded
│   ├── AccessRefusedError*         wrong token, wrong name, unloaded: no fault of a record
│   ├── InferenceTimeoutError*
│   ├── InferenceFailedError*       other 5xx, connection cut
│   ├── InvalidInputError           the server rejects these records
│   ├── InvalidRowsError            single rows that cannot become tensors
│   ├── BrokenAnswerError           an answer whose tensors cannot be read
│   └── RowCountError               an answer with another number of rows
├── BrokerError
│   ├── BrokerUnavailableError*
│   ├── SecurityError               kafka.security does not fit the brokers; exit 2
│   ├── TransactionAbortedError*    nothing of it is visible; repeat it
│   ├── TransactionIndefiniteError  its end is unknown; replace the producer, then look
│   ├── FencedError                 another process uses the transactional id
│   ├── UnstableOffsetsError*       an open transaction holds the offsets
│   └── OffsetOutOfRangeError       the broker no longer has the next record
├── MetadataError                   commit metadata that is not ours or is damaged
└── InvariantError                  a bug in headrace                    (* retryable)
"""

from collections.abc import Mapping


class HeadraceError(Exception):
    """Root of every error headrace raises."""

    retryable = False


class ConfigError(HeadraceError):
    """Something the user declared cannot work; nothing was started."""


class SpecError(ConfigError):
    """The pipeline file is wrong; `problems` holds every lint that was found."""

    def __init__(self, message: str, problems: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class MissingTopicsError(ConfigError):
    """Topics the pipeline needs do not exist."""


class PortInUseError(ConfigError):
    """A port the user named is taken."""


class LocalError(HeadraceError):
    """A process that headrace started on this machine failed."""


class RecordError(HeadraceError):
    """One record cannot go on; it is dead-lettered."""


class DecodeError(RecordError):
    """A value is not a document."""


class DocumentError(RecordError):
    """A document lacks a field, or the field does not fit its tensor."""


class OversizeError(RecordError):
    """A result is larger than its topic accepts."""


class ExpiredError(RecordError):
    """The record's deadline passed."""


class FunctionError(RecordError):
    """A user's function raised; the message ends with the last lines of its traceback."""


class FunctionTimeoutError(FunctionError):
    """A user's function did not return in time."""


class MissingPartError(RecordError):
    """A join or gather ended without a part that it needs."""


class StrayPartError(RecordError):
    """A part that comes twice, that contradicts the others, or that nobody waits for any more."""


class InferenceError(HeadraceError):
    """A call to a model failed.

    Attributes:
        status: How the call ended in the protocol's words, `INVALID_ARGUMENT` or `400`; empty where
            the call was not made, or answered with something that cannot be used.
    """

    def __init__(self, message: str, *, status: str = "") -> None:
        super().__init__(message)
        self.status = status


class InferenceUnavailableError(InferenceError):
    """The model cannot answer now: unreachable, not ready or overloaded."""

    retryable = True


class AccessRefusedError(InferenceError):
    """The server refuses this caller or does not know the model."""

    retryable = True


class InferenceTimeoutError(InferenceError):
    """The model did not answer in time."""

    retryable = True


class InferenceFailedError(InferenceError):
    """The server failed or cut the connection during the call."""

    retryable = True


class InvalidInputError(InferenceError):
    """The server rejects these records; the same call will be rejected again."""


class InvalidRowsError(InferenceError):
    """Single rows cannot be sent; `reasons` maps row number to what is wrong."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("; ".join(f"row {row}: {why}" for row, why in reasons.items()))
        self.reasons = dict(reasons)


class BrokenAnswerError(InferenceError):
    """The answer's tensors are missing, of another datatype or cannot be read."""


class RowCountError(InferenceError):
    """The answer has another number of rows than the request."""


class BrokerError(HeadraceError):
    """Kafka refused or could not do something."""


class BrokerUnavailableError(BrokerError):
    """No broker answers."""

    retryable = True


class SecurityError(BrokerError):
    """The brokers do not let this client in, or this client does not trust them."""


class TransactionAbortedError(BrokerError):
    """The transaction was aborted: nothing of it is visible, it may be repeated."""

    retryable = True


class TransactionIndefiniteError(BrokerError):
    """Nobody knows whether the transaction was committed; its producer must be replaced."""


class FencedError(BrokerError):
    """Another producer took over this transactional id."""


class UnstableOffsetsError(BrokerError):
    """Committed offsets are held by a transaction that has not ended."""

    retryable = True


class OffsetOutOfRangeError(BrokerError):
    """The next record of a partition is no longer in the log."""


class MetadataError(HeadraceError):
    """Commit metadata that headrace did not write, or that is damaged."""


class InvariantError(HeadraceError):
    """A bug in headrace; please report it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} (this is a bug in headrace, please report it)")


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that ended a task group: the others are its consequences."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
