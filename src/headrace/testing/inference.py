"""A model whose answers, delays and failures are written down beforehand."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from headrace.errors import (
    BrokenAnswerError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    RowCountError,
)
from headrace.ports import Prediction

Row = tuple[Any, ...]


def upper(*row: Any) -> Any:
    """Answer a row with its first value in capitals."""
    return str(row[0]).upper()


_ERRORS: Mapping[str, type[Exception]] = {
    "unavailable": InferenceUnavailableError,
    "timeout": InferenceTimeoutError,
    "failed": InferenceFailedError,
    "row_count": RowCountError,
    "broken": BrokenAnswerError,
}


class ScriptedModel:
    """An `InferenceClient` that answers from a function.

    May be shared by many workers; what is random comes from the seed and the order of calls.

    Args:
        answer: Value for one row, given its inputs; a tuple where there are several outputs.
        outputs: Number of outputs.
        latency_s: Shortest and longest time of a call, drawn evenly.
        poison: Whether the model rejects a row, and with it any batch it is in.
        rates: Probability per call of `unavailable`, `timeout`, `failed`, `row_count`, `broken`.
        budget: Most random failures; without a bound a correct program might never end.
        seed: Of latencies and failures.

    Attributes:
        asked: Every row of every call that arrived, with the loop's time, in order.
        calls: Number of rows of every call that arrived, in order.
        in_flight: Calls that are not answered yet.
        most_in_flight: The highest number of calls at the same time so far.
    """

    def __init__(
        self,
        answer: Callable[..., Any] = upper,
        *,
        outputs: int = 1,
        latency_s: tuple[float, float] = (0.0, 0.0),
        poison: Callable[..., bool] = lambda *_: False,
        rates: Mapping[str, float] | None = None,
        budget: int = 5,
        seed: int = 0,
    ) -> None:
        self.asked: list[tuple[float, Row]] = []
        self.calls: list[int] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._answer = answer
        self._outputs = outputs
        self._latency_s = latency_s
        self._poison = poison
        self._rates = dict(rates or {})
        self._budget = budget
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._planned: list[Exception] = []
        self._absences: list[tuple[float, float]] = []

    def fail_next(self, *errors: Exception) -> None:
        """Answer the next calls with these errors, one each."""
        self._planned += errors

    def be_unavailable(self, since_s: float, until_s: float) -> None:
        """Be unreachable between two times of the loop's clock."""
        self._absences.append((since_s, until_s))

    async def infer(self, columns: Sequence[Sequence[Any]]) -> Prediction:
        """Answer one row per row of the columns, after a while."""
        rows = list(zip(*columns, strict=True))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._served(rows)
        finally:
            self.in_flight -= 1

    async def ready(self) -> bool:
        """Whether the model is reachable now."""
        await asyncio.sleep(0)
        return not self._is_absent()

    async def close(self) -> None:
        """Nothing is open."""

    async def _served(self, rows: Sequence[Row]) -> Prediction:
        if self._is_absent():
            await asyncio.sleep(0)
            raise InferenceUnavailableError("the scripted model is unavailable")
        now = asyncio.get_running_loop().time()
        self.calls.append(len(rows))
        self.asked += [(now, row) for row in rows]
        low, high = self._latency_s
        await asyncio.sleep(low + (high - low) * self._random.random())
        self._raise_fault()
        rejected = [row for row in rows if self._poison(*row)]
        if rejected:
            raise InvalidInputError(f"rejected {rejected[0]!r}")
        return Prediction(self._columns(rows), version="1")

    def _columns(self, rows: Iterable[Row]) -> list[list[Any]]:
        answers = [self._answer(*row) for row in rows]
        if self._outputs == 1:
            return [answers]
        return [[answer[number] for answer in answers] for number in range(self._outputs)]

    def _raise_fault(self) -> None:
        if self._planned:
            raise self._planned.pop(0)
        if self._budget > 0 and self._rates:
            chance = self._random.random()
            for kind, probability in self._rates.items():
                chance -= probability
                if chance < 0:
                    self._budget -= 1
                    raise _ERRORS[kind](f"scripted: {kind}")

    def _is_absent(self) -> bool:
        now = asyncio.get_running_loop().time()
        return any(since <= now < until for since, until in self._absences)
