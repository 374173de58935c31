"""Pipelines declared in Python: the same grammar, the same problems as the YAML file."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from pathlib import Path as File
from typing import Any, TypeAlias, TypedDict, Unpack

from headrace.core.steps import ELSE as ELSE  # noqa: PLC0414 - part of the public API
from headrace.spec.lint import Path, Report
from headrace.spec.loader import MODULE_PREFIX, Checked, check_data
from headrace.spec.models import PipelineSpec
from headrace.spec.variables import Variables

Duration: TypeAlias = str | timedelta


@dataclass(frozen=True, slots=True)
class Batch:
    """How records gather into requests; what is None comes from the defaults."""

    max_size: int | None = None
    max_wait: Duration | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed calls are repeated; what is None comes from the defaults."""

    max_attempts: int | None = None
    first_delay: Duration | None = None
    max_delay: Duration | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every step that does not say otherwise."""

    ordering: str | None = None
    batch: Batch | None = None
    retry: Retry | None = None
    strict: bool | None = None
    tombstones: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A declared model server."""

    name: str


@dataclass(frozen=True, slots=True)
class Model:
    """A declared model."""

    name: str


class ServerSettings(TypedDict, total=False):
    """What a server may say; `headrace.spec.connections.ServerSpec` documents each."""

    serve: str
    timeout: Duration
    profile: str
    token: str
    token_file: str
    oauth: Mapping[str, str]
    headers: Mapping[str, str]
    authority: str
    tls: Mapping[str, str]
    parameters: Mapping[str, str | int | bool]
    min_in_flight: int
    max_in_flight: int


class ModelSettings(ServerSettings, total=False):
    """What a model may say besides; `headrace.spec.models.ModelSpec` documents each."""

    url: str | Sequence[str]
    name: str
    version: str
    versions: Mapping[str, int]


class StepSettings(TypedDict, total=False):
    """What any step may say besides; `headrace.spec.steps.StepSpec` documents each."""

    routes: Mapping[str, str]
    stage: str
    ordering: str
    strict: bool
    tombstones: str


class CallSettings(StepSettings, total=False):
    """What a step that calls a model or a function may say besides."""

    when: str
    batch: Batch
    retry: Retry


class SplitSettings(StepSettings, total=False):
    """What a step that splits may say besides; `headrace.spec.steps.SplitSpec` documents each."""

    when: str
    keep: Sequence[str]
    max_children: int
    spread: bool


class GatherSettings(StepSettings, total=False):
    """What a step that gathers may say besides; `headrace.spec.steps.GatherSpec` documents each."""

    fields: Sequence[str]
    on_failed: str
    on_missing: str
    timeout: Duration
    late_after: Duration
    max_bytes: str


class FunctionSettings(CallSettings, total=False):
    """What a step that calls a function may say besides; see `headrace.spec.steps`."""

    reads: Sequence[str]
    writes: Sequence[str]
    timeout: Duration
    workers: int
    pool: str


class JoinSettings(TypedDict, total=False):
    """How the parts of a record meet; `headrace.spec.steps.StepSpec` documents each."""

    on_missing: str
    timeout: Duration
    late_after: Duration


class PipelineSettings(TypedDict, total=False):
    """What a pipeline may say; `headrace.spec.models.PipelineSpec` documents each."""

    defaults: Defaults
    kafka: Mapping[str, Any]
    delivery: str
    topics: Mapping[str, Any]


