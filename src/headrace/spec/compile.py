"""Compiles a pipeline into the topology that runs: every default filled in, every name resolved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from headrace.core.assembly import Frame, assemble
from headrace.core.topology import Delivery, Source, Topology
from headrace.spec.connections import KafkaSpec, SecuritySpec
from headrace.spec.effective import server_of
from headrace.spec.loader import folder_of, load
from headrace.spec.models import PipelineSpec, SourceSpec
from headrace.spec.skeleton import file_at, seconds, secret, stages_of, steps_of

# Where the pipeline runs and as whom says nothing about what it computes.
_NOT_HASHED = frozenset(
    {
        *("urls", "profile", "authority", "tls", "fingerprint", "folder"),
        *("token", "token_file", "oauth", "headers"),
    }
)


def compile_file(target: str | Path, environ: Mapping[str, str]) -> Topology:
    """Return the topology of `FILE.yaml` or `module.py:pipeline`.

    Raises:
        SpecError: It cannot be loaded or has errors; it carries every problem.
    """
    return compile_pipeline(load(target, environ), folder_of(target))


def compile_pipeline(spec: PipelineSpec, folder: Path) -> Topology:
    """Return the topology of a pipeline that was checked.

    Args:
        spec: The pipeline; its names lead somewhere, as `loader` ensures.
        folder: The pipeline file's folder, where relative paths start.
    """
    steps = steps_of(spec, folder)
    sources = {source.topic: _source(source) for source in spec.sources.values()}
    frame = Frame(spec.pipeline, spec.topics.prefix, sources)
    stages = assemble(frame, steps.values(), stages_of(spec))
    topology = Topology(
        pipeline=spec.pipeline,
        prefix=spec.topics.prefix,
        stages=stages,
        delivery=Delivery(spec.delivery),
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


def fingerprint(topology: Topology) -> str:
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
        "sasl.password": secret(security.password),
        "ssl.ca.location": tls.ca and file_at(tls.ca, folder),
        "ssl.certificate.location": tls.cert and file_at(tls.cert, folder),
        "ssl.key.location": tls.key and file_at(tls.key, folder),
        "ssl.key.password": secret(tls.key_password),
    }
    if oauth is not None:
        properties |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": oauth.token_url,
            "sasl.oauthbearer.client.id": oauth.client_id,
            "sasl.oauthbearer.client.secret": secret(oauth.client_secret),
            "sasl.oauthbearer.scope": oauth.scope,
            "https.ca.location": oauth.ca and file_at(oauth.ca, folder),
        }
    return {key: value for key, value in properties.items() if value is not None}


def _source(source: SourceSpec) -> Source:
    return Source(source.topic, source.start, deadline_s=seconds(source.deadline))


def _serves(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """Return what `headrace up` starts, for the servers that the steps use."""
    serves = {}
    for name in dict.fromkeys(filter(None, (step.model for step in spec.steps.values()))):
        model = spec.models[name]
        serve = server_of(model, spec).serve
        if serve is not None:
            # A single word is a folder or an executable of the project; a command has arguments.
            is_command = len(serve.split()) > 1
            serves[model.server or name] = serve if is_command else file_at(serve, folder)
    return serves


def _hashed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hashed(part) for key, part in value.items() if key not in _NOT_HASHED}
    return [_hashed(part) for part in value] if isinstance(value, list | tuple) else value
