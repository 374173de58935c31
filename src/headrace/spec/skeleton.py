"""Steps of the file as steps of the core: every default filled in, every name resolved.

What depends on the whole pipeline is left open: topics of headrace's own, fields on the edges.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headrace.core import models, steps
from headrace.core.fields import normal
from headrace.core.retry import RetryPolicy
from headrace.spec.connections import OAuthSpec, TlsSpec
from headrace.spec.effective import batch_of, retry_of, server_of
from headrace.spec.models import PipelineSpec
from headrace.spec.references import reference
from headrace.spec.steps import FunctionSpec, GatherSpec, InputSpec, OutputSpec, SplitSpec, StepSpec

_LATE_AFTER = timedelta(days=7)


def steps_of(spec: PipelineSpec, folder: Path) -> Mapping[str, steps.Step]:
    """Return the steps of a pipeline whose names lead somewhere, in the file's order."""
    return {name: _step(name, step, spec, folder) for name, step in spec.steps.items()}


def stages_of(spec: PipelineSpec) -> Mapping[str, str]:
    """Return step to the stage that runs it."""
    return {name: step.stage or name for name, step in spec.steps.items()}


def seconds(duration: timedelta | None) -> float | None:
    """Return a duration in seconds, None for no bound."""
    return None if duration is None else duration.total_seconds()


def secret(value: SecretStr | None) -> str | None:
    """Return the text of a secret."""
    return None if value is None else value.get_secret_value()


def file_at(path: str, folder: Path) -> str:
    """Return the absolute path of a file that the pipeline file names."""
    return str((folder / path).resolve())


def _step(name: str, step: StepSpec, spec: PipelineSpec, folder: Path) -> steps.Step:
    common = _common(name, step, spec)
    batch = batch_of(step, spec)
    policy = models.BatchPolicy(batch.max_size, batch.max_wait.total_seconds())
    if step.function is not None:
        return _function(step, step.function, folder, {**common, "batch": policy})
    if step.split is not None:
        return _split(step.split, common)
    if step.gather is not None:
        return _gather(step.gather, common)
    return steps.ModelStep(
        **common,
        model=_model(step.model or "", spec, folder),
        inputs=tuple(_input(tensor, part) for tensor, part in (step.inputs or {}).items()),
        outputs=tuple(_output(path, part) for path, part in (step.outputs or {}).items()),
        batch=policy,
    )


def _common(name: str, step: StepSpec, spec: PipelineSpec) -> dict[str, Any]:
    """Return what every kind of step has."""
    defaults, retry = spec.defaults, retry_of(step, spec)
    return {
        "name": name,
        "inlets": tuple(_inlet(parent, step, spec) for parent in step.from_),
        "join": _join(step) if len(step.from_) > 1 else None,
        "when": step.when or "",
        "routes": tuple((step.routes or {}).items()),
        "sinks": tuple(_sinks(name, spec)),
        "ordering": steps.Ordering(step.ordering or defaults.ordering),
        "retry": RetryPolicy(
            max_attempts=retry.max_attempts,
            first_delay_s=retry.first_delay.total_seconds(),
            max_delay_s=retry.max_delay.total_seconds(),
        ),
        "strict": defaults.strict if step.strict is None else step.strict,
        "tombstones": steps.Tombstones(step.tombstones or defaults.tombstones),
    }


def _inlet(parent: str, step: StepSpec, spec: PipelineSpec) -> steps.Inlet:
    found = reference(parent, spec.steps, spec.sources)
    return steps.Inlet(
        parent=parent,
        topic="" if found.step else spec.sources[parent].topic,
        step=found.step,
        label=found.label,
        is_optional=parent in step.optional,
    )


def _join(step: StepSpec) -> steps.Join:
    late = step.late_after
    return steps.Join(
        mode=steps.JoinMode(step.join or "all"),
        prefer=None if step.prefer is None else step.from_.index(step.prefer),
        waiting=steps.Waiting(
            timeout_s=seconds(step.timeout),
            on_missing=steps.OnMissing(step.on_missing or "dead_letter"),
            late_after_s=(_LATE_AFTER if late is None else late).total_seconds(),
        ),
    )


def _sinks(name: str, spec: PipelineSpec) -> Iterator[steps.Sink]:
    for topic, sink in spec.sinks.items():
        for parent in sink.from_:
            found = reference(parent, spec.steps, spec.sources)
            if found.step == name:
                yield steps.Sink(topic, sink.key or "", sink.fields_, found.label)


def _function(
    step: StepSpec, function: FunctionSpec, folder: Path, common: dict[str, Any]
) -> steps.FunctionStep:
    return steps.FunctionStep(
        **common,
        function=function.call,
        folder=str(folder.resolve()),
        reads=None if step.reads is None else normal(step.reads),
        writes=None if step.writes is None else normal(step.writes),
        timeout_s=function.timeout.total_seconds(),
        workers=function.workers,
        is_process=function.pool == "process",
    )


def _split(split: SplitSpec, common: dict[str, Any]) -> steps.SplitStep:
    return steps.SplitStep(
        **common,
        each=split.each,
        as_=split.as_,
        keep=normal(split.keep),
        max_children=split.max_children,
        is_spread=split.spread,
    )


def _gather(gather: GatherSpec, common: dict[str, Any]) -> steps.GatherStep:
    return steps.GatherStep(
        **common,
        split=gather.split,
        into=gather.into,
        fields=None if gather.fields_ is None else normal(gather.fields_),
        on_failed=steps.OnFailed(gather.on_failed),
        waiting=steps.Waiting(
            timeout_s=seconds(gather.timeout),
            on_missing=steps.OnMissing(gather.on_missing),
            late_after_s=gather.late_after.total_seconds(),
        ),
        max_bytes=gather.max_bytes,
    )


def _model(name: str, spec: PipelineSpec, folder: Path) -> models.Model:
    model = spec.models[name]
    server = server_of(model, spec)
    return models.Model(
        name=name,
        urls=server.url,
        remote_name=model.name or name,
        version=model.version or "",
        versions=tuple((model.versions or {}).items()),
        timeout_s=server.timeout.total_seconds(),
        min_in_flight=server.min_in_flight,
        max_in_flight=server.max_in_flight,
        profile=models.Profile(server.profile),
        token=secret(server.token) or "",
        token_file=file_at(server.token_file, folder) if server.token_file else "",
        oauth=None if server.oauth is None else _oauth(server.oauth),
        headers={key: value.get_secret_value() for key, value in server.headers.items()},
        authority=server.authority or "",
        tls=_tls(server.tls, folder),
        parameters=server.parameters,
    )


def _oauth(oauth: OAuthSpec) -> models.OAuth:
    return models.OAuth(
        token_url=oauth.token_url,
        client_id=oauth.client_id,
        client_secret=oauth.client_secret.get_secret_value(),
        scope=oauth.scope or "",
        audience=oauth.audience or "",
    )


def _tls(tls: TlsSpec, folder: Path) -> dict[str, str]:
    files = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    paths = {role: file_at(file, folder) for role, file in files.items() if file is not None}
    return paths if tls.server_name is None else {**paths, "server_name": tls.server_name}


def _input(tensor: str, part: InputSpec) -> models.Input:
    return models.Input(
        tensor=tensor,
        path=part.path,
        datatype=part.datatype or "",
        shape=part.shape,
        default=part.default,
        has_default=part.default is not None,
        parameters=part.parameters,
    )


def _output(path: str, part: OutputSpec) -> models.OutputField:
    return models.OutputField(path, part.tensor, part.as_ == "base64", part.nan == "null")
