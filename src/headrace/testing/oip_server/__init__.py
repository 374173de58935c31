"""A scripted model server for tests: gRPC, REST with JSON or binary tensors, and KServe V1."""

from headrace.testing.oip_server.script import (
    Answer,
    Behaviour,
    Cut,
    Garbage,
    Hang,
    Model,
    Refuse,
    Request,
    Slow,
    Tensor,
    in_turn,
    upper,
)
from headrace.testing.oip_server.server import OipServer

__all__ = [
    "Answer",
    "Behaviour",
    "Cut",
    "Garbage",
    "Hang",
    "Model",
    "OipServer",
    "Refuse",
    "Request",
    "Slow",
    "Tensor",
    "in_turn",
    "upper",
]
