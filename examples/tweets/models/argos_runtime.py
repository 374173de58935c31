"""MLServer runtime for Argos Translate packages: tensor `text` in, tensor `translation` out."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError
from mlserver.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    ResponseOutput,
    TensorData,
)

from argos_package import Package, PackageError, Translator

PACKAGE_VARIABLE = "ARGOS_PACKAGE"
INPUT = "text"
OUTPUT = "translation"
BYTES = Datatype.BYTES.value  # MLServer keeps the word, not the member


@dataclass(frozen=True, slots=True)
class Options:
    """What `parameters.extra` of model-settings.json may say.

    Attributes:
        package: Path of the package, relative to model-settings.json.
        beam_size: Hypotheses kept while decoding; 1 is greedy and fastest.
        max_characters: A text longer than this is refused.
        workers: Batches translated at the same time; 0 is one per core.
    """

    package: str = ""
    beam_size: int = 1
    max_characters: int = 5000
    workers: int = 0

    @classmethod
    def from_settings(cls, settings: ModelSettings) -> "Options":
        """Read the options, and the package's path from wherever it is given.

        The environment variable `ARGOS_PACKAGE` comes first, then `parameters.extra.package`,
        then `parameters.uri`.

        Raises:
            PackageError: An option is unknown, or no package is named.
        """
        given: dict[str, Any] = dict(settings.parameters.extra or {}) if settings.parameters else {}
        uri = settings.parameters.uri if settings.parameters else None
        given["package"] = os.environ.get(PACKAGE_VARIABLE) or given.get("package") or uri
        unknown = given.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise PackageError(f"unknown options in parameters.extra: {', '.join(sorted(unknown))}")
        if not given["package"]:
            raise PackageError(f"name a package in parameters.uri or in {PACKAGE_VARIABLE}")
        return cls(**given)

    @property
    def worker_count(self) -> int:
        """How many batches run at the same time, at least 1."""
        return self.workers or os.cpu_count() or 1


class ArgosRuntime(MLModel):
    """Translates the rows of one BYTES tensor `text` [n] into one BYTES tensor `translation` [n].

    A request that is not like that, or that has a row which is not UTF-8 or longer than
    `max_characters`, is answered with HTTP 400 or gRPC INVALID_ARGUMENT; the whole request
    is refused, because an answer has to have a row for each row of the request.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._options = Options.from_settings(settings)
        self._package = Package.open(_located(self._options.package, settings))
        # MLServer registers a model under its version before it calls `load`.
        if settings.parameters and not settings.parameters.version:
            settings.parameters.version = self._package.version
        settings.versions = [settings.version or self._package.version]
        settings.platform = settings.platform or "argos-ctranslate2"
        self.inputs = [MetadataTensor(name=INPUT, datatype=BYTES, shape=[-1])]
        self.outputs = [MetadataTensor(name=OUTPUT, datatype=BYTES, shape=[-1])]

    async def load(self) -> bool:
        """Load the model off the event loop."""
        self._translator = await asyncio.to_thread(
            Translator,
            self._package,
            workers=self._options.worker_count,
            beam_size=self._options.beam_size,
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Translate one batch in a thread, so that requests run side by side."""
        texts = texts_of(payload, self._options.max_characters)
        translations = await asyncio.to_thread(self._translator.translate, texts)
        output = ResponseOutput(
            name=OUTPUT,
            datatype=BYTES,
            shape=[len(translations)],
            parameters=Parameters(content_type="str"),
            data=TensorData(root=[text.encode() for text in translations]),
        )
        return InferenceResponse(
            id=payload.id, model_name=self.name, model_version=self.version, outputs=[output]
        )

    async def unload(self) -> bool:
        """Free the model's memory."""
        await asyncio.to_thread(self._translator.close)
        return True


def texts_of(request: InferenceRequest, max_characters: int) -> list[str]:
    """Take the texts out of a request.

    Raises:
        InferenceError: The request is not one BYTES tensor `text` [n] of short UTF-8 texts.
    """
    names = [tensor.name for tensor in request.inputs]
    if names != [INPUT]:
        raise InferenceError(f"expected one tensor named {INPUT!r}, got {names}")
    asked = {output.name for output in request.outputs or []}
    if asked - {OUTPUT}:
        raise InferenceError(f"the only output is {OUTPUT!r}, asked for {sorted(asked)}")
    (tensor,) = request.inputs
    if tensor.datatype != BYTES:
        raise InferenceError(f"tensor {INPUT!r} has to be BYTES, got {tensor.datatype}")
    rows = tensor.data.root
    if not isinstance(rows, list) or list(tensor.shape) != [len(rows)]:
        held = len(rows) if isinstance(rows, list) else 1
        raise InferenceError(f"expected shape [{held}] for {held} rows, got {list(tensor.shape)}")
    return [_text(index, row, max_characters) for index, row in enumerate(rows)]


def _text(index: int, row: object, max_characters: int) -> str:
    if isinstance(row, bytes):
        try:
            row = row.decode()
        except UnicodeDecodeError as error:
            raise InferenceError(f"row {index} is not UTF-8: {error}") from error
    if not isinstance(row, str):
        raise InferenceError(f"row {index} is not a text but {type(row).__name__}")
    if len(row) > max_characters:
        raise InferenceError(
            f"row {index} has {len(row)} characters, at most {max_characters} are translated"
        )
    return row


def _located(path: str, settings: ModelSettings) -> Path:
    source = settings._source  # noqa: SLF001  MLServer has no public name for the folder
    folder = Path(source).parent if source else Path()
    return folder / Path(path).expanduser()
