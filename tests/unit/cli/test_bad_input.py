"""What each verb says when it is used wrongly; nothing here needs a broker."""

import socket

import pytest

from headrace.cli import options, settings


def test_a_missing_pipeline_file_is_exit_2_and_named(cli):
    ended = cli("lint", "nowhere.yaml")

    assert ended.code == 2
    assert "nowhere.yaml" in ended.out + ended.err


@pytest.mark.parametrize(
    "verb",
    [("run",), ("up",), ("status",), ("topics", "plan"), ("topics", "apply"), ("dlq", "ls")],
)
def test_every_verb_refuses_a_pipeline_that_cannot_be_read(cli, tmp_path, verb):
    bad = tmp_path / "bad.yaml"
    bad.write_text("pipeline: [")

    ended = cli(*verb, bad)

    assert ended.code == 2
    assert str(bad) in ended.err
    assert "Traceback" not in ended.err


def test_lint_reports_all_problems_at_once(cli, pipeline):
    pipeline.write_text(
        pipeline.read_text().replace("model: translator", "model: nix\n    frum: x")
    )

    ended = cli("lint", pipeline)

    assert ended.code == 2
    assert "E031" in ended.out
    assert "E011" in ended.out


def test_lint_of_a_good_file_is_exit_0(cli, pipeline):
    ended = cli("lint", pipeline)

    assert ended.code == 0
    assert "no errors" in ended.err


def test_lint_speaks_json(cli, pipeline):
    import json

    pipeline.write_text(pipeline.read_text().replace("model: translator", "model: nix"))

    told = json.loads(cli("lint", pipeline, "--json").out)

    assert told["ok"] is False
    assert told["problems"][0]["code"] == "E031"
    assert told["problems"][0]["line"] > 0


def test_an_unknown_stage_is_exit_2_and_lists_the_known(cli, pipeline):
    ended = cli("run", pipeline, "--stage", "nix")

    assert ended.code == 2
    assert "there is: translate" in ended.err


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(settings.await_broker, "__defaults__", (0.3,))


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("verb", [("topics", "plan"), ("topics", "apply"), ("dlq", "ls"), ("run",)])
def test_a_broker_that_does_not_answer_is_exit_3(cli, pipeline, verb):
    ended = cli(*verb, pipeline)

    assert ended.code == 3
    assert "no broker answers at 127.0.0.1:1" in ended.err


@pytest.mark.usefixtures("_impatient")
def test_a_trace_without_a_broker_is_exit_3_but_what_is_no_id_is_exit_2(cli, pipeline):
    assert cli("trace", pipeline, "tweets-0-1").code == 3

    ended = cli("trace", pipeline, "tweets/0/1")

    assert ended.code == 2
    assert "'tweets/0/1' is no record id" in ended.err


@pytest.mark.parametrize("within", ["10", "soon", "-1s"])
def test_a_bound_that_is_no_duration_is_exit_2(cli, pipeline, within):
    ended = cli("trace", pipeline, "tweets-0-1", "--within", within)

    assert ended.code == 2
    assert "is not a duration, as in 30s, 10m or 2h" in ended.err


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("verb", ["tail", "send"])
def test_send_and_tail_without_a_broker_are_exit_3(cli, tmp_path, verb):
    lines = tmp_path / "lines.jsonl"
    lines.write_text("{}\n")
    more = [lines] if verb == "send" else []

    ended = cli(verb, "tweets", *more, "--bootstrap-servers", "127.0.0.1:1")

    assert ended.code == 3


