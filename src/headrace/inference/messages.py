"""What of a server's words goes into our messages: never a secret, and not too much."""

import re
from collections.abc import Collection, Iterable

MAX_MESSAGE_BYTES = 1024

MODEL_NOT_READY = re.compile(
    r"(mlserver\.errors\.ModelNotReady: )?Model \S+ (with version \S* )?is not ready yet\.?"
)
"""What MLServer says while it loads a model, as if it were the request's fault.

Over gRPC a version that was not asked for is an empty one.
"""

_MIN_SECRET = 4


def bounded(message: str) -> str:
    """Return a message cut to `MAX_MESSAGE_BYTES` of UTF-8."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "..."


def hidden(text: str, secrets: Collection[str]) -> str:
    """Return a text with every secret in it replaced, whoever repeats it."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets that are long enough not to be part of ordinary words."""
    return tuple(secret for secret in dict.fromkeys(secrets) if len(secret) >= _MIN_SECRET)