class Pipeline:
    """A pipeline under construction.

    Nothing is checked before `spec`, so that every problem is reported at once. Texts may hold
    `${VAR:-default}` as in the file.

        p = Pipeline("tweets")
        translator = p.model("translator", url="grpc://localhost:8081", name="en-es")
        tweets = p.source("tweets")
        english = tweets.infer(
            "translate", translator, inputs={"text": "text"}, outputs={"translation": "translation"}
        )
        english.to("tweets-es")
    """

    def __init__(self, name: str, **settings: Unpack[PipelineSettings]) -> None:
        self._name = name
        self._declared = _Declarations({"pipeline": name, **settings})

    def server(
        self, name: str, url: str | Sequence[str], /, **settings: Unpack[ServerSettings]
    ) -> Server:
        """Declare a model server."""
        self._declared.add("servers", name, {"url": url, **settings})
        return Server(name)

    def model(
        self, key: str, server: Server | None = None, /, **settings: Unpack[ModelSettings]
    ) -> Model:
        """Declare a model, on a declared server or with a URL of its own."""
        on = {} if server is None else {"server": server.name}
        self._declared.add("models", key, {**on, **settings})
        return Model(key)

    def source(
        self,
        name: str,
        topic: str | None = None,
        *,
        start: str | int | None = None,
        deadline: Duration | None = None,
    ) -> "Stream":
        """Declare a topic that is read; its name is the topic's unless both are given."""
        said = {"topic": topic or name, "start": start, "deadline": deadline}
        self._declared.add("sources", name, said)
        return Stream(self._declared, name)

    def join(
        self,
        *streams: "Stream",
        mode: str | None = None,
        optional: "Sequence[Stream]" = (),
        prefer: "Stream | None" = None,
        **settings: Unpack[JoinSettings],
    ) -> "Joined":
        """Have the parts of a record meet in the step that is added next.

        Args:
            streams: Where the parts come from.
            mode: `all`, the default, or `first`: the first of them in this order with a result.
            optional: Those that need not come where they were dropped or not routed.
            prefer: The one whose value is taken where several wrote one field.
            settings: How long parts are waited for, and what follows.
        """
        said = {
            "join": mode,
            "optional": [each.name for each in optional] or None,
            "prefer": None if prefer is None else prefer.name,
            **settings,
        }
        return Joined(self._declared, [each.name for each in streams], said)

    def union(self, *streams: "Stream") -> "Union":
        """Have the records of several streams written to one topic."""
        return Union(self._declared, [each.name for each in streams])

    def spec(self, environ: Mapping[str, str] | None = None) -> PipelineSpec:
        """Return what the same pipeline in YAML would give.

        Args:
            environ: Where variables come from; the process environment by default.

        Raises:
            SpecError: It has errors; it carries every problem.
        """
        return self.check(os.environ if environ is None else environ).unwrap()

    def check(self, environ: Mapping[str, str], file: str = "") -> Checked:
        """Return the pipeline and every problem in it, with places instead of lines."""
        report = Report()
        data = _plain(self._declared.data, (), Variables(environ, report))
        for place in self._declared.twice:
            report.add("E002", place, f"'{place[-1]}' is declared twice in {place[0]}")
        return check_data(data, report, file or f"pipeline {self._name}")


class Joined:
    """Streams whose parts meet: what may follow is a step."""

    def __init__(
        self, declared: "_Declarations", parents: str | Sequence[str], join: Mapping[str, Any]
    ) -> None:
        self._declared = declared
        self._said = {"from": parents, **join}

    def infer(
        self,
        name: str,
        model: Model,
        *,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        **settings: Unpack[CallSettings],
    ) -> "Stream":
        """Add a step that calls a model.

        Args:
            name: The step's name.
            model: The model.
            inputs: Tensor to path in the document, or to a mapping in the long form.
            outputs: Path in the document to tensor, or to a mapping in the long form.
            settings: What the defaults do not say.
        """
        said = {"model": model.name, "inputs": inputs, "outputs": outputs}
        return self._step(name, {**said, **settings})

    def apply(
        self,
        name: str,
        function: str | Callable[..., Any],
        **settings: Unpack[FunctionSettings],
    ) -> "Stream":
        """Add a step that calls a Python function.

        Args:
            name: The step's name.
            function: `module:callable`, or a function that can be named like this: one that a
                module defines at its top. Workers import it by that name.
            settings: What it reads and writes, how it is called, and what the defaults do not say.
        """
        call = function if isinstance(function, str) else _named(function)
        own = {key: settings[key] for key in _OF_FUNCTIONS if key in settings}  # type: ignore[literal-required]
        others = {key: value for key, value in settings.items() if key not in own}
        return self._step(name, {"function": {"call": call, **own}, **others})

    def split(
        self, name: str, *, each: str, as_: str, **settings: Unpack[SplitSettings]
    ) -> "Stream":
        """Add a step that makes a record of every element of a list.

        Args:
            name: The step's name.
            each: Path of the list.
            as_: Path that an element has in its own document.
            settings: What every child keeps, and what the defaults do not say.
        """
        return self._nested(name, "split", {"each": each, "as": as_}, settings, _OF_SPLITS)

    def gather(
        self, name: str, *, split: "Stream", into: str, **settings: Unpack[GatherSettings]
    ) -> "Stream":
        """Add a step that makes one record of the children of a split.

        Args:
            name: The step's name.
            split: The split step.
            into: Path that the list of the children is written to.
            settings: How long children are waited for, and what the defaults do not say.
        """
        said = {"split": split.name, "into": into}
        return self._nested(name, "gather", said, settings, _OF_GATHERS)

    def _nested(
        self,
        name: str,
        kind: str,
        said: Mapping[str, Any],
        settings: Mapping[str, Any],
        own: frozenset[str],
    ) -> "Stream":
        """Add a step whose settings belong partly to its kind and partly to any step."""
        inner = {key: value for key, value in settings.items() if key in own}
        outer = {key: value for key, value in settings.items() if key not in own}
        return self._step(name, {kind: {**said, **inner}, **outer})

    def _step(self, name: str, said: Mapping[str, Any]) -> "Stream":
        self._declared.add("steps", name, {**self._said, **said})
        return Stream(self._declared, name)


