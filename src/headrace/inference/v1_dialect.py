"""The KServe V1 protocol, `:predict`: rows as JSON instances, no tensors and no metadata."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.models import Input, Model, OutputField
from headrace.errors import BrokenAnswerError, ConfigError, RowCountError
from headrace.inference.exchange import Ask, Binding, Question, Reply
from headrace.inference.inputs import fill
from headrace.inference.json_tensors import decode, encode_rows, pack_json
from headrace.inference.metadata import Layout, ModelMetadata
from headrace.inference.outputs import missing
from headrace.inference.rest_dialect import model_path
from headrace.ports import Prediction

FORMS = ("rows", "values")
"""What `instances` may be: an object per row, or nothing but the values."""

_JSON = {"content-type": "application/json"}
_BYTES = frozenset({"b64"})


class V1Dialect:
    """A model over KServe V1.

    Args:
        model: The model. Its parameter `instances` chooses the form of a row: `rows`, an object by
            input, or `values`, the bare value or the list of values in the order of the inputs.
            By default one input goes as values and several go as rows. Other parameters stand
            beside `instances` in the request.
        inputs: Values to send; a datatype is checked where the pipeline states one.
        outputs: Fields to read, out of objects by their tensor's name.

    Raises:
        ConfigError: The parameter `instances` is another word.
    """

    def __init__(
        self, model: Model, inputs: Sequence[Input], outputs: Sequence[OutputField]
    ) -> None:
        self._model = model
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._path = model_path("v1", model)
        form = model.parameters.get("instances", FORMS[len(self._inputs) == 1])
        if form not in FORMS:
            raise ConfigError(
                f"parameter 'instances' of model {model.name!r} is {form!r}; with profile v1 it is"
                f" {' or '.join(FORMS)}"
            )
        self._is_by_name = form == FORMS[0]

    @property
    def readiness(self) -> Question:
        """`GET` of the model."""
        return Question(self._path)

    def is_ready(self, reply: Reply) -> bool:
        """True: the status says it; servers disagree about the body."""
        del reply
        return True

    @property
    def description(self) -> None:
        """V1 has no metadata."""
        return

    def describe(self, reply: Reply) -> ModelMetadata:
        """Return nothing known."""
        del reply
        return ModelMetadata(self._model.remote_name)

    async def settle(self, ask: Ask) -> None:
        """Nothing is left open."""

    def bind(self, metadata: ModelMetadata, columns: Sequence[Sequence[Any]]) -> Binding:
        """Return how requests are written; neither metadata nor values matter."""
        del metadata, columns
        writer = V1Writer(
            f"{self._path}:predict",
            self._inputs,
            {name: said for name, said in self._model.parameters.items() if name != "instances"},
            is_by_name=self._is_by_name,
        )
        return Binding(writer, V1Reader(self._outputs))


class V1Writer:
    """Turns columns into instances, one per row.

    Args:
        path: Where the model is asked.
        inputs: Values to send.
        rest: What stands beside the instances.
        is_by_name: Whether a row is an object by input.
    """

    def __init__(
        self, path: str, inputs: Sequence[Input], rest: Mapping[str, Any], *, is_by_name: bool
    ) -> None:
        self._path = path
        self._names = tuple(wanted.tensor for wanted in inputs)
        self._rest = dict(rest)
        self._is_by_name = is_by_name
        self._stated = [
            (at, Layout(wanted.tensor, wanted.datatype, wanted.shape or (), {}))
            for at, wanted in enumerate(inputs)
            if wanted.datatype
        ]

    def write(self, columns: Sequence[Sequence[Any]]) -> Question:
        """Return the request for these columns, one per input.

        Raises:
            InvalidRowsError: Some rows do not fit what the pipeline states, or have no JSON form.
            InvalidInputError: The rows differ in a shape that the pipeline states.
        """
        fill(
            [layout for _, layout in self._stated],
            [columns[at] for at, _ in self._stated],
            pack_json,
        )
        rows: Sequence[Any]
        if self._is_by_name:
            rows = [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)]
        else:
            rows = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        return Question(self._path, encode_rows(rows, {**self._rest, "instances": rows}), _JSON)


class V1Reader:
    """Turns predictions into columns.

    A prediction is an object by output, or the value of the only output that is read.

    Args:
        outputs: Fields to fill, in the order of the prediction's columns.
    """

    def __init__(self, outputs: Sequence[OutputField]) -> None:
        self._outputs = tuple(outputs)
        self._tensors = tuple(dict.fromkeys(field.tensor for field in outputs))

    def read(self, reply: Reply, rows: int) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: There is another number of predictions.
            BrokenAnswerError: An output is missing, or the answer cannot be read.
        """
        said = decode(reply.body)
        predictions = said.get("predictions") if isinstance(said, dict) else None
        if not isinstance(predictions, list):
            raise BrokenAnswerError("the answer is not an object with a list `predictions`")
        if len(predictions) != rows:
            raise RowCountError(f"{len(predictions)} predictions for {rows} rows")
        faults: dict[int, str] = {}
        try:
            columns = [self._column(field, predictions, faults) for field in self._outputs]
        except RecursionError:
            raise BrokenAnswerError("the predictions are nested too deeply") from None
        return Prediction(columns, "", faults)

    def _column(
        self, field: OutputField, predictions: Sequence[Any], faults: dict[int, str]
    ) -> list[Any]:
        column: list[Any] = []
        for row, prediction in enumerate(predictions):
            try:
                column.append(_read(_alone(self._picked(field, prediction)), field))
            except ValueError as fault:
                column.append(None)
                faults.setdefault(row, f"output {field.tensor!r}: {fault}")
        return column

    def _picked(self, field: OutputField, prediction: Any) -> Any:
        if isinstance(prediction, dict) and prediction.keys() != _BYTES:
            if field.tensor not in prediction:
                raise BrokenAnswerError(missing(field.tensor, prediction))
            return prediction[field.tensor]
        if len(self._tensors) > 1:
            raise BrokenAnswerError(
                "predictions are single values, and the step reads several outputs: "
                + ", ".join(map(repr, self._tensors))
            )
        return prediction


def _alone(value: Any) -> Any:
    """Return the element of a row that has only one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _read(value: Any, field: OutputField) -> Any:
    """Return a value as the field takes it.

    Raises:
        ValueError: It cannot; the message is the fault of its row.
    """
    match value:
        case list():
            return [_read(part, field) for part in value]
        case {"b64": str(text)} if len(value) == 1:
            return _bytes(text, field)
        case dict():
            return {_key(key): _read(part, field) for key, part in value.items()}
        case str():
            return _text(value, field)
        case None if not field.nan_as_null:
            raise ValueError("null stands for no value")
        case float() if not math.isfinite(value):
            if math.isnan(value) and field.nan_as_null:
                return None
            raise ValueError(f"{'NaN' if math.isnan(value) else 'infinity'} has no JSON form")
    return value


def _key(name: str) -> str:
    if not name.isascii():
        name.encode()
    return name


def _bytes(text: str, field: OutputField) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("BYTES are not base64, as the answer says they are") from None
    if field.as_base64:
        return text
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("BYTES are not UTF-8") from None


def _text(text: str, field: OutputField) -> str:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise ValueError("BYTES are not UTF-8") from None
    return base64.b64encode(raw).decode("ascii") if field.as_base64 else text
