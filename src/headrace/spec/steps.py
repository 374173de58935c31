"""A step of the pipeline file as types: its kinds, its joins, its routes."""

from datetime import timedelta
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, WithJsonSchema, field_validator, model_validator

from headrace.core.fields import common, normal
from headrace.core.steps import MOST_CHILDREN
from headrace.spec.connections import Spec
from headrace.spec.values import (
    Dimension,
    DocumentPath,
    Duration,
    FunctionName,
    Name,
    OneOrMany,
    Scalar,
    Short,
    Size,
    Span,
    Text,
    Wait,
    Whole,
    Window,
    refuse,
)

OrderingName = Literal["key", "partition", "none"]
JoinName = Literal["all", "first"]
OnMissingName = Literal["dead_letter", "drop", "proceed"]
TombstonesName = Literal["forward", "drop", "dead_letter"]
Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]

_Paths: TypeAlias = Annotated[tuple[DocumentPath, ...], OneOrMany()]
_Names: TypeAlias = Annotated[tuple[Text, ...], OneOrMany()]
_NAN_SCHEMA = WithJsonSchema({"enum": ["dead_letter", "null", None]})


class BatchSpec(Spec):
    """How records gather into requests."""

    max_size: Annotated[int, Field(ge=1, le=10_000), Whole] = 64
    """Most records in one request."""
    max_wait: Wait = timedelta(milliseconds=5)
    """Longest a record waits for its batch while the model has a slot free."""


class RetrySpec(Spec):
    """How failed calls are repeated."""

    max_attempts: Annotated[int, Field(ge=1, le=1000), Whole] = 5
    """Calls in all, the first one counted."""
    first_delay: Duration = timedelta(milliseconds=200)
    """Pause before the second attempt; it doubles from then on."""
    max_delay: Duration = timedelta(seconds=30)
    """Longest pause between two attempts."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.first_delay > self.max_delay:
            raise refuse("E013", "first_delay is above max_delay")
        return self


class StepBatchSpec(Spec):
    """What a step says about batches; the rest comes from `defaults`."""

    max_size: Annotated[int, Field(ge=1, le=10_000), Whole] | None = None
    """Most records in one request; default: that of `defaults`."""
    max_wait: Wait | None = None
    """Longest a record waits for its batch; default: that of `defaults`."""


class StepRetrySpec(Spec):
    """What a step says about retries; the rest comes from `defaults`."""

    max_attempts: Annotated[int, Field(ge=1, le=1000), Whole] | None = None
    """Calls in all; default: that of `defaults`."""
    first_delay: Duration | None = None
    """Pause before the second attempt; default: that of `defaults`."""
    max_delay: Duration | None = None
    """Longest pause between two attempts; default: that of `defaults`."""


class InputSpec(Spec):
    """A tensor to send. Short form: the path in the document."""

    path: DocumentPath
    """Dotted path in the document."""
    datatype: Datatype | None = None
    """Datatype; default: from the model's metadata."""
    shape: tuple[Dimension, ...] | None = None
    """Shape of one row; default: from the model's metadata."""
    default: JsonValue = None
    """Used where the path is missing; null means that there is no default."""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Parameters of the tensor."""


class OutputSpec(Spec):
    """A field to write. Short form: the tensor."""

    tensor: Text
    """Name of the tensor."""
    as_: Annotated[Literal["text", "base64"], Field(alias="as")] = "text"
    """How BYTES are read: as UTF-8 text, or turned into base64."""
    nan: Annotated[Literal["dead_letter", "null"], _NAN_SCHEMA] = "dead_letter"
    """What NaN becomes: a dead letter, or null."""

    @field_validator("nan", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: object) -> object:
        return "null" if value is None else value


class FunctionSpec(Spec):
    """A Python function. Short form: `module:callable`."""

    call: FunctionName
    """`module:callable`; the module is looked for beside the pipeline file first."""
    timeout: Duration = timedelta(seconds=30)
    """Longest a call may take; one that takes longer is a dead letter."""
    workers: Annotated[int, Field(ge=1, le=256), Whole] = 1
    """Calls at once, per worker."""
    pool: Literal["thread", "process"] = "thread"
    """Where a function that is not `async` runs: in threads, or in processes of its own, for work
    that keeps the CPU busy."""


class SplitSpec(Spec):
    """A record of every element of a list.

    A child's document is the fields of `keep` and the element; its identity is that of its parent
    and the number of the element.
    """

    each: DocumentPath
    """Path of the list."""
    as_: Annotated[DocumentPath, Field(alias="as")]
    """Path that the element has in its own document."""
    keep: _Paths = ()
    """Paths of the parent's document that every child keeps. They are also what a gather can put
    into its result again."""
    max_children: Annotated[int, Field(ge=1, le=MOST_CHILDREN), Whole] = MOST_CHILDREN
    """Most elements; a longer list is a dead letter."""
    spread: bool = False
    """Whether children are spread over the partitions, for more work at once; else they stay in the
    partition of their parent."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if common(normal(self.keep), (self.as_,)) != ():
            text = f"'as' writes '{self.as_}' over what `keep` keeps"
            raise refuse("E064", text, "give the element another path")
        return self


