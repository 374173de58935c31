"""The command line in this process: `cli("lint", "x.yaml")` gives exit code, stdout, stderr."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.cli.main import run

PIPELINE = """\
pipeline: tweets
kafka: {bootstrap_servers: "127.0.0.1:1"}
models:
  translator: {url: "grpc://localhost:8081"}
steps:
  translate:
    from: tweets
    model: translator
    inputs: {text: text}
    outputs: {translation: translation}
sinks: {tweets-es: translate}
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    handlers = list(logging.getLogger().handlers)

    def call(*arguments: object) -> Ended:
        code = run([str(each) for each in arguments])
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    yield call
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline file whose Kafka does not answer."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path
