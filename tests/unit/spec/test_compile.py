"""From a checked pipeline to the topology that runs."""

import pytest

from headrace.core.models import BatchPolicy, Input, OutputField
from headrace.core.retry import RetryPolicy
from headrace.core.steps import Ordering, Sink, Tombstones
from headrace.core.topics import ROOM_BYTES, TopicKind, needed_topics
from headrace.core.topology import Delivery, Source
from headrace.spec.compile import compile_file, compile_pipeline

OAUTH = """\
pipeline: tweets
kafka:
  bootstrap_servers: a:9092
  security:
    protocol: sasl_ssl
    mechanism: oauthbearer
    oauth:
      token_url: https://login.example.com/token
      client_id: records
      client_secret: cs
      scope: kafka
      ca: login.pem
models: {m: {url: grpc://localhost:8081}}
steps: {s: {from: in, model: m, inputs: {a: a}, outputs: {b: b}}}
sinks: {out: s}
"""

RECORDS = """\
pipeline: records
kafka:
  bootstrap_servers: a:9092
  security:
    protocol: sasl_ssl
    mechanism: scram-sha-512
    username: u
    password: ${PASSWORD:-pw}
    tls: {ca: tls/ca.pem, cert: tls/c.pem, key: tls/k.pem, key_password: kp}
  properties: {linger.ms: 3, ssl.ca.pem: inline}
  membership: static
  group_protocol: consumer
delivery: at_least_once
topics: {partitions: 3, replication: 2, trace_window: 30m, prefix: prod.}
sources:
  charts: {topic: medical.charts, start: "2026-01-31T00:00:00Z"}
servers:
  gpu:
    url: [grpcs://a:8001, grpcs://b:8001]
    serve: models
    timeout: 2s
    token: ${TOKEN:-secret}
    headers: {x-team: risk, x-env: dev}
    authority: models.example.com
    tls: {ca: ca.pem, server_name: models}
    parameters: {priority: 1}
    max_in_flight: 32
models:
  icd10:
    server: gpu
    name: icd-10
    version: 3
    timeout: 1500ms
    headers: {x-env: prod}
    parameters: {deep: true}
    min_in_flight: 2
defaults:
  ordering: partition
  strict: true
  tombstones: drop
  batch: {max_size: 8, max_wait: 20ms}
  retry: {max_attempts: 3, first_delay: 1s, max_delay: 1m}
steps:
  codes:
    from: charts
    model: icd10
    inputs:
      text: {path: page.text, datatype: BYTES, shape: [1], default: "", parameters: {kind: str}}
      page: page.number
    outputs:
      codes: {tensor: out, as: base64, nan: null}
      kind: label
    batch: {max_size: 256}
    retry: {max_attempts: 8}
sinks:
  risk.charts: {from: codes, key: chart_id, fields: [chart_id, codes]}
  risk.all: codes
"""


@pytest.fixture
def compiled(lint, tmp_path):
    def run(text, **environ):
        return compile_pipeline(lint(text, **environ).unwrap(), tmp_path)

    return run


def test_everything_that_is_said_reaches_the_topology(compiled, tmp_path):
    topology = compiled(RECORDS)

    (stage,) = topology.stages
    assert (topology.pipeline, topology.prefix, topology.delivery) == (
        "records",
        "prod.",
        Delivery.AT_LEAST_ONCE,
    )
    assert (topology.partitions, topology.replication) == (3, 2)
    assert topology.trace_window_s == 1800.0
    assert (topology.group_protocol, topology.membership) == ("consumer", "static")
    assert stage.group == "prod.records.codes"
    assert stage.sources == (Source("medical.charts", 1769817600000),)
    assert stage.sinks == (
        Sink("risk.charts", "chart_id", ("chart_id", "codes")),
        Sink("risk.all"),
    )
    assert topology.serves == {"gpu": str(tmp_path / "models")}


def test_a_step_says_only_what_the_defaults_do_not(compiled):
    step = compiled(RECORDS).stages[0].steps[0]

    assert step.batch == BatchPolicy(256, 0.02)
    assert step.retry == RetryPolicy(max_attempts=8, first_delay_s=1.0, max_delay_s=60.0)
    assert (step.ordering, step.strict, step.tombstones) == (
        Ordering.PARTITION,
        True,
        Tombstones.DROP,
    )


def test_what_a_step_says_wins(compiled):
    own = "    ordering: none\n    strict: false\n    tombstones: dead_letter\nsinks:"

    step = compiled(RECORDS.replace("sinks:", own)).stages[0].steps[0]

    assert (step.ordering, step.strict, step.tombstones) == (
        Ordering.NONE,
        False,
        Tombstones.DEAD_LETTER,
    )


def test_tensors_and_fields_keep_their_long_form(compiled):
    step = compiled(RECORDS).stages[0].steps[0]

    assert step.inputs == (
        Input("text", "page.text", "BYTES", (1,), "", has_default=True, parameters={"kind": "str"}),
        Input("page", "page.number"),
    )
    assert step.outputs == (
        OutputField("codes", "out", as_base64=True, nan_as_null=True),
        OutputField("kind", "label"),
    )


