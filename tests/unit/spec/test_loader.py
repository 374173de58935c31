"""Files, lines, variables and Python modules."""

import pytest

from headrace.errors import SpecError
from headrace.spec.loader import check, folder_of, load


@pytest.fixture
def write(tmp_path):
    def run(text, name="file.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return run


def test_a_file_is_loaded(write, tweets):
    spec = load(write(tweets), {})

    assert spec.pipeline == "tweets"
    assert spec.models["translator"].url == ("grpc://localhost:8081",)
    assert spec.sources["tweets"].topic == "tweets"


@pytest.mark.parametrize(
    ("start", "value"),
    [
        ("latest", "latest"),
        ("1700000000000", 1_700_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14 23:13:20+01:00", 1_700_000_000_000),
    ],
)
def test_a_source_starts_at_a_word_or_a_moment(lint, tweets, start, value):
    source = f"sources: {{tweets: {{topic: tweets, start: '{start}', format: json}}}}\n"

    spec = lint(source.replace("'1700000000000'", "1700000000000") + tweets).unwrap()

    assert spec.sources["tweets"].start == value


def test_errors_are_raised_together_and_carried(write, tweets):
    file = write(tweets.replace("model: translator", "model: translater, x: 1"))

    with pytest.raises(SpecError) as caught:
        load(file, {})

    assert str(caught.value).startswith(f"{file}:")
    assert all(hasattr(problem, "code") for problem in caught.value.problems)


def test_warnings_do_not_stop_a_pipeline(lint, tweets):
    found = lint(tweets.replace("models:", "models:\n  other: {url: grpc://a:1}"))

    assert found.unwrap().pipeline == "tweets"
    assert found.text == "file.yaml:3: W050 'other' of models is never used"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", ":1: E001 not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb:\n\t- 2", ":3: E001 not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 1", ":2: E001 not YAML: but found another document"),
        ("a: 1\nb: \x01", ":2: E001 not YAML: special characters are not allowed"),
        ("? [a]\n: 1", ":1: E006 a key must be a single text"),
        ("pipeline: !mine x", ":1: E006 the tag '!mine' is not used here"),
        ("pipeline: !!int x", ":1: E012 is not a number"),
        ("[" * 700, ":1: E006 nested too deep"),
        ("a: &a [*a]", ":1: E006 nested too deep"),
        ("- a", ":1: E012 the pipeline expects a mapping, not a list"),
        ("", ":1: E012 the pipeline expects a mapping, not null"),
    ],
)
def test_text_that_is_not_a_pipeline_is_refused_with_its_line(lint, text, problem):
    lines = lint(text).text.splitlines()

    assert f"file.yaml{problem}" in lines


def test_aliases_that_multiply_are_stopped(lint):
    steps = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))

    text = lint(f"a0: &a0 x\n{steps}").text

    assert text.startswith("file.yaml:1: E006 too large when its aliases are followed")


def test_an_alias_stands_for_what_it_names(lint, tweets):
    text = tweets.replace("inputs: {text: text}", "inputs: &same {text: text}")
    text = text.replace("outputs: {translation: translation}", "outputs: *same")

    step = lint(text).unwrap().steps["translate"]

    assert step.outputs["text"].tensor == "text"


def test_a_key_that_stands_twice_is_refused(edited):
    lines = edited("models:", "pipeline: other\nmodels:")

    assert lines == ["file.yaml:2: E002 'pipeline' stands twice; see line 1"]


def test_a_value_on_a_line_of_its_own_is_named_there(edited):
    lines = edited("model: translator", "model:\n      translatr")

    assert "file.yaml:8: E031" in lines[0]


@pytest.mark.parametrize("word", ["no", "on", "y", "1:30", "0x1f", "2026-01-31", "1_000"])
def test_a_word_that_yaml_1_1_takes_for_something_else_stays_a_text(lint, tweets, word):
    spec = lint(tweets.replace("tweets-es: translate", f"t: {{from: translate, key: {word}}}")).spec

    assert spec is None or spec.sinks["t"].key == word


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-0.5", -0.5), ("1e3", 1000.0), ("true", True), ("'7'", "7"), ("no", "no")],
)
def test_a_default_keeps_its_kind(lint, tweets, text, value):
    spec = lint(tweets.replace("{text: text}", f"{{text: {{path: a, default: {text}}}}}")).unwrap()

    found = spec.steps["translate"].inputs["text"].default
    assert found == value
    assert type(found) is type(value)


def test_variables_are_filled_in_keys_and_values(lint, tweets):
    text = tweets.replace("tweets-es:", "${PREFIX}-es:").replace("from: tweets", "from: ${T:-tw}")

    spec = lint(text, PREFIX="out").unwrap()

    assert list(spec.sinks) == ["out-es"]
    assert list(spec.sources) == ["tw"]


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${A:-b}", {}, "b"),
        ("${A:-b}", {"A": ""}, "b"),
        ("${A:-b}", {"A": "c"}, "c"),
        ("${A}x${B}", {"A": "1", "B": ""}, "1x"),
        ("$${A}", {"A": "c"}, "${A}"),
        ("$A", {"A": "c"}, "$A"),
    ],
)
def test_a_variable_takes_its_default_when_it_is_unset_or_empty(lint, tweets, text, environ, value):
    text = tweets.replace("8081}", f"8081, authority: '{text}'}}")

    spec = lint(text, **environ).unwrap()

    assert spec.models["translator"].authority == value


