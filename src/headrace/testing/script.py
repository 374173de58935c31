"""A model whose answers are the rules of a test case."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from headrace.core.differences import differences
from headrace.core.models import Input
from headrace.core.steps import ModelStep
from headrace.errors import InvalidInputError
from headrace.inference.http_status import Refusal, translate
from headrace.inference.metadata import ModelMetadata, lay_out
from headrace.inference.requests import RequestWriter
from headrace.ports import Prediction
from headrace.spec.cases import RuleSpec


class RuleModel:
    """An `InferenceClient` that answers each row by the first rule that fits it.

    Rows have to fit their tensors as they would on the wire. What the pipeline does not say of an
    input, the values that rules compare it with do, else the first rows, as for a model that does
    not describe itself.

    Args:
        step: The step that asks.
        rules: The rules.

    Attributes:
        unanswered: Rows that no rule fits, each a mapping of tensor to value.
    """

    def __init__(self, step: ModelStep, rules: Sequence[RuleSpec]) -> None:
        self.unanswered: list[dict[str, Any]] = []
        self._step = step
        self._rules = rules
        self._left = [rule.times for rule in rules]
        self._inputs = [_told(bound, rules) for bound in step.inputs]

    async def infer(self, columns: Sequence[Sequence[Any]]) -> Prediction:
        """Answer the rows, or refuse them all because of one."""
        metadata = ModelMetadata(self._step.model.remote_name)
        layouts = lay_out(metadata, self._inputs, columns)
        RequestWriter(self._step.model, layouts, self._step.outputs).write(columns)
        names = [bound.tensor for bound in self._step.inputs]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        decided = [self._decide(row) for row in rows]
        self._raise_for(rows, decided)
        for number in {number for number in decided if number is not None}:
            self._use(number)
        answers = [self._answer(row, number) for row, number in zip(rows, decided, strict=True)]
        columns = [[answer[out.tensor] for answer in answers] for out in self._step.outputs]
        return Prediction(columns, self._step.model.version)

    async def ready(self) -> bool:
        """Whether it answers: always."""
        return True

    async def close(self) -> None:
        """Nothing is open."""

    def _decide(self, row: dict[str, Any]) -> int | None:
        for number, rule in enumerate(self._rules):
            if self._left[number] != 0 and not differences(rule.when, row, is_partial=True):
                return number
        return None

    def _raise_for(self, rows: Sequence[dict[str, Any]], decided: Sequence[int | None]) -> None:
        lost = [row for row, number in zip(rows, decided, strict=True) if number is None]
        self.unanswered += [row for row in lost if row not in self.unanswered]
        if lost:
            raise InvalidInputError("no rule of the test fits this row")
        for number in decided:
            refusal = None if number is None else self._rules[number].error
            if number is not None and refusal is not None:
                self._use(number)
                body = msgspec.json.encode({"error": refusal.message})
                raise translate(Refusal(refusal.status, body), f"model {self._step.model.name!r}")

    def _use(self, number: int) -> None:
        left = self._left[number]
        self._left[number] = None if left is None else left - 1

    def _answer(self, row: dict[str, Any], number: int | None) -> dict[str, Any]:
        rule = self._rules[number or 0]
        echoed = {output: row[tensor] for output, tensor in rule.echo.items()}
        return copy.deepcopy({**rule.answer, **echoed})


def _told(bound: Input, rules: Sequence[RuleSpec]) -> Input:
    """Return an input with what the rules tell of it, where the pipeline says nothing."""
    values = [rule.when[bound.tensor] for rule in rules if bound.tensor in rule.when]
    if bound.datatype or not values:
        return bound
    (layout,) = lay_out(ModelMetadata(""), [bound], [values])
    shape = bound.shape if bound.shape is not None else layout.row_shape
    return replace(bound, datatype=layout.datatype, shape=shape)
