"""The Open Inference Protocol over REST: JSON, and JSON with binary tensors behind it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.errors import AccessRefusedError, BrokenAnswerError
from headrace.inference.exchange import Ask, Binding, Question, Reply
from headrace.inference.http_transport import JSON_SIZE
from headrace.inference.inputs import fill
from headrace.inference.json_tensors import decode, encode, pack_json, unpack_json
from headrace.inference.metadata import Layout, ModelMetadata, TensorMetadata, lay_out
from headrace.inference.outputs import Answered, OutputReader
from headrace.inference.tensors import pack
from headrace.ports import Prediction

_BINARY_EXTENSION = "binary_tensor_data"
# It takes binary tensors and does not list the extension.
_BINARY_SERVERS = frozenset({"openvino model server"})
_JSON = {"content-type": "application/json"}
_END_OF_SIZES = 2**63


class RestDialect:
    """A model over REST.

    Args:
        model: The model; its profile is `auto`, `json` or `binary`.
        inputs: Tensors to send.
        outputs: Fields to read.
    """

    def __init__(
        self, model: Model, inputs: Sequence[Input], outputs: Sequence[OutputField]
    ) -> None:
        self._model = model
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._path = model_path("v2", model)
        self._is_binary = model.profile is Profile.BINARY

    @property
    def readiness(self) -> Question:
        """`GET .../ready`."""
        return Question(f"{self._path}/ready")

    def is_ready(self, reply: Reply) -> bool:
        """True: the status says it; servers disagree about the body."""
        del reply
        return True

    @property
    def description(self) -> Question:
        """`GET` of the model."""
        return Question(self._path)

    def describe(self, reply: Reply) -> ModelMetadata:
        """Read a model's metadata.

        Raises:
            BrokenAnswerError: It cannot be read.
        """
        said = _mapping(decode(reply.body), "model's metadata")
        versions = said.get("versions")
        return ModelMetadata(
            _text(said.get("name")) or self._model.remote_name,
            tuple(map(_text, versions)) if isinstance(versions, list) else (),
            _text(said.get("platform")),
            _tensors(said.get("inputs")),
            _tensors(said.get("outputs")),
        )

    async def settle(self, ask: Ask) -> None:
        """Ask the server whether it takes binary tensors, where the profile leaves it open.

        Raises:
            InferenceError: It cannot be asked.
        """
        if self._model.profile is not Profile.AUTO:
            return
        try:
            reply = await ask(Question("/v2"))
        except AccessRefusedError as error:
            if error.status not in {"404", "405", "501"}:
                raise
            # A gateway may know the models only.
            self._is_binary = False
            return
        try:
            self._is_binary = takes_binary(decode(reply.body))
        except BrokenAnswerError:
            # A gateway's page for people: every server takes JSON.
            self._is_binary = False

    def bind(self, metadata: ModelMetadata, columns: Sequence[Sequence[Any]]) -> Binding:
        """Decide how requests are written, from the metadata and the first columns.

        Raises:
            AccessRefusedError: It cannot be decided; the message says what to write.
            InvalidRowsError: It cannot, because of rows that fit no datatype.
        """
        layouts = lay_out(metadata, self._inputs, columns)
        path = f"{self._path}/infer"
        return Binding(
            RestWriter(path, self._model, layouts, self._outputs, is_binary=self._is_binary),
            RestReader(self._outputs, metadata.outputs),
            [layout for layout in layouts if layout.is_guess],
        )


def model_path(version: str, model: Model) -> str:
    """Return the path of a model in version `v1` or `v2` of the protocol."""
    path = f"/{version}/models/{quote(model.remote_name, safe='')}"
    return f"{path}/versions/{quote(model.version, safe='')}" if model.version else path


def takes_binary(said: Any) -> bool:
    """Whether a server's metadata says that it takes binary tensors."""
    if not isinstance(said, dict):
        return False
    extensions = said.get("extensions")
    is_listed = isinstance(extensions, list) and _BINARY_EXTENSION in extensions
    return is_listed or _text(said.get("name")).lower() in _BINARY_SERVERS


