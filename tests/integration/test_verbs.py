"""`try` and `lint --live` on a real model server and a real broker."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from headrace.cli.main import run
from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer

pytestmark = [pytest.mark.timeout(120)]

SERVER = Path(__file__).with_name("upper_server.py")
NOWHERE = "127.0.0.1:1"
PIPELINE = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}"}}
topics: {{partitions: 2}}
models:
  upper: {{url: "{url}"{more}}}
steps:
  shout:
    from: {name}-in
    model: upper
    inputs: {inputs}
    outputs: {{loud: translation}}
    batch: {{max_size: 50}}
sinks: {{{name}-out: shout}}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(url: str, bootstrap: str = NOWHERE, **parts: str) -> Path:
        given = {"name": "live", "inputs": "{text: text}", "more": ""} | parts
        path = tmp_path / "pipeline.yaml"
        path.write_text(PIPELINE.format(url=url, bootstrap=bootstrap, **given))
        return path

    return write


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(each) for each in arguments])
        told = capfd.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedKafka]:
    """A broker that asks who may do what, and keeps too little metadata."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "auto.create.topics.enable": "true",
        "offset.metadata.max.bytes": "2048",
    }
    with EmbeddedKafka(port=0, properties=properties) as broker:
        yield broker


def lines_of(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.mark.mlserver
def test_a_thousand_documents_come_back_in_order_and_a_bad_one_is_told(
    cli, write, upper: ModelServer, tmp_path: Path
):
    texts = [f"tweet {number}" for number in range(999)]
    lines = lines_of(tmp_path / "in.jsonl", [*texts[:500], "!400 bad", *texts[500:]])

    code, out, err = cli("try", write(upper.url("grpc")), lines)

    assert code == 0, err
    assert [json.loads(line)["loud"] for line in out.splitlines()] == [x.upper() for x in texts]
    assert "line 501: dead letter at shout: InvalidInputError" in err
    assert "1,000 read, 999 written, 1 dead letters" in err


def test_a_model_server_that_is_not_there_is_exit_4_with_its_url(cli, write, tmp_path: Path):
    lines = lines_of(tmp_path / "in.jsonl", ["a"])
    begun = time.monotonic()

    code, out, err = cli("try", write(f"grpc://{NOWHERE}"), lines, "--wait", "1")

    assert (code, out) == (4, "")
    assert f"model 'upper' at grpc://{NOWHERE} did not answer for 1 s" in err
    assert "Connection refused" in err
    assert time.monotonic() - begun < 20


def test_a_server_that_the_file_says_how_to_start_is_started_and_stopped(
    cli, write, tmp_path: Path
):
    lines = lines_of(tmp_path / "in.jsonl", ["a"])
    served = write(
        f"grpc://{NOWHERE}",
        more=f', serve: "{sys.executable} {SERVER}"',
        inputs="{text: {path: text, datatype: BYTES, shape: []}}",
    )

    code, out, err = cli("try", served, lines)

    assert code == 0, err
    assert json.loads(out) == {"text": "a", "loud": "A"}
    assert "model server upper is ready" in err


@pytest.mark.mlserver
@pytest.mark.kafka
def test_a_pipeline_that_fits_its_cluster_and_model_has_no_problem(
    cli, write, upper: ModelServer, bootstrap: str, unique
):
    file = write(upper.url("grpc"), bootstrap, name=unique("fits").replace("_", "-")[-40:])
    assert cli("topics", "apply", file)[0] == 0

    code, out, err = cli("lint", file, "--live")

    assert (code, out) == (0, "")
    assert "no errors" in err


@pytest.mark.mlserver
@pytest.mark.kafka
def test_everything_that_does_not_fit_is_told_at_once_and_nothing_is_created(
    cli, write, upper: ModelServer, guarded: EmbeddedKafka
):
    file = write(upper.url("grpc"), guarded.bootstrap_servers, name="none", inputs="{txt: text}")

    code, out, _ = cli("lint", file, "--live")

    codes = [line.split(": ")[1].split()[0] for line in out.splitlines()]
    assert code == 2
    assert codes == ["E086", *["E083"] * 4, "E080", "E080", "E083"]
    assert "model 'upper' has no input 'txt'; did you mean 'text'?" in out
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap_servers})
    assert not [name for name in admin.list_topics(timeout=10).topics if name.startswith("none")]


@pytest.mark.mlserver
@pytest.mark.kafka
def test_what_this_user_may_not_do_and_topics_that_do_not_fit_are_told(
    cli, write, upper: ModelServer, guarded: EmbeddedKafka
):
    file = write(upper.url("grpc"), guarded.bootstrap_servers, name="denied")
    assert cli("topics", "apply", file)[0] == 0
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap_servers})
    small = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    retry = ConfigResource(ResourceType.TOPIC, "denied.shout.retry", incremental_configs=[small])
    admin.incremental_alter_configs([retry])[retry].result(10)
    # Acknowledged before the broker itself knows.
    while admin.describe_configs([retry])[retry].result(10)["max.message.bytes"].value != "1000":
        time.sleep(0.05)
    refused = [
        allowed(ResourceType.TOPIC, "denied-out", AclOperation.DESCRIBE),
        allowed(ResourceType.TOPIC, "denied-out", AclOperation.DESCRIBE_CONFIGS),
        allowed(ResourceType.TOPIC, "denied.dead-letters", AclOperation.DELETE),
        allowed(ResourceType.GROUP, "denied.shout", AclOperation.DESCRIBE),
    ]
    for answer in admin.create_acls(refused).values():
        answer.result(10)

    code, out, err = cli("lint", file, "--live", "--json")

    assert code == 2, err
    problems = json.loads(out)["problems"]
    assert "denied.shout.retry" in next(p["message"] for p in problems if p["code"] == "E085")
    assert {each["message"] for each in problems if each["code"] == "E087"} == {
        "this user may not WRITE topic 'denied-out'",
        "this user may not WRITE or DESCRIBE_CONFIGS topic 'denied.dead-letters'",
        "this user may not READ the consumer group 'denied.shout'",
    }


@pytest.mark.mlserver
@pytest.mark.kafka
def test_a_silent_model_is_exit_4_after_everything_else_is_told(cli, write, guarded: EmbeddedKafka):
    file = write(f"grpc://{NOWHERE}", guarded.bootstrap_servers, name="silent")

    code, out, _ = cli("lint", file, "--live")

    assert code == 4
    assert "E086" in out
    assert f"E081 model 'upper' on {NOWHERE}" in out


def test_a_silent_kafka_is_exit_3_after_everything_else_is_told(
    cli, write, monkeypatch: pytest.MonkeyPatch
):
    from headrace.cli import settings

    monkeypatch.setattr(settings.await_broker, "__defaults__", (0.3,))

    code, out, _ = cli("lint", write(f"grpc://{NOWHERE}"), "--live")

    assert code == 3
    assert "E081" in out
    assert f"E082 no broker answers at {NOWHERE}" in out


def allowed(kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """Return a permission; with one on a thing, everything else on it is refused."""
    literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    return AclBinding(kind, name, literal, "User:ANONYMOUS", "*", operation, allow)
