"""Every verb as users run it: a process, a real broker, exit codes and output."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from headrace.local.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SERVER = Path(__file__).with_name("upper_server.py")
WITHIN_S = 60.0

PIPELINE = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}"}}
topics: {{partitions: 3}}
models:
  upper: {{url: "{url}", serve: "{serve}"}}
steps:
  shout:
    from: {source}
    model: upper
    inputs: {{text: {{path: text, datatype: BYTES, shape: []}}}}
    outputs: {{loud: translation}}
    retry: {{max_attempts: 2, first_delay: 10ms}}
sinks: {{{sink}: shout}}
"""


class Cli:
    """Runs `headrace` as a process against one broker."""

    def __init__(self, bootstrap: str, runtime_dir: Path) -> None:
        self.environ = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "XDG_RUNTIME_DIR": str(runtime_dir),
            "HEADRACE_LOG_FORMAT": "json",
        }
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self, *arguments: object, stdin: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            input=stdin,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def start(self, *arguments: object, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command(arguments),
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    @staticmethod
    def _command(arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-m", "headrace", *map(str, arguments)]


@pytest.fixture
def cli(bootstrap: str, tmp_path: Path) -> Iterator[Cli]:
    runner = Cli(bootstrap, tmp_path)
    yield runner
    runner.close()


@pytest.fixture
def names(unique: Callable[[str], str]) -> dict[str, str]:
    return {each: unique(each) for each in ("name", "source", "sink")}


@pytest.fixture
def pipeline(names: dict[str, str], bootstrap: str, tmp_path: Path) -> Path:
    """A pipeline whose model server `up` starts."""
    path = tmp_path / "pipeline.yaml"
    names["name"] = names["name"].replace("_", "-")[-40:]
    serve = f"{sys.executable} {SERVER}"
    path.write_text(
        PIPELINE.format(bootstrap=bootstrap, url="grpc://127.0.0.1:1", serve=serve, **names)
    )
    return path


def lines_of(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def until(process: subprocess.Popen[str], event: str) -> dict[str, object]:
    """Read a worker's log until an event, and return it."""
    assert process.stderr is not None
    for line in process.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == event:
            return told
    raise AssertionError(f"the process ended ({process.wait()}) before {event}")


def until_said(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process says to people until it has said these words."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    raise AssertionError(f"the process ended ({process.wait()}) before {words!r}:\n{''.join(said)}")


def test_topics_are_planned_applied_and_deleted(cli: Cli, pipeline: Path, names: dict[str, str]):
    planned = json.loads(cli("topics", "plan", pipeline, "--json").stdout)["topics"]
    applied = cli("topics", "apply", pipeline)
    again = cli("topics", "apply", pipeline)
    deleted = cli("topics", "delete", pipeline, "--yes")
    left = json.loads(cli("topics", "plan", pipeline, "--json").stdout)["topics"]

    assert {each["action"] for each in planned} == {"create"}
    assert {each["partitions"] for each in planned} == {3}
    assert applied.returncode == 0
    assert (again.returncode, again.stdout) == (0, "")
    assert deleted.returncode == 0
    kept = {each["topic"] for each in left if each["action"] == "none"}
    assert kept == {names["source"], names["sink"]}


def test_deleting_topics_asks_first(cli: Cli, pipeline: Path):
    cli("topics", "apply", pipeline)

    refused = cli("topics", "delete", pipeline, stdin="n\n")
    left = json.loads(cli("topics", "plan", pipeline, "--json").stdout)["topics"]

    assert refused.returncode != 0
    assert {each["action"] for each in left} == {"none"}


def test_internal_topics_grow_with_their_source(cli: Cli, pipeline: Path, admin, names):
    from confluent_kafka.admin import NewPartitions

    cli("topics", "apply", pipeline)
    admin.create_partitions([NewPartitions(names["source"], 5)])[names["source"]].result(20)

    grown = json.loads(cli("topics", "apply", pipeline, "--json").stdout)["topics"]

    assert {(each["action"], each["partitions"]) for each in grown} == {("grow", 5)}
    assert {each["kind"] for each in grown} == {"retry", "dead_letters", "control"}


def test_missing_topics_are_exit_2_and_name_topics_apply(cli: Cli, pipeline: Path, names):
    ended = cli("run", pipeline)

    assert ended.returncode == 2
    assert names["source"] in ended.stderr
    assert "topics apply" in ended.stderr


def test_what_is_sent_is_tailed(cli: Cli, topic: Callable[..., str]):
    name = topic(3)

    sent = cli("send", name, "--key", "n", stdin='{"n": "a", "x":  1}\n{"n": "b"}\n')
    tailed = cli("tail", name, "--from-beginning", "--until-idle")
    whole = cli("tail", name, "--from-beginning", "--until-idle", "--json")

    assert sent.returncode == 0
    assert sorted(tailed.stdout.splitlines()) == ['{"n": "a", "x":  1}', '{"n": "b"}']
    told = [json.loads(line) for line in whole.stdout.splitlines()]
    assert {each["key"]: each["value"] for each in told} == {
        "a": {"n": "a", "x": 1},
        "b": {"n": "b"},
    }


def test_tail_does_not_show_what_was_aborted(cli: Cli, topic: Callable[..., str], bootstrap: str):
    name = topic()
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    producer.init_transactions(20)
    for value, end in (("1", producer.abort_transaction), ("2", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(name, value)
        producer.flush()
        end(20)

    tailed = cli("tail", name, "--from-beginning", "--until-idle")

    assert tailed.stdout == "2\n"


def test_tail_from_the_end_of_a_quiet_topic_ends_at_once(cli: Cli, topic: Callable[..., str]):
    name = topic()
    cli("send", name, stdin="1\n")

    tailed = cli("tail", name, "--until-idle")

    assert (tailed.returncode, tailed.stdout) == (0, "")


def test_a_line_that_is_not_json_ends_send_after_the_lines_before_it(cli: Cli, topic):
    name = topic()

    sent = cli("send", name, stdin="1\nnot json\n3\n")
    tailed = cli("tail", name, "--from-beginning", "--until-idle")

    assert sent.returncode == 2
    assert "line 2" in sent.stderr
    assert tailed.stdout == "1\n"


@pytest.mark.parametrize("verb", [("send",), ("tail",)])
def test_a_topic_that_does_not_exist_is_exit_2(cli: Cli, verb):
    ended = cli(*verb, "no-such-topic", stdin="1\n")

    assert ended.returncode == 2
    assert "'no-such-topic' does not exist" in ended.stderr


def test_a_reader_that_goes_away_does_not_upset_tail(cli: Cli, topic: Callable[..., str]):
    name = topic()
    cli("send", name, stdin="1\n2\n")
    tail = cli.start("tail", name, "--from-beginning")
    assert tail.stdout is not None
    assert tail.stdout.readline() == "1\n"

    tail.stdout.close()
    cli("send", name, stdin="\n".join(map(str, range(2000))))

    assert tail.wait(20) == 0


def test_ctrl_c_ends_tail_with_130(cli: Cli, topic: Callable[..., str]):
    name = topic()
    cli("send", name, stdin="1\n")
    tail = cli.start("tail", name, "--from-beginning")
    assert tail.stdout is not None
    tail.stdout.readline()

    tail.send_signal(signal.SIGINT)

    assert tail.wait(20) == 130


def test_broker_prints_its_address_first_and_ends_on_sigterm(cli: Cli):
    port = free_port()
    broker = cli.start("broker", "--port", port)
    assert broker.stdout is not None

    first = broker.stdout.readline()
    broker.terminate()

    assert first == f"bootstrap.servers=127.0.0.1:{port}\n"
    assert broker.wait(20) == 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_a_worker_and_it_exits_0(cli: Cli, pipeline: Path, sent: signal.Signals):
    cli("topics", "apply", pipeline)
    worker = cli.start("run", pipeline, "--slot", "a")
    until(worker, "assigned")

    worker.send_signal(sent)

    assert worker.wait(20) == 0


def test_a_second_ctrl_c_ends_a_draining_worker_with_130(
    cli: Cli, pipeline: Path, names: dict[str, str]
):
    port = free_port()
    pipeline.write_text(pipeline.read_text().replace("127.0.0.1:1", f"127.0.0.1:{port}"))
    server = subprocess.Popen([sys.executable, SERVER], env=cli.environ | {"GRPC_PORT": str(port)})
    try:
        cli("topics", "apply", pipeline)
        cli("send", names["source"], stdin='{"text": "hang"}\n')
        worker = cli.start("run", pipeline)
        address = str(until(worker, "worker_started")["message"]).rpartition("http://")[2]
        while not _status(address)["busy"]:
            assert worker.poll() is None

        worker.send_signal(signal.SIGINT)
        until(worker, "draining")
        worker.send_signal(signal.SIGINT)

        assert worker.wait(5) == 130
    finally:
        server.kill()
        server.wait()


def _status(address: str) -> dict[str, object]:
    with urllib.request.urlopen(f"http://{address}/status", timeout=10) as answer:
        (stage,) = json.load(answer)["stages"] or [{"busy": 0}]
        return stage


def test_a_worker_serves_its_status_on_the_named_port(cli: Cli, pipeline: Path):
    cli("topics", "apply", pipeline)
    port = free_port()
    worker = cli.start("run", pipeline, "--status-port", port)
    until(worker, "assigned")

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=10) as answer:
        assert answer.status == 200


def test_a_status_port_in_use_is_exit_2(cli: Cli, pipeline: Path, kafka):
    cli("topics", "apply", pipeline)
    port = kafka.bootstrap_servers.rpartition(":")[2]

    ended = cli("run", pipeline, "--status-port", port)

    assert ended.returncode == 2
    assert f"port {port} is in use" in ended.stderr


def test_status_shows_workers_and_remaining_work(cli: Cli, pipeline: Path, names):
    cli("topics", "apply", pipeline)
    cli("send", names["source"], stdin='{"text": "a"}\n{"text": "b"}\n')
    worker = cli.start("run", pipeline, "--slot", "seven")
    until(worker, "step_paused")

    (step,) = json.loads(cli("status", pipeline, "--json").stdout)["steps"]
    table = cli("status", pipeline).stdout

    assert step["remaining"] == 2
    assert step["in_flight"] == 2
    assert step["oldest_s"] >= 0
    assert "127.0.0.1:1" in step["model"]
    (seen,) = step["workers"]
    assert (seen["slot"], seen["state"], seen["partitions"]) == ("seven", "paused", 6)
    assert "seven" in table


def test_status_works_when_a_worker_is_unreachable(cli: Cli, pipeline: Path):
    cli("topics", "apply", pipeline)
    worker = cli.start("run", pipeline, "--slot", "frozen")
    until(worker, "assigned")

    worker.send_signal(signal.SIGSTOP)
    (step,) = json.loads(cli("status", pipeline, "--json").stdout)["steps"]
    worker.send_signal(signal.SIGCONT)

    (seen,) = step["workers"]
    assert (seen["slot"], seen["state"]) == ("frozen", "unreachable")
    assert step["remaining"] == 0


def test_status_of_a_pipeline_nobody_runs_shows_no_worker(cli: Cli, pipeline: Path):
    cli("topics", "apply", pipeline)

    (step,) = json.loads(cli("status", pipeline, "--json").stdout)["steps"]

    assert step["workers"] == []
    assert step["model"] == "unknown"


def test_up_runs_everything_until_idle_and_counts_from_kafka(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    texts = [f"text {n}" for n in range(300)] + ["bad one", "bad two"]
    lines = lines_of(tmp_path / "in.jsonl", texts)
    lines.write_text(lines.read_text() + "not JSON\n")

    ended = cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")
    tailed = cli("tail", names["sink"], "--from-beginning", "--until-idle").stdout
    listed = json.loads(cli("dlq", "ls", pipeline, "--json").stdout)["dead_letters"]

    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout.splitlines()[-1])
    counts = ("read", "written", "dead_lettered", "dropped", "retried")
    assert [summary[each] for each in counts] == [303, 300, 3, 0, 0]
    assert summary["seconds"] > 0
    loud = [json.loads(line)["loud"] for line in tailed.splitlines()]
    assert sorted(loud) == sorted(text.upper() for text in texts[:300])
    assert sorted(each["error"] for each in listed) == [
        "DecodeError",
        "InvalidInputError",
        "InvalidInputError",
    ]


def test_up_counts_only_its_own_run(cli: Cli, pipeline: Path, names, tmp_path: Path):
    lines = lines_of(tmp_path / "in.jsonl", ["a", "b", "bad"])
    up = ("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")
    cli(*up)

    second = json.loads(cli(*up).stdout.splitlines()[-1])

    assert [second[each] for each in ("read", "written", "dead_lettered")] == [3, 2, 1]


def test_up_loses_and_doubles_nothing_while_workers_are_killed(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    texts = [f"{'slow' if n % 10 == 0 else 'text'} {n}" for n in range(600)]
    lines = lines_of(tmp_path / "in.jsonl", texts)
    chaos = ("--workers", "2", "--kill-every", "0.7", "--rate", "120", "--until-idle")

    sending = ("--input", f"{names['source']}={lines}")
    ended = cli("up", pipeline, *sending, *chaos, HEADRACE_LOG_LEVEL="info")
    tailed = cli("tail", names["sink"], "--from-beginning", "--until-idle").stdout

    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert (summary["read"], summary["written"]) == (600, 600)
    assert summary["kills"] >= 3
    assert ended.stderr.partition("killed worker")[0].count('"worker_started"') == 2
    loud = [json.loads(line)["loud"] for line in tailed.splitlines()]
    assert sorted(loud) == sorted(text.upper() for text in texts)


def test_up_brings_its_own_kafka_which_a_second_terminal_finds(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    cli.environ["KAFKA_BOOTSTRAP_SERVERS"] = ""
    pipeline.write_text(re.sub('servers: "127.*"', "servers: embedded", pipeline.read_text()))
    lines = lines_of(tmp_path / "in.jsonl", ["a", "b"])
    up = cli.start("up", pipeline, "--input", f"{names['source']}={lines}")
    until_said(up, "sent 2 records")
    tail = cli.start("tail", names["sink"], "--from-beginning")
    assert tail.stdout is not None

    loud = sorted(json.loads(tail.stdout.readline())["loud"] for _ in range(2))
    up.send_signal(signal.SIGTERM)

    assert loud == ["A", "B"]
    assert up.wait(30) == 0
    assert not (tmp_path / "headrace" / "broker.json").exists()


def test_up_brings_a_killed_kafka_back_and_loses_nothing(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    cli.environ["KAFKA_BOOTSTRAP_SERVERS"] = ""
    pipeline.write_text(re.sub('servers: "127.*"', "servers: embedded", pipeline.read_text()))
    lines = lines_of(tmp_path / "in.jsonl", [f"text {n}" for n in range(300)] + ["bad"])
    sending = ("--input", f"{names['source']}={lines}", "--rate", "40", "--until-idle")
    up = cli.start("up", pipeline, *sending)
    until_said(up, "(control, ")
    tail = cli.start("tail", names["sink"], "--from-beginning")
    assert tail.stdout is not None
    tail.stdout.readline()

    os.kill(json.loads((tmp_path / "headrace" / "broker.json").read_text())["pid"], signal.SIGKILL)
    told, _ = up.communicate(timeout=90)

    summary = json.loads(told.splitlines()[-1])
    assert [summary[each] for each in ("read", "written", "dead_lettered")] == [301, 300, 1]


def test_ctrl_c_stops_up_in_order(cli: Cli, pipeline: Path, names, tmp_path: Path):
    lines = lines_of(tmp_path / "in.jsonl", ["a"])
    up = cli.start("up", pipeline, "--input", f"{names['source']}={lines}")
    until_said(up, "sent 1 records")

    up.send_signal(signal.SIGINT)
    _, told = up.communicate(timeout=40)

    assert up.returncode == 0
    assert "stopping" in told


def test_a_model_server_that_does_not_start_ends_up_with_its_log(cli: Cli, pipeline: Path):
    broken = f"{sys.executable} -c 'raise SystemExit(\\\"no weights\\\")'"
    text = pipeline.read_text().replace(f"{sys.executable} {SERVER}", broken)
    pipeline.write_text(text)

    ended = cli("up", pipeline, "--until-idle")

    assert ended.returncode == 1
    assert "no weights" in ended.stderr


def test_dead_letters_are_shown_and_sent_back_once(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    lines = lines_of(tmp_path / "in.jsonl", ["bad 1", "bad 2", "fine"])
    cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")

    some = cli("dlq", "ls", pipeline, "--where", 'value.text == "bad 1"', "--json")
    shown = cli("dlq", "show", pipeline, json.loads(some.stdout)["dead_letters"][0]["id"])
    replayed = cli("dlq", "replay", pipeline, "--where", 'value.text == "bad 1"')
    left = json.loads(cli("dlq", "ls", pipeline, "--json").stdout)["dead_letters"]
    again = cli("dlq", "replay", pipeline, "--where", 'value.text == "bad 1"')

    assert "bad text" in shown.stdout
    assert "headrace-error-class" in shown.stdout
    assert replayed.stdout == "replayed 1\n"
    assert len(left) == 1
    assert again.stdout == "replayed 0\n"


def test_a_replayed_record_that_fails_again_is_a_new_dead_letter(
    cli: Cli, pipeline: Path, names: dict[str, str], tmp_path: Path
):
    lines = lines_of(tmp_path / "in.jsonl", ["bad"])
    cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")
    first = json.loads(cli("dlq", "ls", pipeline, "--json").stdout)["dead_letters"]
    cli("dlq", "replay", pipeline)

    ended = cli("up", pipeline, "--until-idle")
    second = json.loads(cli("dlq", "ls", pipeline, "--json").stdout)["dead_letters"]

    assert ended.returncode == 0
    assert [each["id"] for each in second] == [each["id"] for each in first]
    assert second[0]["offset"] > first[0]["offset"]


JOINED = """\
pipeline: {name}
topics: {{partitions: 3}}
steps:
  shout: {{from: {source}, function: "rules:shout", reads: [text], writes: [loud]}}
  count: {{from: {source}, function: "rules:count", reads: [text], writes: [length]}}
  both: {{from: [shout, count], function: "rules:both", reads: [loud, length], writes: [said]}}
sinks: {{{sink}: both}}
"""

RULES = """\
from pathlib import Path

def shout(document):
    return {"loud": document["text"].upper()}

def count(document):
    if not Path(__file__).with_name("mended").exists():
        raise ValueError("cannot count")
    return {"length": len(document["text"])}

def both(document):
    return {"said": f"{document['loud']} {document['length']}"}
"""


def test_a_join_is_traced_to_its_dead_letters_and_after_a_replay_to_its_result(
    cli: Cli, names: dict[str, str], tmp_path: Path
):
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(JOINED.format(**names | {"name": names["name"].replace("_", "-")[-40:]}))
    (tmp_path / "rules.py").write_text(RULES)
    lines = lines_of(tmp_path / "in.jsonl", ["one"])
    cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")
    failed = json.loads(cli("dlq", "ls", pipeline, "--json").stdout)["dead_letters"]
    id_ = failed[0]["id"]
    before = json.loads(cli("trace", pipeline, id_, "--json").stdout)
    (tmp_path / "mended").touch()
    replayed = cli("dlq", "replay", pipeline, "--step", "count", "--json")
    cli("up", pipeline, "--until-idle")

    after = cli("trace", pipeline, id_)

    assert [(each["step"], each["because_of"]) for each in failed] == [
        ("count", []),
        ("both", ["count"]),
    ]
    assert [each["state"].partition(":")[0] for each in before["states"]] == [
        "dead-lettered at step count",
        "dead-lettered at step both",
    ]
    assert json.loads(replayed.stdout) == {
        "replayed": 2,
        "without_value": 0,
        "along": 1,
        "left": 0,
    }
    assert "1 of them were not chosen" in replayed.stderr
    assert "now: finished" in after.stdout
    hops = [line.split()[:2] for line in after.stdout.splitlines() if line.startswith("  ")]
    assert hops[0] == ["source", "source"]
    assert hops[-1] == ["both", "result"]
    assert ["count", "failed"] in hops
    assert ["count", "replay"] in hops


@pytest.mark.parametrize(
    ("where", "said"),
    [("error ==", "is not CEL"), ("colour == 1", "names colour"), ("attempts", "true or false")],
)
def test_a_bad_condition_is_exit_2(cli: Cli, pipeline: Path, names, tmp_path, where, said):
    lines = lines_of(tmp_path / "in.jsonl", ["bad"])
    cli("up", pipeline, "--input", f"{names['source']}={lines}", "--until-idle")

    ended = cli("dlq", "ls", pipeline, "--where", where)

    assert ended.returncode == 2
    assert said in ended.stderr


def test_a_worker_started_before_its_broker_gives_up_after_ten_seconds(cli: Cli, pipeline: Path):
    begun = time.monotonic()

    ended = cli("run", pipeline, "--bootstrap-servers", f"127.0.0.1:{free_port()}")

    assert ended.returncode == 3
    assert 9 < time.monotonic() - begun < 20
