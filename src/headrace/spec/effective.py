"""What a step and a model really use once defaults and servers are filled in."""

from typing import Any

from headrace.spec.connections import SecuritySpec, ServerSpec, Spec, TlsSpec
from headrace.spec.lint import Report
from headrace.spec.models import ModelSpec, PipelineSpec
from headrace.spec.references import reference
from headrace.spec.steps import BatchSpec, RetrySpec, StepSpec

_OF_THE_MODEL = frozenset({"server", "name", "version", "versions"})
_ADDED = ("headers", "parameters")
_PLAIN = frozenset({"grpc", "http"})
_LOGINS = ("token", "token_file", "oauth")


def server_of(model: ModelSpec, spec: PipelineSpec) -> ServerSpec:
    """Return the model's server with what the model itself says on top."""
    said = _said(model, _OF_THE_MODEL)
    if model.server is None:
        # Its parts were checked; whether they fit together is reported, not raised.
        return ServerSpec.model_construct(**said)
    server = spec.servers[model.server]
    if any(login in said for login in _LOGINS):
        said = {**dict.fromkeys(_LOGINS), **said}
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
    _check_protocol(name, server, report)
    _check_secrets(name, server, report)


def _check_protocol(name: str, server: ServerSpec, report: Report) -> None:
    path = ("models", name)
    schemes = sorted({_scheme(url) for url in server.url})
    kinds = {scheme.removesuffix("s") for scheme in schemes}
    if len(kinds) > 1:
        text = f"model '{name}' has replicas of different protocols: {', '.join(schemes)}"
        report.add("E049", path, text, "use one protocol for all of them")
    if server.profile != "auto" and "grpc" in kinds:
        text = f"model '{name}': profile '{server.profile}' is for http and https, not for grpc"
        report.add("E048", path, text, "leave the profile out, or give an http:// URL")
    form = server.parameters.get("instances", "rows")
    if server.profile == "v1" and form not in {"rows", "values"}:
        text = f"model '{name}': parameter 'instances' is {form!r}; with profile v1 it is"
        report.add("E013", path, f"{text} rows or values")
    plain = [scheme for scheme in schemes if scheme in _PLAIN]
    if plain and server.tls != TlsSpec():
        text = f"model '{name}': tls is not used with {plain[0]}://"
        report.add("W052", path, text, f"use {plain[0]}s://")


def _check_secrets(name: str, server: ServerSpec, report: Report) -> None:
    plain = [scheme for scheme in map(_scheme, server.url) if scheme in _PLAIN]
    has_token = server.token is not None and server.token.get_secret_value()
    if plain and (has_token or server.token_file or server.oauth):
        text = f"model '{name}': the token is sent over {plain[0]}://, unencrypted"
        report.add("W051", ("models", name), text, f"use {plain[0]}s://")
    if server.oauth is not None and _scheme(server.oauth.token_url) in _PLAIN:
        text = f"model '{name}': the client secret is sent over http://, unencrypted"
        report.add("W051", ("models", name), text, "use https://")


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _check_order(spec: PipelineSpec, report: Report) -> None:
    for topic, sink in spec.sinks.items():
        if sink.key is None:
            continue
        steps = (reference(name, spec.steps, spec.sources).step for name in sink.from_)
        for name in dict.fromkeys(steps):
            if (spec.steps[name].ordering or spec.defaults.ordering) == "key":
                text = f"sink '{topic}' has a new key, but '{name}' orders by the source's key"
                hint = "records of one new key may change places; ordering: partition keeps them"
                report.add("N060", ("sinks", topic, "key"), text, hint)


def _said(spec: Spec, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields that are not left to somebody else."""
    values = {name: getattr(spec, name) for name in type(spec).model_fields if name not in without}
    return {name: value for name, value in values.items() if value is not None}
