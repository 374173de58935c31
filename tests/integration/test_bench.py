"""`headrace bench` as users run it, on a scripted server that speaks every protocol."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.local.ports import free_port

SERVER = Path(__file__).with_name("upper_server.py")
QUICK = ("--rows", "1,4", "--slots", "1,2", "--seconds", "0.05")

PIPELINE = """\
pipeline: benched
models:
  upper: {{url: "{url}"{serve}}}
steps:
  shout:
    from: texts
    model: upper
    inputs: {{text: {{path: text, datatype: BYTES, shape: []}}}}
    outputs: {{loud: translation}}
sinks: {{loud-texts: shout}}
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(tmp_path: Path) -> Run:
    """Return a function that benches the pipeline; with a `url`, nothing is started for it."""

    def run(*arguments: object, url: str = "") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "pipeline.yaml"
        serve = "" if url else f', serve: "{sys.executable} {SERVER}"'
        file.write_text(PIPELINE.format(url=url or "grpc://127.0.0.1:1", serve=serve))
        command = [sys.executable, "-m", "headrace", "bench", file, *arguments]
        return subprocess.run(
            [str(each) for each in command], capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_every_protocol_is_timed_and_one_way_recommended(bench: Run):
    ended = bench(*QUICK, "--json")

    (found,) = json.loads(ended.stdout)["models"]
    ways = {(each["protocol"], each["rows"], each["slots"]) for each in found["measured"]}
    assert ended.returncode == 0
    assert ways == {
        (protocol, rows, slots)
        for protocol in ("gRPC", "REST JSON", "REST binary")
        for rows in (1, 4)
        for slots in (1, 2)
    }
    assert found["recommended"] in found["measured"]
    assert all(each["p50_s"] <= each["p99_s"] for each in found["measured"])
    # 4 bytes of length and the text, both ways, and what is said around them.
    assert all(each["row_bytes"] > 100 for each in found["measured"])


def test_the_advice_can_be_pasted(bench: Run, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\nnot json\n{"body": "b"}\n{"text": "bad"}\n')

    ended = bench(*QUICK, "--records", rows)

    advice = ended.stdout.partition("* recommended, over ")[2]
    assert ended.returncode == 0
    assert "2 lines left out" in ended.stderr
    assert "1 rows left out, refused over gRPC" in ended.stderr
    assert "models:\n  upper:\n    url: " in advice
    assert "steps:\n  shout:\n    batch:\n      max_size: " in advice


def test_rows_that_the_model_refuses_are_no_success(bench: Run, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "bad"}\n')

    ended = bench(*QUICK, "--records", rows)

    assert ended.returncode == 4
    assert "gRPC is of no use here: " in ended.stdout
    assert "bad text" in ended.stdout


def test_a_model_that_is_not_there_is_exit_4(bench: Run):
    ended = bench(*QUICK, url=f"grpc://127.0.0.1:{free_port()}")

    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "lower"), "no step calls a model 'lower'; there is: upper"),
        (("--rows", "1,x"), "'1,x' is not like 1,8,32"),
        (("--records", "absent.jsonl"), "absent.jsonl"),
    ],
)
def test_wrong_arguments_are_exit_2(bench: Run, arguments: tuple[str, ...], said: str):
    ended = bench(*arguments, url="grpc://127.0.0.1:1")

    assert ended.returncode == 2
    assert said in ended.stderr


def test_records_without_what_the_step_reads_are_exit_2(bench: Run, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"body": "b"}\n')

    ended = bench("--records", rows, url="grpc://127.0.0.1:1")

    assert ended.returncode == 2
    assert "no line is a document with text, which step shout reads" in ended.stderr
