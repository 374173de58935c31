"""Which protocol a model is spoken to in: by the scheme of its URLs and its profile."""

from collections.abc import Sequence

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.errors import ConfigError
from headrace.inference.client import ModelClient
from headrace.inference.credentials import Credentials, FileToken, FixedToken
from headrace.inference.exchange import Dialect, Transport
from headrace.inference.messages import worth_hiding


def client_of(model: Model, inputs: Sequence[Input], outputs: Sequence[OutputField]) -> ModelClient:
    """Return a client of a model; it connects when first used.

    Only what its protocol needs is imported.

    Args:
        model: The model.
        inputs: Tensors to send, in the order of the columns given to `infer`.
        outputs: Fields to read, in the order of the prediction's columns.

    Raises:
        ConfigError: A URL, a file or a header cannot work, or they do not fit together.
    """
    kinds = {url.partition("://")[0].lower().removesuffix("s") for url in model.urls}
    if len(kinds) != 1:
        raise ConfigError(f"model {model.name!r} has replicas of different protocols")
    credentials = _credentials(model)
    hidden = worth_hiding(model.headers.values())

    def secrets() -> tuple[str, ...]:
        return (*hidden, *credentials.secrets)

    transports: list[Transport]
    dialect: Dialect
    if kinds == {"grpc"}:
        from headrace.inference.grpc_dialect import GrpcDialect
        from headrace.inference.grpc_transport import GrpcTransport

        if model.profile is not Profile.AUTO:
            raise ConfigError(f"model {model.name!r}: profile {model.profile} is not for gRPC")
        transports = [GrpcTransport(url, model, secrets) for url in model.urls]
        dialect = GrpcDialect(model, inputs, outputs)
    else:
        from headrace.inference.http_transport import HttpTransport
        from headrace.inference.rest_dialect import RestDialect
        from headrace.inference.v1_dialect import V1Dialect

        transports = [HttpTransport(url, model, secrets) for url in model.urls]
        speak = V1Dialect if model.profile is Profile.V1 else RestDialect
        dialect = speak(model, inputs, outputs)
    return ModelClient(model, inputs, dialect, transports, credentials)


def _credentials(model: Model) -> Credentials:
    if model.oauth is not None:
        from headrace.inference.oauth import OAuthToken

        return OAuthToken(model.oauth, model.timeout_s)
    return FileToken(model.token_file) if model.token_file else FixedToken(model.token)
