"""What every head has: its tensors, and a way to refuse a row."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

MENTIONS = 12
"""Conditions of a page that are looked at; rows of fewer are filled up with empty texts."""

LONGEST = 20_000
"""Characters of the longest text that is read."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A row of a tensor: the datatype, and its dimensions without the batch's."""

    datatype: str
    row: tuple[int, ...] = ()


TEXT = Tensor("BYTES")
TEXTS = Tensor("BYTES", (MENTIONS,))
NUMBER = Tensor("FP64")
NUMBERS = Tensor("FP64", (MENTIONS,))


class UnreadableError(Exception):
    """A text that a model does not read; the message says why."""


class RefusedRowError(Exception):
    """A row that the model does not answer, for a reason that lies in the row."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"row {row}: {why}")


class Head(ABC):
    """Answers batches of one model.

    Args:
        folder: Where its weights lie.
    """

    inputs: ClassVar[Mapping[str, Tensor]]
    outputs: ClassVar[Mapping[str, Tensor]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def __call__(self, *columns: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Return a column per output for a column per input.

        Raises:
            RefusedRowError: A row cannot be answered.
        """


def per_row(texts: Sequence[str], answer: Callable[[str], Any]) -> list[Any]:
    """Answer texts one by one.

    Raises:
        RefusedRowError: A text is longer than `LONGEST`, or unreadable to `answer`.
    """
    answers = []
    for row, text in enumerate(texts):
        if len(text) > LONGEST:
            raise RefusedRowError(row, f"{len(text):,} characters, at most {LONGEST:,} are read")
        try:
            answers.append(answer(text))
        except UnreadableError as refused:
            raise RefusedRowError(row, str(refused)) from None
    return answers


def filled(items: Sequence[Any], blank: Any) -> list[Any]:
    """Return exactly `MENTIONS` items, cut or filled up."""
    return [*items, *[blank] * MENTIONS][:MENTIONS]
