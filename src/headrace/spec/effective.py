"""What a step and a model really use once defaults and servers are filled in."""

from typing import Any

from headrace.spec.connections import SecuritySpec, ServerSpec, Spec
from headrace.spec.lint import Report
from headrace.spec.models import BatchSpec, ModelSpec, PipelineSpec, RetrySpec, StepSpec

_OF_THE_MODEL = frozenset({"server", "name", "version"})
_ADDED = ("headers", "parameters")


def server_of(model: ModelSpec, spec: PipelineSpec) -> ServerSpec:
    """Return the model's server with what the model itself says on top."""
    said = _said(model, _OF_THE_MODEL)
    if model.server is None:
        # Its parts were checked; whether they fit together is reported, not raised.
        return ServerSpec.model_construct(**said)
    server = spec.servers[model.server]
    for field in _ADDED:
        said[field] = {**getattr(server, field), **getattr(model, field)}
    return server.model_copy(update=said)


def batch_of(step: StepSpec, spec: PipelineSpec) -> BatchSpec:
    """Return how the step's records gather."""
    return spec.defaults.batch.model_copy(update=_said(step.batch))


def retry_of(step: StepSpec, spec: PipelineSpec) -> RetrySpec:
    """Return how the step's calls are repeated."""
    return spec.defaults.retry.model_copy(update=_said(step.retry))


def check_effective(spec: PipelineSpec, report: Report) -> None:
    """Report settings that only clash once they stand together."""
    for name, model in spec.models.items():
        _check_server(name, server_of(model, spec), report)
    for name, step in spec.steps.items():
        retry = retry_of(step, spec)
        if retry.first_delay > retry.max_delay:
            path = ("steps", name, "retry")
            report.add("E013", path, f"step '{name}': first_delay is above max_delay of `defaults`")
    _check_order(spec, report)
    _check_logins(spec.kafka.security, report)


def _check_logins(security: SecuritySpec | None, report: Report) -> None:
    if security is None:
        return
    place = ("kafka", "security")
    if security.protocol == "sasl_plaintext":
        text = "'sasl_plaintext' sends the login unencrypted"
        report.add("W051", (*place, "protocol"), text, "use sasl_ssl")
    if security.oauth is not None and security.oauth.token_url.lower().startswith("http:"):
        text = "the client's secret is sent over http://, unencrypted"
        report.add("W051", (*place, "oauth", "token_url"), text, "use https://")


def _check_server(name: str, server: ServerSpec, report: Report) -> None:
    if server.min_in_flight > server.max_in_flight:
        text = f"model '{name}': min_in_flight {server.min_in_flight} is above max_in_flight"
        report.add("E013", ("models", name), f"{text} {server.max_in_flight}")
    is_plain = any(url.lower().startswith("grpc://") for url in server.url)
    if is_plain and server.token is not None and server.token.get_secret_value():
        text = f"model '{name}': the token is sent over grpc://, unencrypted"
        report.add("W051", ("models", name), text, "use grpcs://")


def _check_order(spec: PipelineSpec, report: Report) -> None:
    for topic, sink in spec.sinks.items():
        step = spec.steps.get(sink.from_[0])
        if step is None or sink.key is None:
            continue
        ordering = step.ordering or spec.defaults.ordering
        if ordering == "key":
            text = f"sink '{topic}' has a new key, but '{sink.from_[0]}' orders by the source's key"
            hint = "records of one new key may change places; ordering: partition keeps them"
            report.add("N060", ("sinks", topic, "key"), text, hint)


def _said(spec: Spec, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields that are not left to somebody else."""
    values = {name: getattr(spec, name) for name in type(spec).model_fields if name not in without}
    return {name: value for name, value in values.items() if value is not None}