class RestWriter:
    """Turns columns into requests: JSON, with raw contents behind it where the server takes them.

    Binary outputs are asked for one by one: KServe overlooks the wish for all of them.

    Args:
        path: Where the model is asked.
        model: The model, for its parameters.
        layouts: How each input is written.
        outputs: Fields to ask for.
        is_binary: Whether tensors go as raw contents.
    """

    def __init__(
        self,
        path: str,
        model: Model,
        layouts: Sequence[Layout],
        outputs: Sequence[OutputField],
        *,
        is_binary: bool,
    ) -> None:
        self._path = path
        self._layouts = tuple(layouts)
        self._is_binary = is_binary
        self._pack: Callable[..., Any] = pack if is_binary else pack_json
        wish = {"parameters": {"binary_data": True}} if is_binary else {}
        names = dict.fromkeys(field.tensor for field in outputs)
        self._rest: dict[str, Any] = {"outputs": [{"name": name, **wish} for name in names]}
        if model.parameters:
            self._rest["parameters"] = dict(model.parameters)

    def write(self, columns: Sequence[Sequence[Any]]) -> Question:
        """Return the request for these columns, one per layout.

        Raises:
            InvalidRowsError: Some rows do not fit; it names all of them, over all inputs.
            InvalidInputError: The rows differ in shape and cannot share a request.
        """
        shapes, contents = fill(self._layouts, columns, self._pack)
        rows = len(columns[0])
        inputs = [
            self._input(layout, (rows, *shape), content)
            for layout, shape, content in zip(self._layouts, shapes, contents, strict=True)
        ]
        head = encode({"inputs": inputs, **self._rest})
        if not self._is_binary:
            return Question(self._path, head, _JSON)
        headers = {"content-type": "application/octet-stream", JSON_SIZE: str(len(head))}
        return Question(self._path, b"".join((head, *contents)), headers)

    def _input(self, layout: Layout, shape: tuple[int, ...], content: Any) -> dict[str, Any]:
        tensor: dict[str, Any] = {
            "name": layout.tensor,
            "shape": shape,
            "datatype": layout.datatype,
        }
        parameters = dict(layout.parameters)
        if self._is_binary:
            parameters["binary_data_size"] = len(content)
        else:
            tensor["data"] = content
        return {**tensor, "parameters": parameters} if parameters else tensor


class RestReader:
    """Turns answers into predictions, in JSON or with binary tensors, or some of both.

    Args:
        outputs: Fields to fill, in the order of the prediction's columns.
        described: The model's outputs as its metadata describes them; those it lists are enforced.
    """

    def __init__(
        self, outputs: Sequence[OutputField], described: Sequence[TensorMetadata] = ()
    ) -> None:
        self._reader = OutputReader(outputs, described)

    def read(self, reply: Reply, rows: int) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: An output has another number of rows.
            BrokenAnswerError: An output is missing, of another datatype, or cannot be read.
        """
        body, size = reply.body, reply.json_size
        if size is not None and size > len(body):
            raise BrokenAnswerError(f"the answer has {len(body)} bytes and says more are JSON")
        said = _mapping(decode(body if size is None else body[:size]), "answer")
        at = len(body) if size is None else size
        answered = {}
        for tensor in _list(said.get("outputs"), "outputs"):
            name, parameters = _text(tensor.get("name")), _parameters(tensor)
            raw = None
            if (length := parameters.get("binary_data_size")) is not None:
                raw, at = _slice(name, body, at, length)
            if name in self._reader.wanted:
                answered[name] = _answered(name, tensor, raw)
        return self._reader.read(answered, rows, _text(said.get("model_version")))


def _answered(name: str, tensor: Mapping[str, Any], raw: bytes | None) -> Answered:
    datatype = _text(tensor.get("datatype"))
    shape = _shape(tensor.get("shape"))
    is_base64 = _parameters(tensor).get("content_type") == "base64"
    try:
        contents = unpack_json(datatype, tensor.get("data")) if raw is None else raw
    except BrokenAnswerError as error:
        raise BrokenAnswerError(f"output {name!r}: {error}") from None
    return Answered(datatype, shape, contents, is_base64)


def _slice(name: str, body: bytes, start: int, length: Any) -> tuple[bytes, int]:
    stop = start + length if type(length) is int else -1
    if not start <= stop <= len(body):
        raise BrokenAnswerError(
            f"output {name!r}: binary_data_size is {length!r}, {len(body) - start} bytes are left"
        )
    return body[start:stop], stop


def _shape(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(type(size) is int for size in said):
        raise BrokenAnswerError("a shape is not a list of whole numbers")
    if not all(-_END_OF_SIZES <= size < _END_OF_SIZES for size in said):
        raise BrokenAnswerError("a shape holds a number that no tensor can have")
    return tuple(said)


def _text(said: Any) -> str:
    """Return a name, which some servers write as a number; half of a surrogate pair is none."""
    if isinstance(said, str):
        return said if said.isascii() else said.encode(errors="replace").decode()
    return "" if said is None or isinstance(said, list | dict) else str(said)


def _parameters(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    said = tensor.get("parameters")
    return said if isinstance(said, dict) else {}


def _tensors(said: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(
            _text(tensor.get("name")), _text(tensor.get("datatype")), _shape(tensor.get("shape"))
        )
        for tensor in (_list(said, "tensors") if said else ())
    )


def _list(said: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(said, list) or not all(isinstance(part, dict) for part in said):
        raise BrokenAnswerError(f"{what} is not a list of objects")
    return said


def _mapping(said: Any, what: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise BrokenAnswerError(f"the {what} is not a JSON object")
    return said
