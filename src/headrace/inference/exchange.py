"""What passes between a client and one replica of a model, whatever the protocol."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from headrace.inference.metadata import Layout, ModelMetadata
from headrace.ports import Prediction

Headers: TypeAlias = Mapping[str, str]

MOST_ANSWER_BYTES = 1 << 30
"""The largest answer that is read: a server that never ends one must not take all memory."""


@dataclass(frozen=True, slots=True)
class Question:
    """A call to one replica.

    Attributes:
        place: A gRPC method, or a path below the URL of an HTTP server.
        body: What is sent; None asks an HTTP server with GET.
        headers: What the body needs said about it.
    """

    place: str
    body: bytes | None = None
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a replica answered.

    Attributes:
        body: The answer's bytes.
        json_size: How many of them are JSON that binary tensors follow; None where all is one.
    """

    body: bytes
    json_size: int | None = None


Ask: TypeAlias = Callable[[Question], Awaitable[Reply]]


class Transport(Protocol):
    """The way to one replica; it connects when first used, in the loop that uses it."""

    async def call(self, question: Question, headers: Headers) -> Reply:
        """Send a call and return the answer.

        Raises:
            InferenceError: It failed, as `ports.InferenceClient` says.
        """
        ...

    async def close(self) -> None:
        """Close connections; later calls fail."""
        ...


class Writer(Protocol):
    """Turns columns into calls."""

    def write(self, columns: Sequence[Sequence[Any]]) -> Question:
        """Return the call for these columns.

        Raises:
            InvalidRowsError: Some rows do not fit; it names all of them, over all inputs.
            InvalidInputError: The rows differ in shape and cannot share a request.
        """
        ...


class Reader(Protocol):
    """Turns answers into predictions."""

    def read(self, reply: Reply, rows: int) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: An output has another number of rows.
            BrokenAnswerError: An output is missing, of another datatype, or cannot be read.
        """
        ...


@dataclass(slots=True)
class Binding:
    """How requests are written and answers read.

    Attributes:
        writer: Writes requests.
        reader: Reads answers.
        guesses: Inputs whose datatype was guessed.
        is_proven: Whether the model has accepted a request written like this.
    """

    writer: Writer
    reader: Reader
    guesses: Sequence[Layout] = ()
    is_proven: bool = False


class Dialect(Protocol):
    """How one model, bound to the tensors of a step, is spoken to in one protocol."""

    @property
    def readiness(self) -> Question:
        """Ask whether the model is ready."""
        ...

    def is_ready(self, reply: Reply) -> bool:
        """Whether an answer to `readiness` says so.

        Raises:
            BrokenAnswerError: It cannot be read.
        """
        ...

    @property
    def description(self) -> Question | None:
        """Ask what the model says about its tensors; None where the protocol cannot."""
        ...

    def describe(self, reply: Reply) -> ModelMetadata:
        """Read an answer to `description`.

        Raises:
            BrokenAnswerError: It cannot be read.
        """
        ...

    async def settle(self, ask: Ask) -> None:
        """Find out from the server what the profile leaves open.

        Raises:
            InferenceError: The server cannot be asked.
        """
        ...

    def bind(self, metadata: ModelMetadata, columns: Sequence[Sequence[Any]]) -> Binding:
        """Decide how requests are written, from the metadata and the first columns.

        Raises:
            AccessRefusedError: It cannot be decided; the message says what to write.
            InvalidRowsError: It cannot, because of rows that fit no datatype.
        """
        ...
