"""TLS to model servers: the files a model names, checked alike for every protocol."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import ConfigError

_ROLES = frozenset({"ca", "cert", "key", "server_name"})


def read_files(tls: Mapping[str, str]) -> dict[str, bytes]:
    """Return the contents of the files by role: ca, cert, key.

    Raises:
        ConfigError: A role is unknown, a certificate has no key, or a file cannot be read.
    """
    if unknown := sorted(set(tls) - _ROLES):
        raise ConfigError(f"tls has no {', '.join(unknown)}; it has {', '.join(sorted(_ROLES))}")
    if ("cert" in tls) != ("key" in tls):
        raise ConfigError("tls: a client certificate needs both cert and key")
    return {role: _read(role, path) for role, path in tls.items() if role != "server_name"}


def ssl_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts the `ca`, or the system where there is none.

    Raises:
        ConfigError: A file cannot be read, or does not hold what it should.
    """
    read_files(tls)
    context = ssl.create_default_context()
    try:
        if "ca" in tls:
            context = ssl.create_default_context(cafile=tls["ca"])
    except ssl.SSLError as error:
        raise ConfigError(f"tls ca: {tls['ca']} holds no PEM certificate") from error
    try:
        if "cert" in tls:
            context.load_cert_chain(tls["cert"], tls["key"], password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"tls cert, key: {tls['cert']} and {tls['key']} are not a PEM certificate and its "
            "unencrypted private key"
        ) from error
    return context


def refused(reason: str) -> str:
    """Return what to say of a certificate that is not accepted."""
    return (
        f"the server's certificate is refused: {reason.rstrip('.')}; `tls.ca` says whom to trust,"
        " `tls.server_name` which name it must carry"
    )


def system_roots() -> bytes | None:
    """Return the authorities that this system trusts; None where it does not say."""
    path = ssl.get_default_verify_paths().cafile
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None


def _no_password() -> str:
    # Without this OpenSSL asks on the terminal.
    return ""


def _read(role: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"tls {role}: {path}: {exc.strerror}") from exc
