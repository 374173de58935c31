"""Whole pipelines on a Kafka that is not open, and every way of not getting in."""

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from headrace.cli import settings
from headrace.cli.main import run
from headrace.errors import SecurityError
from headrace.kafka import topics
from headrace.local.ports import free_port
from headrace.testing.oip_server import Answer, OipServer, Refuse, Request, upper
from tests.integration.pipelines import Scene, in_loop, lines_of, numbered, text
from tests.integration.secured import (
    CLIENT_SECRET,
    PASSPHRASE,
    PASSWORD,
    Secured,
    secured_kafka,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

TOKEN, HEADER = "s3cret-model-token", "s3cret-header-value"
WRONG_PASSWORD = "s3cret-but-wrong"
SECRETS = (PASSWORD, TOKEN, HEADER, PASSPHRASE, CLIENT_SECRET, WRONG_PASSWORD)

MakeScene = Callable[..., Scene]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_kafka(tmp_path_factory.mktemp("pem")) as running:
        yield running


@pytest.fixture
def scene(kafka: Secured, unique: Callable[[str], str], tmp_path: Path) -> MakeScene:
    """Return a function that makes a pipeline; it is fed and read back at the open listener."""
    return lambda **settings: Scene(kafka.address("open"), unique("p"), tmp_path, **settings)


def tls_model(kafka: Secured, model: Callable[[Request], Answer | Refuse]) -> OipServer:
    pem = kafka.pem.bytes_of("server")
    return OipServer(model, credentials=grpc.ssl_server_credentials([(pem, pem)]))


def guarded(request: Request) -> Answer | Refuse:
    """Answer only those who know the token and the header."""
    said = (request.metadata.get("authorization"), request.metadata.get("x-team"))
    if said != (f"Bearer {TOKEN}", HEADER):
        return Refuse(grpc.StatusCode.UNAUTHENTICATED, f"not you: {said}")
    return upper(request)


# Getting in


@pytest.mark.parametrize("way", ["tls", "mutual", "scram", "plain", "oauth"])
@in_loop
async def test_a_worker_runs_a_pipeline_over(scene: MakeScene, kafka: Secured, way: str):
    async with OipServer() as server:
        stage = scene(model={"url": server.url}, kafka=kafka.kafka(way))

        found = await stage.run_through(*numbered(["text"] * 20))

    assert len(found.results) == 20
    assert found.dead == []


@in_loop
async def test_a_worker_asks_a_model_over_tls_with_a_token(scene: MakeScene, kafka: Secured):
    async with tls_model(kafka, guarded) as server:
        model = {"url": server.url, "token": TOKEN, "headers": {"X-Team": HEADER}}
        stage = scene(model={**model, "tls": {"ca": kafka.pem["ca"]}}, kafka=kafka.kafka("scram"))

        found = await stage.run_through(*numbered(["text"] * 5))

    assert len(found.results) == 5


@in_loop
async def test_a_token_endpoint_that_goes_away_does_not_end_a_worker(
    scene: MakeScene,
    kafka: Secured,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("DEBUG")
    monkeypatch.setattr(kafka.tokens, "lifetime_s", 6.0)
    loudly = {"properties": {"debug": "security,broker,conf"}}
    async with OipServer() as server:
        stage = scene(model={"url": server.url}, kafka=kafka.kafka("oauth") | loudly)
        await asyncio.to_thread(stage.create_topics)
        await asyncio.to_thread(stage.feed, text("before"))
        async with stage.worker() as running:
            await stage.finished(running)
            kafka.tokens.refused.clear()
            monkeypatch.setattr(kafka.tokens, "is_out_of_order", True)
            assert await asyncio.to_thread(kafka.tokens.refused.wait, 20)
            monkeypatch.undo()
            await asyncio.to_thread(stage.feed, text("after"))
            # Half a minute where the last token expires before that: every client asks again in ten
            # seconds, and the producer is replaced.
            await stage.finished(running, within_s=40)
        found = await stage.outcome()

    assert found.texts() == ["before", "after"]
    assert CLIENT_SECRET not in caplog.text


# Not getting in


@pytest.fixture
def told(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[dict[str, Any]], tuple[int, str]]:
    """Return a function that asks for the topics of a pipeline: exit code and words."""
    monkeypatch.setattr(settings.await_broker, "__defaults__", (1.5,))

    def plan(connection: dict[str, Any]) -> tuple[int, str]:
        stage = scene(model={"url": "grpc://127.0.0.1:1"}, kafka=connection)
        code = run(["topics", "plan", str(stage.file)])
        return code, capsys.readouterr().err

    return plan


def tls(kafka: Secured, **files: str) -> dict[str, Any]:
    paths = {"ca": kafka.pem["ca"], **{role: kafka.pem[name] for role, name in files.items()}}
    return {"protocol": "ssl", "tls": paths}


KEPT_OUT = {
    "a wrong password": (
        lambda k: k.kafka("scram", password=WRONG_PASSWORD),
        "login in kafka.security .*invalid credentials",
    ),
    "a wrong plain password": (
        lambda k: k.kafka("plain", password=WRONG_PASSWORD),
        "login in kafka.security .*Invalid username or password",
    ),
    "a mechanism the broker does not have": (
        lambda k: k.kafka("scram", mechanism="scram-sha-256"),
        "the mechanism .*supported mechanisms: .*SCRAM-SHA-512",
    ),
    "a login at a port without": (
        lambda k: k.kafka("unencrypted", "open"),
        "the mechanism and the login in kafka.security",
    ),
    "another authority": (
        lambda k: k.kafka("tls", tls={"ca": k.pem["other"]}),
        "unable to get local issuer certificate.*kafka.security.tls.ca",
    ),
    "the system's authorities": (
        lambda k: k.kafka("tls", tls={}),
        "certificate at 127.0.0.1:\\d+: .*kafka.security.tls.ca",
    ),
    "an expired certificate": (
        lambda k: k.kafka("tls", "expired"),
        "certificate at 127.0.0.1:\\d+: certificate has expired",
    ),
    "a certificate for another name": (
        lambda k: k.kafka("tls") | {"bootstrap_servers": f"localhost:{k.ports['tls']}"},
        "certificate at localhost:\\d+: Hostname mismatch",
    ),
    "no client certificate": (
        lambda k: k.kafka("tls", "mutual"),
        "kafka.security.tls.cert and key",
    ),
    "an expired client certificate": (
        lambda k: k.kafka("mutual", **tls(k, cert="old-client", key="old-client")),
        "kafka.security.tls.cert and key",
    ),
    "a stranger's certificate": (
        lambda k: k.kafka("mutual", **tls(k, cert="stranger", key="stranger")),
        "kafka.security.tls.cert and key",
    ),
    "a key of another certificate": (
        lambda k: k.kafka("mutual", **tls(k, cert="client", key="stranger")),
        "ssl.key.location failed.*kafka.security",
    ),
    "a key that stays locked": (
        lambda k: k.kafka("mutual", **tls(k, cert="locked", key="locked")),
        "ssl.key.location failed.*kafka.security",
    ),
    "a file that is not there": (
        lambda k: k.kafka("tls", tls={"ca": "nowhere.pem"}),
        "kafka.security.tls.ca: .*nowhere.pem: No such file",
    ),
    "a wrong client secret": (
        lambda k: k.kafka("oauth", oauth=k.security("oauth")["oauth"] | {"client_secret": "no"}),
        "kafka.security.oauth .*invalid_client",
    ),
    "no token endpoint": (
        lambda k: k.kafka(
            "oauth",
            oauth=k.security("oauth")["oauth"] | {"token_url": f"http://127.0.0.1:{free_port()}"},
        ),
        "kafka.security.oauth .*connect",
    ),
    "plaintext at a TLS port": (
        lambda k: k.kafka("open", "tls"),
        "speaks TLS, and kafka.security.protocol is plaintext: use ssl or sasl_ssl",
    ),
}


@pytest.mark.parametrize("what", KEPT_OUT)
def test_what_does_not_get_in_is_exit_2_and_says_what_to_change(told, kafka: Secured, what: str):
    connection, words = KEPT_OUT[what]

    code, said = told(connection(kafka))

    assert code == 2, said
    assert re.search(words, said), said
    assert WRONG_PASSWORD not in said


@pytest.mark.parametrize(("way", "listener"), [("tls", "open"), ("open", "unencrypted")])
def test_a_port_that_hangs_up_is_exit_3_and_names_the_protocol(told, kafka, way, listener):
    code, said = told(kafka.kafka(way, listener))

    assert code == 3
    assert f"{kafka.address(listener)} is open and hangs up on this client" in said
    assert "kafka.security.protocol" in said


def test_a_worker_without_the_command_line_says_so_too(
    scene: MakeScene, kafka: Secured, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(topics, "_ANSWER_WITHIN_S", 1.5)
    stage = scene(
        model={"url": "grpc://127.0.0.1:1"}, kafka=kafka.kafka("scram", password=WRONG_PASSWORD)
    )

    async def work() -> None:
        async with stage.worker() as running:
            await running.task

    with pytest.raises(SecurityError, match=r"login in kafka\.security"):
        asyncio.run(work())


# Keeping secrets


@in_loop
async def test_verbs_and_workers_keep_their_secrets(
    scene: MakeScene, kafka: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("MODEL_TOKEN", TOKEN)
    monkeypatch.setenv("HEADRACE_LOG_LEVEL", "debug")
    refused = asyncio.Event()

    def at_first_nobody(request: Request) -> Answer | Refuse:
        if not refused.is_set():
            refused.set()
            return Refuse(grpc.StatusCode.UNAUTHENTICATED, f"who is {request.metadata}?")
        if request.columns["text"] == ["bad"]:
            return Refuse(grpc.StatusCode.INVALID_ARGUMENT, f"no: {request.metadata}")
        return guarded(request)

    async with tls_model(kafka, at_first_nobody) as server:
        model = {
            "url": server.url,
            "token": "${MODEL_TOKEN}",
            "headers": {"X-Team": HEADER},
            "tls": {"ca": kafka.pem["ca"]},
        }
        mutual = kafka.security("mutual")["tls"]
        connection = kafka.kafka("scram", password="${KAFKA_PASSWORD}", tls=mutual)
        connection["properties"] = {"debug": "security,broker,conf"}
        stage = scene(model=model, kafka=connection, partitions=8)
        lines = tmp_path / "lines.jsonl"
        lines.write_text('{"text": "one"}\n{"text": "bad"}\n')
        shown = [await headrace("topics", "apply", stage.file)]
        worker = stage.process("--slot", "0")
        try:
            shown.append(await headrace("send", stage.topic("in"), lines, "--pipeline", stage.file))
            await stage.finished()
            verbs = (
                ("status", stage.file, "--json"),
                ("dlq", "ls", stage.file, "--json"),
                ("tail", stage.topic("out"), "--pipeline", stage.file, *WHOLE),
            )
            shown += await asyncio.gather(*(headrace(*verb) for verb in verbs))
            shown += [*served(stage), *process_title(worker.pid)]
        finally:
            worker.terminate()
            code = await asyncio.to_thread(worker.wait, 20)
        monkeypatch.setenv("KAFKA_PASSWORD", WRONG_PASSWORD)
        kept_out = await headrace("run", stage.file, "-v", expected=2)
    shown += [kept_out, *lines_of(stage.log)]

    assert code == 0
    assert json.loads(shown[2])["steps"][0]["remaining"] == 0
    assert [each["error"] for each in json.loads(shown[3])["dead_letters"]] == ["InvalidInputError"]
    assert json.loads(shown[4])["value"]["translation"] == "ONE"
    # The model server and the Kafka client had something to tell.
    log = "".join(lines_of(stage.log))
    assert "who is" in log
    assert "SASL mechanism SCRAM-SHA-512" in log
    found = [(secret, each) for each in shown for secret in SECRETS if secret in each]
    assert found == []


WHOLE = ("--from-beginning", "--until-idle", "--json")


async def headrace(*arguments: object, expected: int = 0) -> str:
    """Run a verb in a process; return everything that it printed."""

    def go() -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "headrace", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert ended.returncode == expected, ended.stderr
        return ended.stdout + (ended.stderr if expected else "")

    return await asyncio.to_thread(go)


def served(stage: Scene) -> list[str]:
    """Return what the worker's endpoint says, found by its log."""
    (address,) = {
        match[1] for line in lines_of(stage.log) if (match := re.search(r"(http://[\d.:]+)", line))
    }
    pages = []
    for path in ("status", "metrics", "ready", "live"):
        with urllib.request.urlopen(f"{address}/{path}", timeout=5) as answer:
            pages.append(answer.read().decode())
    return pages


def process_title(pid: int) -> list[str]:
    """Return what other users of the machine see of a process."""
    return [Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "comm", "status")]