class GatherSpec(Spec):
    """One record of all children of a split.

    Its document is what the split kept of the parent, and the list of the children in the order of
    their elements. Children that were dropped are left out.
    """

    split: Text
    """The split step."""
    into: DocumentPath
    """Path that the list is written to."""
    fields_: Annotated[_Paths | None, Field(alias="fields")] = None
    """Paths of a child's document that enter the list; default: all of it."""
    on_failed: Literal["dead_letter", "hole"] = "dead_letter"
    """What a failed child is to its parent: the parent fails, too, or the list has a hole in its
    place, `{"failed": {"step", "error", "message"}}`."""
    on_missing: OnMissingName = "dead_letter"
    """What follows where children do not come in time: a dead letter, nothing (`drop`), or a list
    without them (`proceed`)."""
    timeout: Span | None = None
    """How long the rest of the children is waited for after the first; default: for ever."""
    late_after: Window = timedelta(days=7)
    """How long a parent that ended by `timeout` is remembered, so that late children are known."""
    max_bytes: Size = 16 * 2**20
    """Most bytes of all children's documents; a parent with more is a dead letter."""


class StepSpec(Spec):
    """A step: it calls a `model` or a `function`, makes many records of one, or one of many.

    It is of exactly one kind: `model`, `function`, `split` or `gather`.

    A step that reads several things is a join: the parts of a record meet in it, by the record's
    identity, and it sees one document. All parents come from the same source, and are inside the
    same splits.
    """

    from_: Annotated[tuple[Text, ...], Field(alias="from", min_length=1), OneOrMany()]
    """What it reads: a step, a route of a step (`step.label`), a source, or a topic where there is
    no `sources` block. A list is a join."""
    model: Text | None = None
    """Key under `models`. Such a step needs `inputs` and `outputs`."""
    inputs: (
        Annotated[dict[Text, Annotated[InputSpec, Short("path")]], Field(min_length=1)] | None
    ) = None
    """Tensors to send: tensor to path in the document."""
    outputs: (
        Annotated[dict[DocumentPath, Annotated[OutputSpec, Short("tensor")]], Field(min_length=1)]
        | None
    ) = None
    """Fields to write: path in the document to tensor."""
    function: Annotated[FunctionSpec, Short("call")] | None = None
    """A Python function: `module:callable`. It takes the document and returns it, changed or new,
    or None to drop the record. It may be `async`."""
    reads: _Paths | None = None
    """Paths of the document that the function sees; default: all of it, which then has to be
    carried to it."""
    writes: _Paths | None = None
    """Paths that the function may write; the rest of the document stays as it was. Default: what
    it returns replaces the document."""
    split: SplitSpec | None = None
    """Make a record of every element of a list."""
    gather: GatherSpec | None = None
    """Make one record of the children of a split."""
    when: Text | None = None
    """A gate: a condition in CEL on the document, such as `page.text.size() > 0`. Where it is false
    the record ends here, and a join or gather after the step is told. Not for a `gather`."""
    routes: dict[Name, Text] | None = Field(default=None, min_length=1)
    """Where results go: label to a condition in CEL on the document as the step leaves it. The
    first that holds is taken, read as `step.label`; `else` as the last one takes the rest. A result
    that no route takes ends here, and is counted."""
    join: JoinName | None = None
    """How the parts of a record meet: `all` (the default) waits for every parent and puts their
    documents together; `first` takes the first parent in listed order that has a result."""
    optional: _Names = ()
    """Parents that an `all` join goes on without where their part was dropped or not routed."""
    on_missing: OnMissingName | None = None
    """What follows where a part does not come in time, or that of an optional parent failed:
    `dead_letter` (the default), `drop`, or `proceed` without it. A parent that is not optional is
    never gone on without: its absence is a dead letter."""
    prefer: Text | None = None
    """The parent of an `all` join whose value is taken where several wrote one field."""
    timeout: Span | None = None
    """How long a join waits for the rest of a record after its first part; default: for ever.
    A gather has a `timeout` of its own."""
    late_after: Window | None = None
    """How long a record that ended by `timeout` is remembered, so that its late parts are known as
    such; default: 7d."""
    stage: Name | None = None
    """Steps of one stage run in one consumer group and pass records in memory, without a topic
    between them; default: a stage of its own."""
    ordering: OrderingName | None = None
    """Which results leave in order; default: that of `defaults`."""
    batch: StepBatchSpec = StepBatchSpec()
    """How records gather into requests."""
    retry: StepRetrySpec = StepRetrySpec()
    """How failed calls are repeated."""
    strict: bool | None = None
    """Whether a lane stops at a failed record; default: that of `defaults`."""
    tombstones: TombstonesName | None = None
    """What becomes of a record without a value; default: that of `defaults`."""
