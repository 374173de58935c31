"""Small models of the big example, without weights: what they say follows from the words alone."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData

WIDTH = 3
"""Elements of a row of spans or codes; the rest is empty."""


class ChartRuntime(MLModel):
    """Answers every row of BYTES by itself."""

    async def load(self) -> bool:
        """Nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a batch."""
        names = [each.name for each in payload.inputs]
        rows = zip(*map(_rows, payload.inputs), strict=True)
        answers = [self.answer(**dict(zip(names, row, strict=True))) for row in rows]
        output = self.output(answers)
        return InferenceResponse(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=[output]
        )

    answer: Callable[..., Any]
    """Returns what to say of a row, given by the names of its inputs."""

    def output(self, answers: list[list[str]]) -> ResponseOutput:
        """Return the tensor of lists that the model promises."""
        (promised,) = self.settings.outputs
        flat = [word for answer in answers for word in _padded(answer)]
        return _tensor(promised.name, [len(answers), WIDTH], flat)


class DocTypeRuntime(ChartRuntime):
    """`text` -> `label`: what the first word says, a lab page where there is none."""

    def answer(self, text: str) -> str:
        """Return the kind of a page; a torn one cannot be told."""
        if text.startswith("!"):
            raise InferenceError(f"cannot read {text!r}")
        return text.partition(":")[0] or "lab"

    def output(self, answers: list[str]) -> ResponseOutput:
        """Return one label a row."""
        return _tensor("label", [len(answers)], [each.encode() for each in answers])


class EntitiesRuntime(ChartRuntime):
    """`text` -> `spans`: words in capitals."""

    def answer(self, text: str) -> list[str]:
        """Return the findings of a page."""
        return [word for word in text.split() if word.isupper()]


class NegationRuntime(ChartRuntime):
    """`text` -> `spans`: the words behind a `no`."""

    def answer(self, text: str) -> list[str]:
        """Return what a page says is not there."""
        words = text.split()
        return [word for before, word in pairwise(words) if before == "no"]


class LabsRuntime(ChartRuntime):
    """`text` -> `codes`: a code for every value."""

    def answer(self, text: str) -> list[str]:
        """Return the codes of a page."""
        return [f"L-{word}" for word in text.split()[1:]]


class IcdRuntime(ChartRuntime):
    """`entities`, `negated` -> `codes`: what is there, with the version that says it."""

    def answer(self, entities: list[str], negated: list[str]) -> list[str]:
        """Return the codes of a page."""
        return [f"{each}.{self.version}" for each in entities if each and each not in negated]


def _rows(tensor: Any) -> list[Any]:
    flat = [each.decode() if isinstance(each, bytes) else each for each in tensor.data.root]
    if len(tensor.shape) == 1:
        return flat
    width = tensor.shape[1]
    return [flat[at : at + width] for at in range(0, len(flat), width)]


def _padded(words: list[str]) -> list[bytes]:
    return [word.encode() for word in [*words, *[""] * WIDTH][:WIDTH]]


def _tensor(name: str, shape: list[int], rows: list[bytes]) -> ResponseOutput:
    return ResponseOutput(name=name, datatype="BYTES", shape=shape, data=TensorData(root=rows))