def test_no_embedded_broker_is_exit_3_with_a_way_out(cli, pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    ended = cli("topics", "plan", pipeline, "--bootstrap-servers", "embedded")

    assert ended.code == 3
    assert "headrace up" in ended.err


def test_a_broker_port_in_use_is_exit_2_and_named(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = cli("broker", "--port", port)

    assert ended.code == 2
    assert f"port {port} is in use" in ended.err


@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
@pytest.mark.parametrize("verb", [("up", "x"), ("send", "t"), ("dlq", "replay", "x")])
def test_a_rate_that_is_no_positive_number_is_exit_2(cli, verb, rate):
    ended = cli(*verb, "--rate", rate)

    assert ended.code == 2
    assert "--rate" in ended.err


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--workers", "0", "'0' is not a whole number from 1 on"),
        ("--workers", "many", "'many' is not a whole number from 1 on"),
        ("--kill-every", "0s", "'0s' is not a time above 0, as in 2, 2s or 500ms"),
        ("--kill-every", "2 days", "'2 days' is not a time"),
        ("--rate", "-1", "'-1' is not a number above 0"),
    ],
)
def test_up_refuses_numbers_in_words(cli, pipeline, option, given, said):
    ended = cli("up", pipeline, option, given)

    assert ended.code == 2
    assert option in ended.err
    assert said in ended.err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_what_is_no_port_is_told(cli, port):
    ended = cli("broker", "--port", port)

    assert ended.code == 2
    assert f"'{port}' is not a port from 1 to 65535" in ended.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("2", 2.0), ("2s", 2.0), ("500ms", 0.5), (".5", 0.5)]
)
def test_seconds_may_have_their_unit(text, seconds):
    assert options.SECONDS.convert(text, None, None) == seconds


@pytest.mark.parametrize("address", ["http://localhost:9092", "a b", "a:1,,b:2"])
def test_an_address_that_cannot_be_one_is_exit_2_at_once(cli, pipeline, address):
    ended = cli("status", pipeline, "--bootstrap-servers", address)

    assert ended.code == 2
    assert "is not HOST:PORT, as in localhost:9092" in ended.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tweets", "is not TOPIC=FILE"),
        ("tweets=", "is not TOPIC=FILE, as in tweets=FILE.jsonl"),
        ("tweets=.", "'.' is a folder"),
        ("tweets=nowhere.jsonl", "there is no file 'nowhere.jsonl'"),
        ("tweets-es=nowhere.jsonl", "does not read topic 'tweets-es'; it reads tweets"),
    ],
)
def test_up_refuses_a_bad_input_before_anything_starts(cli, pipeline, given, said):
    ended = cli("up", pipeline, "--input", given)

    assert ended.code == 2
    assert said in ended.err


def test_up_refuses_a_path_of_the_key_that_is_none(cli, pipeline):
    ended = cli("up", pipeline, "--key", "user..name")

    assert ended.code == 2
    assert "user..name" in ended.err


def test_send_refuses_a_missing_file(cli):
    ended = cli("send", "tweets", "nowhere.jsonl")

    assert ended.code == 2
    assert "nowhere.jsonl" in ended.err


def test_send_refuses_rate_and_curve_together(cli, tmp_path):
    curve = tmp_path / "curve.csv"
    curve.write_text("0,1\n")

    ended = cli("send", "tweets", "--rate", "1", "--curve", curve)

    assert ended.code == 2
    assert "exclude each other" in ended.err


def test_a_bad_curve_is_exit_2_before_a_broker_is_asked(cli, tmp_path):
    curve = tmp_path / "curve.csv"
    curve.write_text("seconds,records_per_second\n0,10\n5,ten\n")

    ended = cli("send", "tweets", "--curve", curve)

    assert ended.code == 2
    assert f"{curve}, line 3: '5,ten'" in ended.err


def test_bench_of_a_model_that_no_step_calls_is_exit_2_before_a_server_starts(cli, pipeline):
    text = pipeline.read_text().replace('8081"', '8081", serve: nowhere')
    pipeline.write_text(text)

    ended = cli("bench", pipeline, "--model", "nix")

    assert ended.code == 2
    assert "no step calls a model 'nix'; there is: translator" in ended.err


def test_verbose_shows_the_traceback(cli, pipeline):
    quiet = cli("run", pipeline, "--stage", "nix")
    loud = cli("run", pipeline, "--stage", "nix", "-v")

    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err


def test_model_urls_that_are_no_json_are_exit_2(cli, pipeline, monkeypatch):
    monkeypatch.setenv(settings.MODEL_URLS, "nix")

    assert cli("topics", "plan", pipeline).code == 2
