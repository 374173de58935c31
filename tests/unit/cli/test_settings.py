import json

import pytest

from headrace.cli import settings


def test_a_models_url_is_replaced_from_the_environment(pipeline, monkeypatch):
    monkeypatch.setenv(settings.MODEL_URLS, json.dumps({"translator": "grpc://127.0.0.1:7"}))

    topology = settings.load_pipeline(str(pipeline)).topology

    assert topology.models[0].model.urls == ("grpc://127.0.0.1:7",)


def test_replacing_a_url_does_not_change_what_the_pipeline_is(pipeline, monkeypatch):
    before = settings.load_pipeline(str(pipeline)).topology.stages[0].fingerprint
    monkeypatch.setenv(settings.MODEL_URLS, json.dumps({"translator": "grpc://127.0.0.1:7"}))

    after = settings.load_pipeline(str(pipeline)).topology.stages[0].fingerprint

    assert before == after


def test_the_given_address_wins_over_the_files(pipeline):
    topology = settings.load_topology(str(pipeline), "kafka:9092")

    assert topology.bootstrap_servers == "kafka:9092"


@pytest.mark.parametrize(
    ("said", "expected"), [("", "static"), ("\n  membership: dynamic", "dynamic")]
)
def test_membership_of_the_environment_holds_unless_the_file_says(
    pipeline, monkeypatch, said, expected
):
    block = f"kafka:\n  bootstrap_servers: x{said}\n"
    rest = pipeline.read_text().replace('kafka: {bootstrap_servers: "127.0.0.1:1"}\n', block)
    pipeline.write_text(rest)
    monkeypatch.setenv(settings.MEMBERSHIP, "static")

    assert settings.load_pipeline(str(pipeline)).topology.membership == expected
