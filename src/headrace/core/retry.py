"""What follows a failed call: pause the step, repeat, find the poison record, or give up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from headrace.errors import (
    AccessRefusedError,
    BrokerError,
    ConfigError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidRowsError,
    InvariantError,
    RowCountError,
)

RETRY_TOPIC_DELAY_S: Final = 5.0
"""From this delay on, a record without order waits in the retry topic and not in memory."""

_MOST_DOUBLINGS: Final = 62


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a failed call is repeated.

    Attributes:
        max_attempts: Calls in all, the first one counted.
        first_delay_s: Seconds before the second attempt.
        max_delay_s: Longest delay, seconds.
    """

    max_attempts: int = 5
    first_delay_s: float = 0.2
    max_delay_s: float = 30.0

    def delay_s(self, attempt: int, jitter: float) -> float:
        """Return how long to wait after a failed attempt; the first is 1.

        The delay doubles with every attempt. Half of it is fixed, the other half is multiplied
        with `jitter` in [0, 1), so that callers that failed together do not come back together.
        """
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        longest = min(self.first_delay_s * 2.0**doublings, self.max_delay_s)
        return longest * (1.0 + jitter) / 2.0


@dataclass(frozen=True, slots=True)
class PauseStep:
    """No fault of a record: pause the step, probe, and repeat; the attempt does not count.

    Attributes:
        reason: What to show in the status and the log.
        is_loud: Whether somebody has to act: a wrong token, name or version.
    """

    reason: str
    is_loud: bool


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Repeat the same call in place after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class ThroughRetryTopic:
    """Write the records to the retry topic, to be read again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Bisect:
    """Try the halves of the batch, each on its own.

    Halves keep the attempt count, so that a half that fails again is split without new retries; a
    record that stands alone begins again with attempt 1.
    """


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Try every record on its own: no row of this answer can be trusted to be a given record's."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Give the records up.

    Attributes:
        reason: Why, for whoever reads the dead letter.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetterRows:
    """Give single rows up and send the rest of the batch; the attempt does not count.

    Attributes:
        reasons: Row number to what is wrong with it.
    """

    reasons: Mapping[int, str]


Decision: TypeAlias = (
    PauseStep | RetryLater | ThroughRetryTopic | Bisect | OneByOne | DeadLetter | DeadLetterRows
)


def decide(
    error: Exception,
    attempt: int,
    policy: RetryPolicy,
    *,
    is_ordered: bool,
    batch_size: int,
    jitter: float,
) -> Decision:
    """Decide what follows a failed call; any error that is not known is the records' fault.

    Args:
        error: Why the call, or what came before and after it, failed.
        attempt: How often these records were called, this one counted; the first is 1.
        policy: How calls are repeated.
        is_ordered: Whether results must leave in order, by key or partition.
        batch_size: Records in the failed call.
        jitter: A random number in [0, 1).

    Raises:
        InvariantError: The error says nothing about the records or the model.
    """
    match error:
        case InferenceUnavailableError() | AccessRefusedError():
            return PauseStep(_reason(error), isinstance(error, AccessRefusedError))
        case InferenceTimeoutError() | InferenceFailedError():
            return _again(error, attempt, policy, is_ordered, batch_size, jitter)
        case InvalidRowsError():
            return DeadLetterRows(error.reasons)
        case RowCountError() if batch_size > 1:
            return OneByOne()
        case BrokerError() | ConfigError() | InvariantError():
            raise InvariantError(f"not a failed call: {_reason(error)}") from error
    return Bisect() if batch_size > 1 else DeadLetter(_reason(error))


def _again(
    error: Exception,
    attempt: int,
    policy: RetryPolicy,
    is_ordered: bool,
    batch_size: int,
    jitter: float,
) -> Decision:
    if attempt < policy.max_attempts:
        delay_s = policy.delay_s(attempt, jitter)
        is_long = delay_s >= RETRY_TOPIC_DELAY_S and not is_ordered
        return ThroughRetryTopic(delay_s) if is_long else RetryLater(delay_s)
    if batch_size > 1:
        # One record may crash the server each time: its batch-mates must not go with it.
        return Bisect()
    return DeadLetter(f"gave up after {attempt} attempts: {_reason(error)}")


def _reason(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
