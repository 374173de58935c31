"""The file of test cases as types: inputs, scripted models, and what must come of them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import BeforeValidator, Field, JsonValue, WithJsonSchema, model_validator

from headrace.core.steps import ModelStep
from headrace.spec.connections import Spec
from headrace.spec.values import Text, Whole, refuse

PAUSING = frozenset({401, 403, 404, 405, 429, 501, 503})
"""Statuses that say nothing about a record: a worker pauses the step and asks again."""

ONLY = ""
"""Stands for the name of the only source or sink, where a list is written without it."""


def _bare(value: object) -> object:
    return {ONLY: value} if isinstance(value, list) else value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


def _check_value(value: object) -> object:
    if not isinstance(value, Mapping | str | None):
        hint = "write a document as a mapping; put any other value in quotes, as its bytes are"
        raise refuse("E012", "is neither a document nor a text", hint)
    return value


def _check_document(value: object) -> object:
    if not isinstance(value, Mapping | None):
        raise refuse("E012", "expects a document", "write it as a mapping, or null")
    return value


def _by_topic(items: str) -> WithJsonSchema:
    many = {"type": "array", "items": {"title": items}}
    return WithJsonSchema({"anyOf": [many, {"type": "object", "additionalProperties": many}]})


Value: TypeAlias = Annotated[JsonValue, BeforeValidator(_check_value)]
Document: TypeAlias = Annotated[JsonValue, BeforeValidator(_check_document)]
Inputs: TypeAlias = Annotated[
    dict[str, tuple[Value, ...]], BeforeValidator(_bare), _by_topic("document or text")
]
Outputs: TypeAlias = Annotated[
    dict[str, tuple[Document, ...]], BeforeValidator(_bare), _by_topic("document")
]


class RefusalSpec(Spec):
    """How a scripted model refuses a call."""

    status: Annotated[int, Field(ge=400, le=599), Whole]
    """HTTP status: 4xx is the records' fault and 5xx the server's, save that 401, 403, 404, 405,
    429, 501 and 503 pause the step. 504 is a timeout."""
    message: str = "refused by the test"
    """What the server says."""


class RuleSpec(Spec):
    """What a scripted model answers to a row. The first rule that fits a row decides it."""

    when: dict[Text, JsonValue] = Field(default_factory=dict)
    """Input tensors and the values that they must have; without it every row fits."""
    answer: dict[Text, JsonValue] = Field(default_factory=dict)
    """Output tensors and their values, as they stand in the document."""
    echo: dict[Text, Text] = Field(default_factory=dict)
    """Output tensors and the input tensors whose values they repeat."""
    error: RefusalSpec | None = None
    """Refuse every call that holds such a row, with all other rows in it."""
    times: Annotated[int, Field(ge=1, le=1000), Whole] | None = None
    """How many calls the rule decides; default: all. Later rules decide what comes then."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.error is None) == (not self.answer and not self.echo):
            hint = "write either `answer` or `echo`, for every output tensor, or `error`"
            raise refuse("E074", "a rule decides nothing", hint)
        if self.error is not None and self.error.status in PAUSING and self.times is None:
            hint = "say how many calls it lasts: `times: 2`"
            text = f"a rule pauses the step for ever with status {self.error.status}"
            raise refuse("E074", text, hint)
        return self


Script: TypeAlias = Annotated[tuple[RuleSpec, ...], BeforeValidator(_one_or_many)]


class LetterSpec(Spec):
    """A dead letter; what is not said may be anything."""

    input: Annotated[int, Field(ge=1), Whole] | None = None
    """Number of the input it comes from, from 1."""
    step: Text | None = None
    """The step that gave up."""
    error: Text | None = None
    """Class of the error, such as DecodeError."""
    message: Text | None = None
    """A part of the error's message."""


class CaseSpec(Spec):
    """One case. What it does not list must not come: no further document, no dead letter."""

    name: Text
    """What the case shows."""
    input: Inputs
    """Records to read: a list, or one by source topic. A mapping is a document, a text the bytes
    of a value as they are, null a record without a value."""
    models: dict[Text, Script] = Field(default_factory=dict)
    """Scripted models as for the file, asked before those."""
    expect: Outputs = Field(default_factory=dict)
    """Documents written, in the order of the input: a list, or one by sink topic. They may have
    further fields; null is a record without a value."""
    exact: bool = False
    """Whether further fields are a failure."""
    dead_letters: tuple[LetterSpec, ...] = ()
    """Records given up, in any order."""
    halted: tuple[Annotated[int, Field(ge=1), Whole], ...] = ()
    """Numbers of inputs that never end because a step is strict, from 1."""


def script_names(step: ModelStep) -> tuple[str, ...]:
    """Return the names under which a script may stand that a step's model follows."""
    model = step.model
    versions = [model.version] if model.version else [version for version, _ in model.versions]
    names = (step.name, *(f"{model.name}@{version}" for version in versions), model.name)
    return tuple(dict.fromkeys(names))


class CasesSpec(Spec):
    """Test cases of a pipeline, run by `headrace test`."""

    whole: ClassVar[str] = "the file"

    models: dict[Text, Script] = Field(default_factory=dict)
    """Scripted models for all cases: the name of a step, of a model, or of a version of a model
    as `model@version`, and a rule or a list of them."""
    cases: tuple[CaseSpec, ...] = Field(min_length=1)
    """The cases."""

    def rules_for(self, case: CaseSpec, step: ModelStep) -> tuple[RuleSpec, ...]:
        """Return the rules for a step's model in the order in which they are asked."""
        scripts: tuple[Mapping[str, Any], ...] = (case.models, self.models)
        names = script_names(step)
        return tuple(rule for script in scripts for name in names for rule in script.get(name, ()))