class Stream(Joined):
    """The records of a source or of a step; `stream["label"]` are those of a route."""

    def __init__(self, declared: "_Declarations", name: str) -> None:
        super().__init__(declared, name, {})
        self.name = name

    def __getitem__(self, label: str) -> "Stream":
        return Stream(self._declared, f"{self.name}.{label}")

    def to(
        self, topic: str, *, key: str | None = None, fields: Sequence[str] | None = None
    ) -> None:
        """Write the records to a topic."""
        Union(self._declared, self.name).to(topic, key=key, fields=fields)


class Union:
    """Streams that are written to one topic."""

    def __init__(self, declared: "_Declarations", parents: str | Sequence[str]) -> None:
        self._declared = declared
        self._parents = parents

    def to(
        self, topic: str, *, key: str | None = None, fields: Sequence[str] | None = None
    ) -> None:
        """Write the records to a topic."""
        said = {"from": self._parents, "key": key, "fields": fields}
        self._declared.add("sinks", topic, said)


_OF_FUNCTIONS = frozenset({"timeout", "workers", "pool"})
_OF_SPLITS = frozenset({"keep", "max_children", "spread"})
_OF_GATHERS = frozenset({"fields", "on_failed", "on_missing", "timeout", "late_after", "max_bytes"})


def _named(function: Callable[..., Any]) -> str:
    """Return a function as `module:callable`; what has no such name is refused as a text."""
    module = str(getattr(function, "__module__", "")).removeprefix(MODULE_PREFIX)
    if module == "__main__":
        # A worker is another process, whose main module is headrace.
        module = File(getattr(sys.modules[module], "__file__", None) or module).stem
    name = getattr(function, "__qualname__", None)
    return f"{module}:{name or repr(function)}"


class _Declarations:
    """The pipeline so far, as plain data, and what was declared twice."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.twice: list[Path] = []

    def add(self, block: str, name: str, said: Mapping[str, Any]) -> None:
        """Declare one thing; the first of a name stays, None says nothing."""
        declared = self.data.setdefault(block, {})
        if name in declared:
            self.twice.append((block, name))
        declared.setdefault(name, {key: part for key, part in said.items() if part is not None})


def _plain(value: Any, path: Path, variables: Variables) -> Any:
    """Return what YAML would have given: mappings, lists, single values; None is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
        value = {name: part for name, part in value.items() if part is not None}
    if isinstance(value, Mapping):
        texts = {
            variables.fill(str(key), (*path, str(key)), 0): part for key, part in value.items()
        }
        return {key: _plain(part, (*path, key), variables) for key, part in texts.items()}
    if isinstance(value, str):
        return variables.fill(value, path, 0)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(part, (*path, index), variables) for index, part in enumerate(value)]
    return value
