"""A broker with one listener per way to log in, its certificates, and an endpoint for tokens."""

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from headrace.local.kafka import EmbeddedKafka
from headrace.local.ports import free_port

_OPEN = NoEncryption()
USER, PASSWORD = "records", "s3cret-kafka-password"
CLIENT, CLIENT_SECRET = "records-client", "s3cret-of-the-client"
PASSPHRASE = "s3cret-passphrase"
HOST = "127.0.0.1"

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
_TOKENS = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
_PROTOCOLS = {
    "open": "PLAINTEXT",
    "tls": "SSL",
    "mutual": "SSL",
    "expired": "SSL",
    "scram": "SASL_SSL",
    "oauth": "SASL_SSL",
    "unencrypted": "SASL_PLAINTEXT",
}


class Certificates:
    """PEM files: `ca`, `other` (an authority nobody uses), `server`, `expired`, and clients'."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ours, other = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(self["ca"])
        other.cert_pem.write_to_path(self["other"])
        now = datetime.now(UTC)
        past = {"not_before": now - timedelta(days=9), "not_after": now - timedelta(days=1)}
        self._write("server", ours.issue_cert(HOST))
        self._write("expired", ours.issue_cert(HOST, **past))
        client = ours.issue_cert("client")
        self._write("client", client)
        self._write("locked", client, BestAvailableEncryption(PASSPHRASE.encode()))
        self._write("old-client", ours.issue_cert("client", **past))
        self._write("stranger", other.issue_cert("client"))

    def __getitem__(self, name: str) -> str:
        return str(self._folder / f"{name}.pem")

    def bytes_of(self, name: str) -> bytes:
        return Path(self[name]).read_bytes()

    def _write(
        self, name: str, issued: trustme.LeafCert, lock: KeySerializationEncryption = _OPEN
    ) -> None:
        # Kafka reads no other format of a key.
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        Path(self[name]).write_bytes(pem + chain)


class TokenEndpoint:
    """Gives unsigned tokens, which Kafka takes in tests, to whoever knows the client's secret.

    Attributes:
        lifetime_s: How long new tokens are good for.
        is_out_of_order: Whether it refuses everybody.
        refused: Set when somebody was refused.
    """

    def __init__(self) -> None:
        self.lifetime_s = 300.0
        self.is_out_of_order = False
        self.refused = threading.Event()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                status, answer = endpoint._answer(self.headers.get("authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}/token"

    @contextmanager
    def serving(self) -> Iterator["TokenEndpoint"]:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, authorization: str) -> tuple[int, dict[str, Any]]:
        known = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        if self.is_out_of_order or authorization != f"Basic {known}":
            self.refused.set()
            return 401, {"error": "invalid_client"}
        now = time.time()
        claims = {"sub": CLIENT, "iat": now, "exp": now + self.lifetime_s}
        token = f"{_encoded({'alg': 'none'})}.{_encoded(claims)}."
        return 200, {"access_token": token, "token_type": "bearer", "expires_in": self.lifetime_s}


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker: where each listener is, and what a client needs for it."""

    ports: Mapping[str, int]
    pem: Certificates
    tokens: TokenEndpoint

    def address(self, listener: str) -> str:
        return f"{HOST}:{self.ports[listener]}"

    def security(self, way: str) -> dict[str, Any]:
        """Return what stands under `kafka.security` for a way to log in that works."""
        trusted = {"ca": self.pem["ca"]}
        locked = {"cert": self.pem["locked"], "key": self.pem["locked"], "key_password": PASSPHRASE}
        login = {"username": USER, "password": PASSWORD}
        oauth = {"token_url": self.tokens.url, "client_id": CLIENT, "client_secret": CLIENT_SECRET}
        return {
            "tls": {"protocol": "ssl", "tls": trusted},
            "mutual": {"protocol": "ssl", "tls": trusted | locked},
            "scram": {
                "protocol": "sasl_ssl",
                "mechanism": "scram-sha-512",
                "tls": trusted,
                **login,
            },
            "plain": {"protocol": "sasl_ssl", "mechanism": "plain", "tls": trusted, **login},
            "oauth": {
                "protocol": "sasl_ssl",
                "mechanism": "oauthbearer",
                "tls": trusted,
                "oauth": oauth,
            },
            "unencrypted": {"protocol": "sasl_plaintext", "mechanism": "plain", **login},
        }[way]

    def kafka(self, way: str, listener: str = "", **changes: Any) -> dict[str, Any]:
        """Return what stands under `kafka`; `changes` replace parts of its security."""
        at = listener or {"plain": "scram"}.get(way, way)
        security = {**self.security(way), **changes} if way != "open" else None
        return {"bootstrap_servers": self.address(at), "security": security}


@contextmanager
def secured_kafka(folder: Path) -> Iterator[Secured]:
    """Run the broker, with a user who may log in by password."""
    pem = Certificates(folder)
    ports = {name: free_port() for name in [*_PROTOCOLS, "controller"]}
    properties = _listeners(ports, pem)
    with (
        TokenEndpoint().serving() as tokens,
        EmbeddedKafka(port=ports["open"], properties=properties) as broker,
    ):
        _add_user(broker.bootstrap_servers)
        yield Secured(ports, pem, tokens)


def _listeners(ports: Mapping[str, int], pem: Certificates) -> dict[str, str]:
    protocols = {**_PROTOCOLS, "controller": "PLAINTEXT"}
    addresses = {name: f"{name.upper()}://{HOST}:{port}" for name, port in ports.items()}
    found = {
        "listeners": ",".join(addresses.values()),
        "advertised.listeners": ",".join(
            address for name, address in addresses.items() if name != "controller"
        ),
        "listener.security.protocol.map": ",".join(
            f"{name.upper()}:{protocol}" for name, protocol in protocols.items()
        ),
        "inter.broker.listener.name": "OPEN",
        "controller.quorum.voters": f"1@{HOST}:{ports['controller']}",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_SCRAM};",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            f'{_TOKENS} unsecuredLoginStringClaim_sub="broker";'
        ),
        "listener.name.unencrypted.sasl.enabled.mechanisms": "PLAIN",
    }
    for name in ("scram", "unencrypted"):
        login = f'{_PLAIN} user_{USER}="{PASSWORD}";'
        found[f"listener.name.{name}.plain.sasl.jaas.config"] = login
    for name, protocol in _PROTOCOLS.items():
        if protocol.endswith("SSL"):
            own = "expired" if name == "expired" else "server"
            for store, file in (("keystore", own), ("truststore", "ca")):
                found[f"listener.name.{name}.ssl.{store}.type"] = "PEM"
                found[f"listener.name.{name}.ssl.{store}.location"] = pem[file]
    return found


def _add_user(bootstrap: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wanted = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.alter_user_scram_credentials([wanted])[USER].result(20)


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
