"""What a scripted model server is asked, and what it does: the same over every protocol."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from headrace.errors import InvariantError
from headrace.inference.metadata import ModelMetadata
from headrace.inference.tensors import pack


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked.

    Attributes:
        model: The model's name.
        version: The version asked for.
        rows: Rows of the first input.
        columns: Values by input, one per row.
        datatypes: Datatype by input.
        shapes: Shape by input, rows first.
        outputs: Names of the outputs asked for.
        metadata: Call metadata (headers), names in lower case.
        protocol: `grpc`, `json`, `binary` or `v1`.
    """

    model: str
    version: str
    rows: int
    columns: Mapping[str, Sequence[Any]]
    datatypes: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str | bytes]
    protocol: str = "grpc"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An output; `values` (flat, rows first) are packed unless `raw` says the bytes exactly.

    Attributes:
        name: The tensor's name.
        values: Flat values; text or bytes for BYTES.
        datatype: OIP datatype.
        shape: Its shape, None for one element per row.
        raw: Contents to send as they are.
        is_typed: Whether values go as typed contents instead of raw ones.
    """

    name: str
    values: Sequence[Any] = ()
    datatype: str = "BYTES"
    shape: tuple[int, ...] | None = None
    raw: bytes | None = None
    is_typed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with these tensors, whether or not they fit the request."""

    tensors: tuple[Tensor, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """End the call with a status.

    Attributes:
        code: The gRPC status.
        details: Its text.
        http: The HTTP status, 0 for the one that means the same.
    """

    code: grpc.StatusCode
    details: str = "scripted"
    http: int = 0


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset every connection in the middle of the call, as a dying server does."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer with these bytes, whatever they are."""

    content: bytes = b"\xff\xff\xff garbage"


@dataclass(frozen=True, slots=True)
class Slow:
    """Wait, then do the next thing."""

    seconds: float
    then: "Behaviour"


Behaviour = Answer | Refuse | Hang | Cut | Garbage | Slow
Model = Callable[[Request], Behaviour]


def upper(request: Request) -> Answer:
    """Answer `translation`, the upper-cased `text`."""
    texts = request.columns["text"]
    return Answer((Tensor("translation", [text.upper() for text in texts]),), version="1")


NO_METADATA = Refuse(grpc.StatusCode.UNIMPLEMENTED, "no metadata here")


def in_turn(behaviours: Sequence[Behaviour | Model]) -> Model:
    """Return a model that does one thing per call; the last one again and again."""
    left = list(behaviours)

    def model(request: Request) -> Behaviour:
        step = left.pop(0) if len(left) > 1 else left[0]
        return step(request) if callable(step) else step

    return model


def raw_of(tensor: Tensor) -> bytes:
    """Return the raw contents of an output."""
    if tensor.raw is not None:
        return tensor.raw
    if any(isinstance(value, bytes) for value in tensor.values):
        return b"".join(len(v).to_bytes(4, "little") + v for v in tensor.values)
    return pack(tensor.datatype, (), tensor.values)


class Script:
    """What a server does and what it saw, shared by its sides.

    Args:
        model: What to do with a request; it may be replaced at any time.
        metadata: What the model says about itself; by default the server does not know the call.
        is_ready: What the model says when asked, or how it refuses the question.
        extensions: Extensions that the server lists over REST.
    """

    def __init__(
        self,
        model: Model,
        metadata: ModelMetadata | Refuse,
        is_ready: bool | Refuse,
        extensions: Sequence[str],
    ) -> None:
        self.model = model
        self.metadata = metadata
        self.is_ready = is_ready
        self.extensions = extensions
        self.requests: list[Request] = []
        self.metadata_calls = 0
        self.call_cancelled = asyncio.Event()

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""

    async def play(self, request: Request) -> Answer | Refuse | Garbage:
        """Record a request and return what is sent, after as long as the script says."""
        self.requests.append(request)
        try:
            return await self._played(self.model(request))
        except asyncio.CancelledError:
            self.call_cancelled.set()
            raise

    async def _played(self, behaviour: Behaviour) -> Answer | Refuse | Garbage:
        match behaviour:
            case Slow(seconds, then):
                await asyncio.sleep(seconds)
                return await self._played(then)
            case Cut():
                self.cut()
            case Hang():
                pass
            case _:
                return behaviour
        await asyncio.Event().wait()
        raise InvariantError("a call that is never answered was")
