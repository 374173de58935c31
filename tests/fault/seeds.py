"""What a seed of a campaign is: everything about a run that its number decides."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fault.faults import REPLICATED, SPOILING, Fault
from tests.fault.shapes import SHAPES, Shape

_ENDS = (Fault.LOST_END, Fault.UNANSWERED_END, Fault.LATE_END)
_SILENCES = (Fault.FREEZE, Fault.ZOMBIE)
_ALWAYS = (Fault.KILL, Fault.KILL)


@dataclass(frozen=True, slots=True)
class Seed:
    """One run.

    Attributes:
        number: The seed.
        shape: The pipeline.
        protocol: The group protocol.
        membership: The membership of the workers.
        brokers: How many there are.
        faults: What befalls it, in this order.
        over: How models are called, `grpc` or `http`.
    """

    number: int
    shape: Shape
    protocol: str
    membership: str
    brokers: int
    faults: Sequence[Fault]
    over: str = "grpc"

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return f"seed-{self.number}"

    @property
    def is_spoilt(self) -> bool:
        """Whether good records may be given up in it."""
        return any(fault in SPOILING for fault in self.faults)


def seed(number: int) -> Seed:
    """Return a seed: of 64 in a row, 16 have every pipeline and every group on three brokers.

    The next 64 call models over the other protocol.
    """
    rng = random.Random(number)
    turn, which = divmod(number, len(SHAPES))
    brokers = 3 if turn >> 2 & 3 == 1 else 1
    fixed = {*_ENDS, *_SILENCES, *_ALWAYS}
    others = [
        fault for fault in Fault if fault not in fixed and (brokers > 1 or fault not in REPLICATED)
    ]
    faults = [*_ALWAYS, rng.choice(_ENDS), rng.choice(_SILENCES), *rng.sample(others, 3)]
    rng.shuffle(faults)
    return Seed(
        number,
        SHAPES[which],
        "consumer" if turn & 1 else "classic",
        "static" if turn >> 1 & 1 else "dynamic",
        brokers,
        faults,
        "http" if turn >> 4 & 1 else "grpc",
    )
