"""A user's function without threads and processes, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from headrace.errors import FunctionError, FunctionTimeoutError


class ScriptedFunction:
    """A `FunctionCaller` that calls a plain function where the loop runs.

    Args:
        function: Document to document or None; what it raises becomes a `FunctionError`.
        latency_s: Shortest and longest time of a call, drawn evenly.
        hangs: Whether the function does not return for a document; answered as timed out.
        seed: Of latencies.

    Attributes:
        calls: Number of documents of every call, in order.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        latency_s: tuple[float, float] = (0.0, 0.0),
        hangs: Callable[[Any], bool] = lambda _: False,
        seed: int = 0,
    ) -> None:
        self.calls: list[int] = []
        self._function = function
        self._latency_s = latency_s
        self._hangs = hangs
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret

    async def call(
        self, documents: Sequence[Any]
    ) -> Sequence[dict[str, Any] | FunctionError | None]:
        """Call the function once per document, after a while."""
        self.calls.append(len(documents))
        low, high = self._latency_s
        await asyncio.sleep(low + (high - low) * self._random.random())
        return [self._one(document) for document in documents]

    async def close(self) -> None:
        """Nothing is open."""

    def _one(self, document: Any) -> dict[str, Any] | FunctionError | None:
        if self._hangs(document):
            return FunctionTimeoutError("scripted: it hangs")
        try:
            answer = self._function(document)
        except Exception as error:  # noqa: BLE001  (whatever a user's function raises)
            return FunctionError(f"{type(error).__name__}: {error}")
        if answer is None or isinstance(answer, dict):
            return answer
        return FunctionError(f"returned {type(answer).__name__}, not a document")
