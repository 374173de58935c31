"""Errors of the Kafka client as errors of headrace."""

# ruff: noqa: SLF001  (the client marks the codes of its own errors with an underscore)

import re
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.core.records import Header
from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    FencedError,
    OffsetOutOfRangeError,
    SecurityError,
    UnstableOffsetsError,
)

PARTITION_EOF = KafkaError._PARTITION_EOF
FATAL = KafkaError._FATAL
ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN
NOT_STARTED = frozenset({KafkaError._STATE, KafkaError._PREV_IN_PROGRESS})
"""What a seek says of a partition that was assigned a moment ago."""

UNREACHABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        # None of the partitions asked about has a leader at the moment.
        KafkaError._NOENT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        # A topic made a moment ago, or a partition whose leader has moved.
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        # The id's last transaction is still being ended, which a broker that is away holds up.
        KafkaError.CONCURRENT_TRANSACTIONS,
    }
)
FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)
LOGIN = {
    KafkaError._AUTHENTICATION: "check the mechanism and the login in kafka.security",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check user name and password in kafka.security",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "check the mechanism in kafka.security",
    KafkaError.ILLEGAL_SASL_STATE: "check the protocol in kafka.security: the port may not be SASL",
    KafkaError._SSL: "check kafka.security.tls.ca, and that the brokers' certificates are valid",
    KafkaError.SECURITY_DISABLED: "the brokers have no security: remove kafka.security",
}
"""What to change when a client is not let in, or does not trust the brokers."""

RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read, write and describe the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read the consumer group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user the operation on the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
        "allow this user to write and describe the transactional id"
    ),
}
"""What to allow when a client is let in, but may not do something."""

# With TLS 1.3 a server looks at the client's certificate only after the handshake, so that its
# refusal comes as a broken connection; the alert in its text is what tells it from one.
_ALERT = re.compile(r"tls\S* alert .*(certificate|unknown ca|handshake failure)", re.IGNORECASE)
_CERTIFICATE = "check kafka.security.tls.cert and key: the broker does not accept this certificate"
# A fatal error that comes in the place of a record has no code but this text.
_PLACE_TAKEN = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()
_PLACE_HELD = KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()
_TOKEN = re.compile(r"OAUTHBEARER|invalid_token")

OUT_OF_RANGE = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})
HELD = frozenset({KafkaError.UNSTABLE_OFFSET_COMMIT, KafkaError._TIMED_OUT})
"""What a read of stable offsets ends with while a transaction holds one of them."""

MISSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_ID,
    }
)


def let_go(error: BaseException) -> None:
    """Empty the frames that an error and its causes passed, where they have ended.

    Its traceback would keep their clients alive, and a client that is only destroyed long after
    its broker has gone may hang for ever.
    """
    passed: set[BaseException] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in passed:
            passed.add(one)
            traceback.clear_frames(one.__traceback__)
            todo += one.__cause__, one.__context__


def failure_of(
    call: Callable[..., object], *arguments: object, **named: object
) -> KafkaException | None:
    """Make a call of a client; return its error instead of raising it.

    For what goes on with a client after an error. In the handler of that error it must not: where
    the client (2.16) raises while an exception is handled, that exception is never freed, nor
    what the frames it passed refer to: clients, whose threads live and whose logs grow.
    """
    try:
        call(*arguments, **named)
    except KafkaException as error:
        return error
    return None


def kafka_error(error: Exception) -> KafkaError:
    """Return the client's own error inside its exception."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def translated(error: KafkaError | KafkaException, doing: str) -> BrokerError:
    """Return the error of headrace that an error of the Kafka client stands for.

    Args:
        error: What the client said.
        doing: What was tried, as it goes after "while": `joining the group g`.
    """
    cause = kafka_error(error) if isinstance(error, KafkaException) else error
    code = cause.code()
    said = f"{cause.name()}: {cause.str()}"
    if fenced := _fenced(cause, doing, said):
        return fenced
    if kept_out := _kept_out(cause, doing, said):
        return kept_out
    if code in OUT_OF_RANGE:
        return OffsetOutOfRangeError(f"offset out of range while {doing} ({said})")
    if code == KafkaError.UNSTABLE_OFFSET_COMMIT:
        return UnstableOffsetsError(f"an open transaction holds offsets while {doing}")
    if code in UNREACHABLE:
        return BrokerUnavailableError(f"no answer from Kafka while {doing} ({said})")
    return BrokerError(f"Kafka failed while {doing} ({said})")


def headers_of(message: Message) -> Sequence[Header] | None:
    """Return a record's headers; none where the name of one is not UTF-8.

    The client can neither read nor write such a name, and fails with an error of the interpreter.
    """
    try:
        headers: Any = message.headers()
    except SystemError:
        return None
    found: Sequence[Header] | None = headers
    return found


def refuses(error: KafkaError) -> bool:
    """Whether the error means that this client is not let in; waiting will not help."""
    return bool(_advice(error)) or error.code() in RIGHTS


def is_about_tokens(error: KafkaError) -> bool:
    """Whether there is no token, or none that is still good; the client asks again by itself."""
    return error.code() == KafkaError._AUTHENTICATION and bool(_TOKEN.search(error.str()))


def _kept_out(error: KafkaError, doing: str, said: str) -> BrokerError | None:
    if is_about_tokens(error):
        return BrokerUnavailableError(
            f"no token that Kafka takes while {doing}: check kafka.security.oauth ({said})"
        )
    if advice := _advice(error):
        return SecurityError(f"Kafka keeps this client out while {doing}: {advice} ({said})")
    if right := RIGHTS.get(error.code()):
        return BrokerError(f"Kafka refused this client while {doing}: {right} ({said})")
    return None


def _advice(error: KafkaError) -> str:
    if is_about_tokens(error):
        return ""
    if _ALERT.search(error.str()):
        return _CERTIFICATE
    return LOGIN.get(error.code(), "")


def is_place_held(error: KafkaError) -> bool:
    """Whether a static member may not join yet, because one of its name still is a member."""
    return _PLACE_HELD in error.str()


def _fenced(cause: KafkaError, doing: str, said: str) -> FencedError | None:
    if cause.code() in FENCED:
        return FencedError(f"another producer took over while {doing} ({said})")
    if cause.code() == KafkaError.FENCED_INSTANCE_ID or _PLACE_TAKEN in said:
        return FencedError(
            f"another member took this worker's place in the group while {doing}: with static"
            " membership every worker needs a --slot of its own. One that lost the answer to its"
            f" own join is fenced like that, too: start it again ({said})"
        )
    return None
