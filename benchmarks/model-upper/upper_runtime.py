"""Tiny models whose cost and faults are chosen by the environment and by their rows."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError, MLServerError
from mlserver.grpc.utils import STATUS_CODE_MAPPING
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData

HANG_S = 3600.0

# MLServer itself maps 400, 404, 422 and 500 and answers UNKNOWN over gRPC for the rest; other
# servers and the proxies in front of them use these codes.
STATUS_CODE_MAPPING.update(
    {
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
        501: grpc.StatusCode.UNIMPLEMENTED,
        503: grpc.StatusCode.UNAVAILABLE,
        504: grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a row asks the model to do wrong: `!word` or `!word=value`, then anything."""

    word: str
    value: str

    @classmethod
    def of(cls, text: str) -> "Order | None":
        """Read the order at the start of a text; a text without one is simply answered."""
        if not text.startswith("!"):
            return None
        word, _, value = text[1:].partition(" ")[0].partition("=")
        return cls(word, value)


class Cost:
    """The emulated cost of a call: timers, not CPU work, so that the caller is what is measured."""

    def __init__(self) -> None:
        self._fixed_s = float(os.environ.get("UPPER_MS", "0")) / 1e3
        self._per_row_s = float(os.environ.get("UPPER_ROW_US", "0")) / 1e6
        limit = int(os.environ.get("UPPER_CONCURRENCY", "0"))
        self._device = asyncio.Semaphore(limit) if limit else contextlib.nullcontext()

    async def pay(self, rows: int) -> None:
        """Wait as long as a batch of so many rows takes."""
        seconds = self._fixed_s + self._per_row_s * rows
        if seconds > 0:
            async with self._device:
                await asyncio.sleep(seconds)


class UpperRuntime(MLModel):
    """BYTES tensor `text` [n] -> BYTES tensor `translation` [n], upper-cased."""

    async def load(self) -> bool:
        """Read the environment; see README.md for the variables and the orders."""
        self._cost = Cost()
        self._log = os.environ.get("UPPER_LOG", "")
        self._failures: Counter[str] = Counter()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a batch, or do what one of its rows orders."""
        texts = [_text(row) for row in payload.inputs[0].data.root]
        self._write_down(texts)
        await self._cost.pay(len(texts))
        orders = [order for order in map(Order.of, texts) if order]
        for order in orders:
            await _wait(order)
        for text in texts:
            self._raise_if_ordered(text)
        output = self.answer(texts)
        for order in orders:
            output = _spoilt(output, order)
        return InferenceResponse(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=[output]
        )

    def answer(self, texts: list[str]) -> ResponseOutput:
        """Give the tensor that the rows deserve."""
        return _tensor("translation", "BYTES", [text.upper().encode() for text in texts])

    def _write_down(self, texts: Iterable[str]) -> None:
        if self._log:
            lines = "".join(text.replace("\n", "\\n") + "\n" for text in texts)
            with Path(self._log).open("a", encoding="utf-8") as file:
                file.write(lines)

    def _raise_if_ordered(self, text: str) -> None:
        order = Order.of(text)
        if order is None:
            return
        if order.word == "400":
            raise InferenceError(f"poison row: {text!r}")
        if order.word == "500":
            raise RuntimeError(f"poison row: {text!r}")
        if order.word.isdigit():
            raise MLServerError(f"poison row: {text!r}", int(order.word))
        if order.word == "flaky" and self._failures[text] < int(order.value):
            self._failures[text] += 1
            raise RuntimeError(f"failure {self._failures[text]} of {order.value}: {text!r}")


class ScoreRuntime(UpperRuntime):
    """BYTES tensor `text` [n] -> FP32 tensor `score` [n]: its length, NaN on order."""

    def answer(self, texts: list[str]) -> ResponseOutput:
        """Give the tensor that the rows deserve."""
        return _tensor("score", "FP32", [_score(text) for text in texts])


class WideRuntime(MLModel):
    """FP32 tensor `vector` [n, 1024] -> FP32 tensor `sum` [n]."""

    async def load(self) -> bool:
        """Nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Add up every row."""
        sums = NumpyCodec.decode_input(payload.inputs[0]).sum(axis=1)
        output = _tensor("sum", "FP32", sums.tolist())
        return InferenceResponse(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=[output]
        )


def _score(text: str) -> float:
    order = Order.of(text)
    ordered = order.word if order and order.word in {"nan", "inf"} else None
    return float(ordered or len(text))


async def _wait(order: Order) -> None:
    if order.word == "slow":
        await asyncio.sleep(float(order.value))
    elif order.word == "hang":
        await asyncio.sleep(HANG_S)


def _spoilt(output: ResponseOutput, order: Order) -> ResponseOutput:
    rows: list[Any] = output.data.root
    match order.word:
        case "rows":
            return _tensor(output.name, output.datatype, rows[:-1])
        case "shape":
            output.shape = [len(rows) + 1]
        case "name":
            output.name = "unexpected"
        case "dtype":
            return _tensor(output.name, "INT64", [len(str(row)) for row in rows])
        case "utf8":
            return _tensor(output.name, output.datatype, [b"\xff\xfe"] * len(rows))
    return output


def _tensor(name: str, datatype: Any, rows: list[Any]) -> ResponseOutput:
    return ResponseOutput(
        name=name, datatype=datatype, shape=[len(rows)], data=TensorData(root=rows)
    )


def _text(row: str | bytes) -> str:
    return row.decode() if isinstance(row, bytes) else row
