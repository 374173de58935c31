"""The vertices of a compiled pipeline, and the ways between them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, TypeAlias

from headrace.core.models import BatchPolicy, Input, Model, OutputField
from headrace.core.retry import RetryPolicy


class Ordering(StrEnum):
    """Which results leave in order; see `core.ordering`."""

    NONE = "none"
    PARTITION = "partition"
    KEY = "key"


class Tombstones(StrEnum):
    """What becomes of a record without a value."""

    FORWARD = "forward"
    DROP = "drop"
    DEAD_LETTER = "dead_letter"


Fields: TypeAlias = tuple[str, ...] | None
"""Dotted paths of a document, none inside another; None stands for the whole document."""


ELSE = "else"
"""The condition of the route that takes what no route before it took."""


class JoinMode(StrEnum):
    """When a join has what it needs."""

    ALL = "all"
    FIRST = "first"


class OnMissing(StrEnum):
    """What follows when a part of a join or gather does not come."""

    DEAD_LETTER = "dead_letter"
    DROP = "drop"
    PROCEED = "proceed"


class OnFailed(StrEnum):
    """What a failed child becomes in the record that gathers it."""

    DEAD_LETTER = "dead_letter"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class Inlet:
    """One parent of a step, and what comes from it.

    Attributes:
        parent: The parent as the file names it: a source, a step, or `step.label`.
        topic: The topic its records come through; empty where they are passed in memory.
        step: The parent step, empty for a source.
        label: The route of the parent that is read, empty for all of them.
        fields: What of its document enters the step. In an `all` join the carrier's inlet brings
            everything but what the other inlets bring.
        is_optional: Whether a join goes on without it where it was dropped.
    """

    parent: str
    topic: str
    step: str = ""
    label: str = ""
    fields: Fields = None
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a join or gather waits for its parts, and what follows.

    Attributes:
        timeout_s: Longest wait after the first part came, seconds; None for no limit.
        on_missing: What follows when a part did not come, or an optional parent failed.
        late_after_s: How long the end of a record that timed out is remembered, seconds.
    """

    timeout_s: float | None = None
    on_missing: OnMissing = OnMissing.DEAD_LETTER
    late_after_s: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Join:
    """How the parts of a record meet at a step with several inlets.

    Attributes:
        mode: When they are complete.
        carrier: Number of the inlet that brings the document and drives the order: in an `all`
            join the one that the others add to, in a `first` join the first listed.
        prefer: Number of the inlet whose fields win where several write one; None for none.
        waiting: How long parts are waited for.
        order: Numbers of the other inlets of an `all` join, in the order in which their fields are
            put over the carrier's document.
    """

    mode: JoinMode = JoinMode.ALL
    carrier: int = 0
    prefer: int | None = None
    waiting: Waiting = field(default_factory=Waiting)
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlet:
    """A derived topic that a step writes for steps of other stages.

    Attributes:
        topic: The topic.
        label: The route whose records go there, empty for every record.
        fields: What of the document the readers need.
        tells: Whether outcomes other than results are written, too: a join or a gather waits.
        kept: What an outcome without a result says of the document: what a gather makes of
            the children's kept fields; empty for nothing.
        home_level: From this many splits on, records go to the home partition of that split
            (1 is the outermost) because it is gathered; 0 keeps the partition.
    """

    topic: str
    label: str = ""
    fields: Fields = None
    tells: bool = False
    kept: tuple[str, ...] = ()
    home_level: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A way in memory from a step to one of the same stage.

    Attributes:
        step: The step it leads to.
        inlet: Which of that step's inlets it is.
        label: The route whose records take it, empty for every record.
        fields: What of the document the step needs.
        tells: Whether outcomes other than results take it, too.
    """

    step: str
    inlet: int = 0
    label: str = ""
    fields: Fields = None
    tells: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every kind of step has.

    Attributes:
        name: The step's name.
        inlets: What it reads, in listed order.
        join: How its parts meet; None with a single inlet.
        when: Its gate, a condition in CEL; empty for none.
        routes: Label and condition of every route, in order; the first that holds is taken.
        outlets: Derived topics it writes.
        links: Ways in memory to steps of its stage.
        sinks: Sink topics its results go to.
        level: Inside how many splits it works.
        ordering: Which results leave in order.
        retry: How failed calls are repeated.
        strict: Whether a lane stops at a failed record instead of dead-lettering it.
        tombstones: What becomes of records without a value.
        kind: The word for it in the pipeline file.
    """

    kind: ClassVar[str] = ""

    name: str
    inlets: tuple[Inlet, ...] = ()
    join: Join | None = None
    when: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    outlets: tuple[Outlet, ...] = ()
    links: tuple[Link, ...] = ()
    sinks: tuple["Sink", ...] = ()
    level: int = 0
    ordering: Ordering = Ordering.KEY
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    strict: bool = False
    tombstones: Tombstones = Tombstones.FORWARD

    @property
    def tells(self) -> bool:
        """Whether anything after it waits for outcomes other than results."""
        return any(each.tells for each in self.outlets) or any(each.tells for each in self.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep(Step):
    """A step that calls a model.

    Attributes:
        model: The model it calls.
        inputs: Tensors to send.
        outputs: Fields to write.
        batch: How records gather.
    """

    kind = "model"

    model: Model
    inputs: tuple[Input, ...]
    outputs: tuple[OutputField, ...]
    batch: BatchPolicy = field(default_factory=BatchPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStep(Step):
    """A step that calls a Python function.

    Attributes:
        function: `module:callable`.
        folder: Where the module is looked for first.
        reads: What the function sees of the document.
        writes: What of its answer enters the document; None replaces the document.
        timeout_s: Longest a call may take, seconds.
        workers: Calls at once.
        is_process: Whether it runs in processes of its own instead of threads.
        batch: How records gather.
    """

    kind = "function"

    function: str
    folder: str = ""
    reads: Fields = None
    writes: Fields = None
    timeout_s: float = 30.0
    workers: int = 1
    is_process: bool = False
    batch: BatchPolicy = field(default_factory=BatchPolicy)


MOST_CHILDREN: Final = 10_000
"""Most elements that any split takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStep(Step):
    """A step that makes a record of every element of a list.

    Attributes:
        each: Path of the list.
        as_: Path that an element is written to in its record.
        keep: Paths of the parent's document that every child keeps.
        max_children: Most elements.
        is_spread: Whether children are spread over the partitions.
    """

    kind = "split"

    each: str
    as_: str
    keep: tuple[str, ...] = ()
    max_children: int = MOST_CHILDREN
    is_spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherStep(Step):
    """A step that makes one record of the children of a split.

    Its document is what the split kept of the parent, and the children in the order of their list.

    Attributes:
        split: The split step.
        into: Path that the list is written to.
        fields: Paths of a child's document that enter the list; None for the whole child.
        keep: Paths that the split kept of the parent.
        on_failed: What a failed child becomes.
        waiting: How long children are waited for.
        max_bytes: Most bytes of children's documents.
    """

    kind = "gather"

    split: str
    into: str
    fields: Fields = None
    keep: tuple[str, ...] = ()
    on_failed: OnFailed = OnFailed.DEAD_LETTER
    waiting: Waiting = field(default_factory=Waiting)
    max_bytes: int = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Sink:
    """A topic that results are written to.

    Attributes:
        topic: The topic.
        key: Dotted path of the new key, empty to keep the source's key and partition.
        fields: Fields of the document to write, empty for all of it.
        label: The route whose results go there, empty for every result.
    """

    topic: str
    key: str = ""
    fields: tuple[str, ...] = ()
    label: str = ""
