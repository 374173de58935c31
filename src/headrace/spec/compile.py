"""Compiles a pipeline into the topology that runs: every default filled in, every name resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headrace.core import topology as core
from headrace.core.retry import RetryPolicy
from headrace.spec.connections import KafkaSpec, OAuthSpec, SecuritySpec, TlsSpec
from headrace.spec.effective import batch_of, retry_of, server_of
from headrace.spec.loader import folder_of, load
from headrace.spec.models import InputSpec, OutputSpec, PipelineSpec, SinkSpec, StepSpec

# Where the pipeline runs and as whom says nothing about what it computes.
_NOT_HASHED = frozenset(
    {
        *("urls", "profile", "authority", "tls", "fingerprint"),
        *("token", "token_file", "oauth", "headers"),
    }
)


def compile_file(target: str | Path, environ: Mapping[str, str]) -> core.Topology:
    """Return the topology of `FILE.yaml` or `module.py:pipeline`.

    Raises:
        SpecError: It cannot be loaded or has errors; it carries every problem.
    """
    return compile_pipeline(load(target, environ), folder_of(target))


def compile_pipeline(spec: PipelineSpec, folder: Path) -> core.Topology:
    """Return the topology of a pipeline that was checked.

    Args:
        spec: The pipeline; its names lead somewhere, as `loader` ensures.
        folder: The pipeline file's folder, where relative paths start.
    """
    stages = tuple(_stage(name, spec, folder) for name in spec.steps)
    topology = core.Topology(
        pipeline=spec.pipeline,
        prefix=spec.topics.prefix,
        stages=stages,
        delivery=core.Delivery(spec.delivery),
        bootstrap_servers=spec.kafka.bootstrap_servers,
        group_protocol=spec.kafka.group_protocol,
        membership=spec.kafka.membership or "dynamic",
        kafka_properties=kafka_properties(spec.kafka, folder),
        partitions=spec.topics.partitions,
        replication=spec.topics.replication,
        trace_window_s=spec.topics.trace_window.total_seconds(),
        serves=_serves(spec, folder),
    )
    mark = fingerprint(topology)
    return replace(topology, stages=tuple(replace(stage, fingerprint=mark) for stage in stages))


def fingerprint(topology: core.Topology) -> str:
    """Return 12 hexadecimal digits that change with what the pipeline computes and how.

    Secrets, addresses and the cluster's properties do not enter, so the same pipeline has the
    same fingerprint in every environment.
    """
    hashed = {
        "pipeline": topology.pipeline,
        "delivery": topology.delivery,
        "stages": [_hashed(asdict(stage)) for stage in topology.stages],
    }
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def kafka_properties(kafka: KafkaSpec, folder: Path) -> dict[str, str | int | bool]:
    """Return the librdkafka properties that the file asks for, security included."""
    security = {} if kafka.security is None else _security(kafka.security, folder)
    return {**kafka.properties, **security}


def _security(security: SecuritySpec, folder: Path) -> dict[str, str | int | bool]:
    tls, oauth = security.tls, security.oauth
    properties: dict[str, str | int | bool | None] = {
        "security.protocol": security.protocol,
        "sasl.mechanism": security.mechanism and security.mechanism.upper(),
        "sasl.username": security.username,
        "sasl.password": _secret(security.password),
        "ssl.ca.location": tls.ca and _file(tls.ca, folder),
        "ssl.certificate.location": tls.cert and _file(tls.cert, folder),
        "ssl.key.location": tls.key and _file(tls.key, folder),
        "ssl.key.password": _secret(tls.key_password),
    }
    if oauth is not None:
        properties |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": oauth.token_url,
            "sasl.oauthbearer.client.id": oauth.client_id,
            "sasl.oauthbearer.client.secret": _secret(oauth.client_secret),
            "sasl.oauthbearer.scope": oauth.scope,
            "https.ca.location": oauth.ca and _file(oauth.ca, folder),
        }
    return {key: value for key, value in properties.items() if value is not None}


def _stage(name: str, spec: PipelineSpec, folder: Path) -> core.Stage:
    step = spec.steps[name]
    sources = (spec.sources[source] for source in step.from_)
    sinks = (_sink(topic, sink) for topic, sink in spec.sinks.items() if name in sink.from_)
    topics = [spec.sources[source].topic for source in step.from_]
    made = replace(
        _step(name, step, spec, folder),
        inlets=tuple(
            core.Inlet(name, topic) for name, topic in zip(step.from_, topics, strict=True)
        ),
        sinks=tuple(sinks),
    )
    return core.Stage(
        pipeline=spec.pipeline,
        prefix=spec.topics.prefix,
        name=name,
        steps=(made,),
        sources=tuple(core.Source(source.topic, source.start) for source in sources),
        root=topics[0],
    )


def _step(name: str, step: StepSpec, spec: PipelineSpec, folder: Path) -> core.ModelStep:
    defaults, batch, retry = spec.defaults, batch_of(step, spec), retry_of(step, spec)
    return core.ModelStep(
        name=name,
        model=_model(step.model, spec, folder),
        inputs=tuple(_input(tensor, part) for tensor, part in step.inputs.items()),
        outputs=tuple(_output(path, part) for path, part in step.outputs.items()),
        ordering=core.Ordering(step.ordering or defaults.ordering),
        batch=core.BatchPolicy(batch.max_size, batch.max_wait.total_seconds()),
        retry=RetryPolicy(
            max_attempts=retry.max_attempts,
            first_delay_s=retry.first_delay.total_seconds(),
            max_delay_s=retry.max_delay.total_seconds(),
        ),
        strict=defaults.strict if step.strict is None else step.strict,
        tombstones=core.Tombstones(step.tombstones or defaults.tombstones),
    )


def _model(name: str, spec: PipelineSpec, folder: Path) -> core.Model:
    model = spec.models[name]
    server = server_of(model, spec)
    return core.Model(
        name=name,
        urls=server.url,
        remote_name=model.name or name,
        version=model.version or "",
        timeout_s=server.timeout.total_seconds(),
        min_in_flight=server.min_in_flight,
        max_in_flight=server.max_in_flight,
        profile=core.Profile(server.profile),
        token=_secret(server.token) or "",
        token_file=_file(server.token_file, folder) if server.token_file else "",
        oauth=None if server.oauth is None else _oauth(server.oauth),
        headers={key: value.get_secret_value() for key, value in server.headers.items()},
        authority=server.authority or "",
        tls=_tls(server.tls, folder),
        parameters=server.parameters,
    )


def _oauth(oauth: OAuthSpec) -> core.OAuth:
    return core.OAuth(
        token_url=oauth.token_url,
        client_id=oauth.client_id,
        client_secret=oauth.client_secret.get_secret_value(),
        scope=oauth.scope or "",
        audience=oauth.audience or "",
    )


def _tls(tls: TlsSpec, folder: Path) -> dict[str, str]:
    files = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    paths = {role: _file(file, folder) for role, file in files.items() if file is not None}
    return paths if tls.server_name is None else {**paths, "server_name": tls.server_name}


def _input(tensor: str, part: InputSpec) -> core.Input:
    return core.Input(
        tensor=tensor,
        path=part.path,
        datatype=part.datatype or "",
        shape=part.shape,
        default=part.default,
        has_default=part.default is not None,
        parameters=part.parameters,
    )


def _output(path: str, part: OutputSpec) -> core.OutputField:
    return core.OutputField(path, part.tensor, part.as_ == "base64", part.nan == "null")


def _sink(topic: str, sink: SinkSpec) -> core.Sink:
    return core.Sink(topic=topic, key=sink.key or "", fields=sink.fields_)


def _serves(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """Return what `headrace up` starts, for the servers that the steps use."""
    serves = {}
    for step in spec.steps.values():
        model = spec.models[step.model]
        serve = server_of(model, spec).serve
        if serve is not None:
            # A single word is a folder or an executable of the project; a command has arguments.
            is_command = len(serve.split()) > 1
            serves[model.server or step.model] = serve if is_command else _file(serve, folder)
    return serves


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _file(path: str, folder: Path) -> str:
    return str((folder / path).resolve())


def _hashed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hashed(part) for key, part in value.items() if key not in _NOT_HASHED}
    return [_hashed(part) for part in value] if isinstance(value, list | tuple) else value