def test_a_model_is_called_as_its_server_says_and_as_it_says_itself(compiled, tmp_path):
    model = compiled(RECORDS).stages[0].steps[0].model

    assert model.urls == ("grpcs://a:8001", "grpcs://b:8001")
    assert (model.name, model.remote_name, model.version) == ("icd10", "icd-10", "3")
    assert (model.timeout_s, model.min_in_flight, model.max_in_flight) == (1.5, 2, 32)
    assert (model.token, model.authority) == ("secret", "models.example.com")
    assert model.headers == {"x-team": "risk", "x-env": "prod"}
    assert model.parameters == {"priority": 1, "deep": True}
    assert model.tls == {"ca": str(tmp_path / "ca.pem"), "server_name": "models"}


def test_kafka_security_becomes_librdkafka_properties(compiled, tmp_path):
    assert compiled(RECORDS).kafka_properties == {
        "linger.ms": 3,
        "ssl.ca.pem": "inline",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "pw",
        "ssl.ca.location": str(tmp_path / "tls/ca.pem"),
        "ssl.certificate.location": str(tmp_path / "tls/c.pem"),
        "ssl.key.location": str(tmp_path / "tls/k.pem"),
        "ssl.key.password": "kp",
    }


def test_tokens_for_kafka_become_librdkafka_properties(compiled, tmp_path):
    found = compiled(OAUTH).kafka_properties

    assert found == {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "https://login.example.com/token",
        "sasl.oauthbearer.client.id": "records",
        "sasl.oauthbearer.client.secret": "cs",
        "sasl.oauthbearer.scope": "kafka",
        "https.ca.location": str(tmp_path / "login.pem"),
    }


def test_secrets_are_not_in_the_text_of_anything(compiled, lint):
    shown = f"{lint(RECORDS).unwrap()!r} {compiled(RECORDS)!r}"
    shown += f"{lint(OAUTH).unwrap()!r} {compiled(OAUTH)!r}"

    for secret in ("'pw'", "'kp'", "'secret'", "'risk'", "'inline'", "'cs'"):
        assert secret not in shown


def test_the_short_form_has_every_default(compiled, tweets):
    topology = compiled(tweets)

    model, step = topology.stages[0].steps[0].model, topology.stages[0].steps[0]
    assert (topology.bootstrap_servers, topology.membership) == ("embedded", "dynamic")
    assert (topology.delivery, topology.partitions) == (Delivery.EXACTLY_ONCE, 8)
    assert (model.remote_name, model.version, model.timeout_s) == ("translator", "", 30.0)
    assert (model.min_in_flight, model.max_in_flight) == (1, 16)
    assert (model.token, model.authority, model.tls) == ("", "", {})
    assert (step.ordering, step.batch, step.retry) == (Ordering.KEY, BatchPolicy(), RetryPolicy())
    assert topology.kafka_properties == {}
    assert topology.serves == {}


def test_a_command_is_served_as_it_is_and_a_folder_from_the_file(compiled, tweets, tmp_path):
    folder = compiled(tweets.replace("8081}", "8081, serve: models/a}"))
    command = compiled(tweets.replace("8081}", "8081, serve: python -m server}"))

    assert folder.serves == {"translator": str(tmp_path / "models/a")}
    assert command.serves == {"translator": "python -m server"}


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("secret", "other", True),
        ("grpcs://a:8001", "grpcs://c:8001", True),
        ("a:9092", "b:9092", True),
        ("risk, x-env", "blue, x-env", True),
        ("page.text", "page.body", False),
        ("version: 3", "version: 4", False),
        ("max_size: 256", "max_size: 255", False),
        ("medical.charts", "other.charts", False),
        ("at_least_once", "exactly_once", False),
    ],
)
def test_the_fingerprint_changes_with_the_work_and_not_with_the_place(compiled, old, new, is_same):
    before = compiled(RECORDS).stages[0].fingerprint
    after = compiled(RECORDS.replace(old, new)).stages[0].fingerprint

    assert (before == after) is is_same
    assert len(before) == 12


def test_the_fingerprint_is_the_same_in_every_process(compiled, tweets):
    assert compiled(tweets).stages[0].fingerprint == "38ba55c88f43"


def test_a_file_is_compiled_relative_to_its_folder(tmp_path, tweets):
    file = tmp_path / "p.yaml"
    file.write_text(tweets.replace("8081}", "8081, serve: models}"))

    assert compile_file(file, {}).serves == {"translator": str(tmp_path / "models")}


def test_the_needed_topics_are_named_once_with_how_they_are_made(compiled):
    topics = {topic.name: topic for topic in needed_topics(compiled(RECORDS))}

    assert [(topic.name, topic.kind) for topic in topics.values()] == [
        ("medical.charts", TopicKind.SOURCE),
        ("risk.charts", TopicKind.SINK),
        ("risk.all", TopicKind.SINK),
        ("prod.records.codes.retry", TopicKind.RETRY),
        ("prod.records.dead-letters", TopicKind.DEAD_LETTERS),
        ("prod.records.control", TopicKind.CONTROL),
    ]
    retry = topics["prod.records.codes.retry"]
    assert (retry.partitions, retry.like, retry.replication) == (None, "medical.charts", 2)
    kept = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    assert retry.config == kept
    assert retry.room_bytes == ROOM_BYTES
    assert topics["prod.records.control"].config == {"cleanup.policy": "compact"}
    assert topics["risk.all"].partitions == 3
    assert [topic.is_internal for topic in topics.values()] == [False] * 3 + [True] * 3