def test_an_unset_variable_is_reported_with_its_line_and_nothing_follows_from_it(edited):
    lines = edited("grpc://localhost:8081", "'${MODEL_ULR}'", MODEL_URL="grpc://a:1")

    assert lines == ["file.yaml:3: E003 variable 'MODEL_ULR' is not set; did you mean 'MODEL_URL'?"]


def test_a_variable_without_a_near_name_gets_a_way_out(edited):
    lines = edited("grpc://localhost:8081", "'${MODEL}'")

    assert lines[0].endswith("is not set; set it, or write ${MODEL:-default}")


def test_a_broken_variable_is_reported(edited):
    lines = edited("8081}", "8081, authority: '${1}'}")

    assert lines == [
        (
            "file.yaml:3: E004 '${' does not begin a variable;"
            " write ${NAME} or ${NAME:-default}; $${ stands for a plain ${"
        )
    ]


def test_a_number_may_come_from_a_variable(lint, tweets):
    spec = lint(tweets.replace("8081}", "8081, max_in_flight: '${N:-32}'}")).unwrap()

    assert spec.models["translator"].max_in_flight == 32


def test_a_file_that_cannot_be_read_is_a_problem_with_a_way_out(tmp_path):
    missing = tmp_path / "none.yaml"

    alone = check(missing, {}).text
    (tmp_path / "tweets.yaml").touch()
    beside = check(missing, {}).text

    assert alone.endswith(
        "none.yaml: E005 cannot be read: no such file or directory; `headrace init` writes one"
    )
    assert beside.endswith(f"no such file or directory; there is: {tmp_path}/tweets.yaml")


def test_a_folder_in_place_of_a_file_names_the_pipelines_in_it(tmp_path):
    (tmp_path / "tweets.yaml").touch()

    assert check(tmp_path, {}).text.endswith(
        f": E005 cannot be read: is a directory; there is: {tmp_path}/tweets.yaml"
    )


def test_a_file_in_no_folder_names_the_folder(tmp_path):
    assert check(tmp_path / "nix" / "a.yaml", {}).text.endswith(
        f"there is no folder '{tmp_path}/nix'"
    )


def test_a_file_that_is_no_text_is_told_in_words(write):
    assert ": E005 is not a text in UTF-8" in check(write(b"\xff\xfe\xff"), {}).text


MODULE = """\
from beside import URL
from headrace import Pipeline

tweets = Pipeline("tweets")
stream = tweets.source("tweets").infer(
    "translate", tweets.model("translator", url=URL), inputs={"text": "text"}, outputs={"o": "t"}
)
stream.to("tweets-es")
"""


def test_a_python_module_is_executed_beside_its_neighbours(write):
    write("URL = 'grpc://${HOST:-localhost}:1'\n", "beside.py")
    file = write(MODULE, "module.py")

    spec = load(f"{file}:tweets", {"HOST": "a"})

    assert spec.models["translator"].url == ("grpc://a:1",)


@pytest.mark.parametrize(
    ("module", "name", "problem"),
    [
        ("raise KeyError('x')", "p", "cannot be imported: KeyError: 'x'"),
        ("p = 1", "p", "has no pipeline named 'p'; assign a headrace Pipeline to it"),
        ("from headrace import Pipeline", "Pipeline", "has no pipeline named 'Pipeline'"),
        (
            "from headrace import Pipeline\nflow = Pipeline('a')",
            "flwo",
            "has no pipeline named 'flwo'; did you mean 'flow'?",
        ),
        ("from headrace import Pipeline\nflow = Pipeline('a')", "", "'pipeline'; there is: flow"),
    ],
)
def test_a_module_without_the_pipeline_is_a_problem(write, module, name, problem):
    file = write(module, "module.py")

    text = check(f"{file}:{name}" if name else file, {}).text

    assert "module.py: E005 " in text
    assert problem in text


def test_a_missing_module_is_a_problem(tmp_path):
    text = check(tmp_path / "none.py", {}).text

    assert text.endswith("none.py: E005 cannot be imported: no such file or directory")


def test_a_module_that_loads_a_broken_file_passes_its_problems_on(write, tweets):
    write(tweets.replace("from:", "form:"), "inner.yaml")
    module = write(
        "from pathlib import Path\nfrom headrace.spec.loader import load\n"
        "p = load(Path(__file__).with_name('inner.yaml'), {})\n",
        "module.py",
    )

    with pytest.raises(SpecError, match="E011 unknown field 'form'"):
        load(f"{module}:p", {})


def test_paths_start_at_the_folder_of_the_file(tmp_path):
    assert folder_of(tmp_path / "a.yaml") == tmp_path
    assert folder_of(f"{tmp_path}/a.py:pipeline") == tmp_path
