"""Pipelines declared in Python: the same grammar, the same problems as the YAML file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any, TypeAlias, TypedDict, Unpack

from headrace.spec.lint import Path, Report
from headrace.spec.loader import Checked, check_data
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


class StepSettings(TypedDict, total=False):
    """What a step may say besides; `headrace.spec.models.StepSpec` documents each."""

    ordering: str
    batch: Batch
    retry: Retry
    strict: bool
    tombstones: str


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
        self, name: str, topic: str | None = None, *, start: str | int | None = None
    ) -> "Stream":
        """Declare a topic that is read; its name is the topic's unless both are given."""
        self._declared.add("sources", name, {"topic": topic or name, "start": start})
        return Stream(self._declared, name)

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


class Stream:
    """The records of a source or of a step."""

    def __init__(self, declared: "_Declarations", name: str) -> None:
        self._declared = declared
        self._name = name

    def infer(
        self,
        name: str,
        model: Model,
        *,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        **settings: Unpack[StepSettings],
    ) -> "Stream":
        """Add a step that calls a model.

        Args:
            name: The step's name.
            model: The model.
            inputs: Tensor to path in the document, or to a mapping in the long form.
            outputs: Path in the document to tensor, or to a mapping in the long form.
            settings: What the defaults do not say.
        """
        said = {"from": self._name, "model": model.name, "inputs": inputs, "outputs": outputs}
        self._declared.add("steps", name, {**said, **settings})
        return Stream(self._declared, name)

    def to(
        self, topic: str, *, key: str | None = None, fields: Sequence[str] | None = None
    ) -> None:
        """Write the records to a topic."""
        said = {"from": self._name, "key": key, "fields": fields}
        self._declared.add("sinks", topic, said)


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
