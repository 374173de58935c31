# ruff: noqa: E501 - a table of whole messages
"""Every way a pipeline file can be wrong, and the line of text that says so."""

import pytest

MODEL = "translator: {url: grpc://localhost:8081}"
STEP = "    model: translator\n"
OAUTH = "{token_url: 'https://login/token', client_id: i, client_secret: s}"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "model: translator\n    i",
            "model: translator\n    modle: x\n    i",
            "8: E011 unknown field 'modle' in step 'translate'; did you mean 'model'?",
        ),
        (
            "{text: text}",
            "{text: {path: text, kind: x}}",
            (
                "8: E011 unknown field 'kind' in 'inputs.text' of step 'translate';"
                " there is: datatype, default, parameters, path, shape"
            ),
        ),
        (
            "sinks:",
            "sinkz: {}\nsinks:",
            "10: E011 unknown field 'sinkz' in the pipeline; did you mean 'sinks'?",
        ),
        ("    model: translator\n", "", "5: E010 step 'translate' needs 'model'"),
        ("    inputs: {text: text}\n", "", "5: E010 step 'translate' needs 'inputs'"),
        (
            "{text: text}",
            "{}",
            "8: E013 'inputs' of step 'translate', not a mapping: must not be empty",
        ),
        ("sinks:\n  tweets-es: translate\n", "", "1: E010 the pipeline needs 'sinks'"),
        (
            "{text: text}",
            "[text]",
            "8: E012 'inputs' of step 'translate' expects a mapping, not a list",
        ),
        (
            "{text: text}",
            "{text: 3}",
            "8: E012 'inputs.text' of step 'translate' expects a mapping, not 3",
        ),
        (
            STEP,
            STEP + "    strict: 7\n",
            "8: E012 'strict' of step 'translate' expects true or false, not 7",
        ),
        (
            STEP,
            STEP + "    ordering: [key]\n",
            "8: E013 'ordering' of step 'translate', not a list: must be 'key', 'partition' or 'none'",
        ),
        (
            STEP,
            STEP + "    batch: {max_size: many}\n",
            "8: E012 'batch.max_size' of step 'translate' expects a whole number, not 'many'",
        ),
        (
            STEP,
            STEP + "    batch: {max_size: true}\n",
            "8: E012 'batch.max_size' of step 'translate': expects a whole number",
        ),
        (
            STEP,
            STEP + "    batch: {max_size: 0}\n",
            "8: E013 'batch.max_size' of step 'translate', not 0: must be greater than or equal to 1",
        ),
        (
            STEP,
            STEP + "    batch: {max_size: 1.5}\n",
            "8: E012 'batch.max_size' of step 'translate' expects a whole number, not 1.5",
        ),
        (
            STEP,
            STEP + "    batch: {max_wait: 5}\n",
            "8: E012 'batch.max_wait' of step 'translate': expects a duration with its unit; write it like 5ms, 2s or 1m30s",
        ),
        (
            STEP,
            STEP + "    batch: {max_wait: 2m}\n",
            "8: E013 'batch.max_wait' of step 'translate': must be between 0s and 1m",
        ),
        (
            STEP,
            STEP + "    retry: {max_attempts: 0}\n",
            "8: E013 'retry.max_attempts' of step 'translate', not 0: must be greater than or equal to 1",
        ),
        (
            STEP,
            STEP + "    retry: {first_delay: 31s}\n",
            "8: E013 step 'translate': first_delay is above max_delay of `defaults`",
        ),
        (
            "sinks:",
            "defaults: {retry: {first_delay: 2s, max_delay: 1s}}\nsinks:",
            "10: E013 'defaults.retry': first_delay is above max_delay",
        ),
        (
            "outputs: {translation: translation}",
            "outputs: {a..b: translation}",
            "9: E013 'outputs.a..b' of step 'translate': 'a..b' is not a path in a document; write it like page.text",
        ),
        (
            "{translation: translation}",
            "{translation: {tensor: t, nan: 0}}",
            "9: E013 'outputs.translation.nan' of step 'translate', not 0: must be 'dead_letter' or 'null'",
        ),
        (
            "{text: text}",
            "{text: {path: a, shape: [-2]}}",
            "8: E013 'inputs.text.shape.0' of step 'translate', not -2: must be greater than or equal to -1",
        ),
        (
            "{text: text}",
            "{text: {path: a, parameters: {p: [1]}}}",
            "8: E012 'inputs.text.parameters.p' of step 'translate': expects text, a whole number, true or false",
        ),
        (
            "{text: text}",
            "{text: {path: a, parameters: {p: 9223372036854775808}}}",
            "8: E013 'inputs.text.parameters.p' of step 'translate': does not fit 64 bits",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_line(edited, old, new, problem):
    lines = edited(old, new)

    assert any(problem in line for line in lines), lines


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (
            "{url: localhost:8081}",
            "3: E044 'url' of model 'translator': has the scheme 'localhost:8081', not grpc, grpcs, http or https; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: ftp://a:1}",
            "3: E044 'url' of model 'translator': has the scheme 'ftp', not grpc, grpcs, http or https; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: grpc://localhost}",
            "3: E044 'url' of model 'translator': needs a host and a port; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'grpc://a:99999'}",
            "3: E044 'url' of model 'translator': is not a URL; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'grpc://u:p@a:1'}",
            "3: E044 'url' of model 'translator': has a user, a query or a fragment; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'grpc://a:1/v2'}",
            "3: E044 'url' of model 'translator': has more than a scheme, a host and a port; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'http://:8080'}",
            "3: E044 'url' of model 'translator': needs a host; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'https://a:0'}",
            "3: E044 'url' of model 'translator': needs a host; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        (
            "{url: 'http://a?token=x'}",
            "3: E044 'url' of model 'translator': has a user, a query or a fragment; write it like grpc://localhost:8081 or http://localhost:8080",
        ),
        ("{url: []}", "3: E013 'url' of model 'translator', not a list: must not be empty"),
        (
            "{name: x}",
            "3: E045 model 'translator': a model needs either 'server' or 'url'; name one of `servers`, or give a URL like grpc://localhost:8081",
        ),
        (
            "{url: grpc://a:1, min_in_flight: 3, max_in_flight: 2}",
            "3: E013 model 'translator': min_in_flight is above max_in_flight",
        ),
        (
            "{url: grpc://a:1, min_in_flight: 17}",
            "3: E013 model 'translator': min_in_flight 17 is above max_in_flight 16",
        ),
        (
            "{url: grpc://a:1, timeout: 0s}",
            "3: E013 'timeout' of model 'translator': must be between 1ms and 1h",
        ),
        (
            "{url: grpc://a:1, timeout: 99999999d}",
            "3: E013 'timeout' of model 'translator': must be between 1ms and 1h",
        ),
        (
            "{url: grpc://a:1, version: [1]}",
            "3: E012 'version' of model 'translator' expects text, not a list",
        ),
        (
            "{server: gpu, serve: models}",
            "3: E045 model 'translator': 'serve' belongs to the server; move it under `servers`",
        ),
        ("gpu", "3: E032 model 'translator' is on unknown server 'gpu'; declare it under servers"),
    ],
)
def test_a_model_that_cannot_be_called_is_refused(edited, new, problem):
    lines = edited("{url: grpc://localhost:8081}", new)

    assert f"file.yaml:{problem}" in lines


@pytest.mark.parametrize(
    ("kafka", "problem"),
    [
        (
            "{properties: {group.id: x}}",
            "2: E043 headrace sets 'group.id' itself; it is made of the pipeline and the step",
        ),
        (
            "{properties: {error_cb: x}}",
            "2: E043 headrace sets 'error_cb' itself; callbacks are headrace's",
        ),
        (
            "{membership: sticky}",
            "2: E013 'kafka.membership', not 'sticky': must be 'dynamic' or 'static'",
        ),
        (
            "{security: sasl_ssl}",
            "2: E046 'kafka.security': 'sasl_ssl' needs mechanism, username and password",
        ),
        (
            "{security: {protocol: ssl, username: u}}",
            "2: E046 'kafka.security': 'ssl' takes no mechanism or login; use sasl_ssl or sasl_plaintext",
        ),
        (
            "{security: {protocol: plaintext, tls: {ca: a.pem}}}",
            "2: E046 'kafka.security': 'plaintext' takes no tls; use ssl or sasl_ssl",
        ),
        (
            "{security: {protocol: ssl, tls: {cert: a.pem}}}",
            "2: E046 'kafka.security': a client certificate needs both cert and key",
        ),
        (
            "{security: {protocol: ssl, oauth: " + OAUTH + "}}",
            "2: E046 'kafka.security': 'ssl' takes no mechanism or login; use sasl_ssl or sasl_plaintext",
        ),
        (
            "{security: {protocol: sasl_ssl, mechanism: plain, username: u, password: p, oauth: "
            + OAUTH
            + "}}",
            "2: E046 'kafka.security': 'plain' takes no oauth; use oauthbearer",
        ),
        (
            "{security: {protocol: sasl_ssl, mechanism: oauthbearer, username: u, password: p}}",
            "2: E046 'kafka.security': 'oauthbearer' needs oauth, and no username and password",
        ),
        (
            "{security: {protocol: sasl_ssl, mechanism: oauthbearer, oauth: "
            + OAUTH.replace("https://", "https://u:secret@")
            + "}}",
            "2: E044 'kafka.security.oauth.token_url': has a user, a query or a fragment; write it like https://login.example.com/token",
        ),
        (
            "{security: {protocol: sasl_ssl, mechanism: gssapi, username: u, password: p}}",
            "2: E013 'kafka.security.mechanism', not 'gssapi': must be 'plain', 'scram-sha-256', 'scram-sha-512' or 'oauthbearer'",
        ),
        (
            "{security: {protocol: 5}}",
            "2: E013 'kafka.security.protocol', not 5: must be 'plaintext', 'ssl', 'sasl_plaintext' or 'sasl_ssl'",
        ),
        ("nowhere", "2: E012 'kafka' expects a mapping, not 'nowhere'"),
    ],
)
def test_kafka_settings_that_cannot_work_are_refused(edited, kafka, problem):
    lines = edited("models:", f"kafka: {kafka}\nmodels:")

    assert lines == [f"file.yaml:{problem}"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("8081}", "8081, shadow: '5'}", "3: E020 not built yet: 'shadow' (model 'translator')"),
        ("tweets-es: translate", "tweets-es: {from: translate, format: avro}", "11: E020 not built yet: 'format' (sink 'tweets-es')"),
        ("models:", "sources: {tweets: {topic: tweets, format: avro}}\nmodels:", "2: E020 not built yet: format 'avro'; json is built"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_built_is_refused_by_its_name(edited, old, new, problem):
    lines = edited(old, new)

    assert f"file.yaml:{problem}" in lines


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("pipeline: tweets", "pipeline: my tweets", "1: E040 'my tweets' cannot be a name: letters, digits, '_' and '-', at most 80"),
        ("  translate:\n", "  a.b:\n", "5: E040 'a.b' cannot be a name: letters, digits, '_' and '-', at most 80"),
        ("  translate:\n", "  control:\n", "5: E041 the name 'control' is kept for headrace; choose another name"),
        ("tweets-es:", "tweets/es:", "11: E040 'tweets/es' cannot be a topic: letters, digits, '.', '_' and '-', at most 249"),
        ("tweets-es:", "..:", "11: E040 '..' cannot be a topic: letters, digits, '.', '_' and '-', at most 249"),
        ("tweets-es:", "a.dead-letters:", "11: E041 'a.dead-letters' ends like a topic of headrace's own; choose another name"),
        ("from: tweets", "from: my tweets", "6: E040 'my tweets' cannot be a topic: letters, digits, '.', '_' and '-', at most 249"),
        ("models:", "topics: {prefix: a/}\nmodels:", "2: E040 'a/' cannot begin a topic: letters, digits, '.', '_' and '-', at most 80"),
    ],
)  # fmt: skip
def test_a_name_that_kafka_or_headrace_does_not_allow_is_refused(edited, old, new, problem):
    lines = edited(old, new)

    assert f"file.yaml:{problem}" in lines


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        ("[]", "E012"),
        ("true", "E012"),
        ("-1", "E012"),
        ("yesterday", "E013"),
        ("2026-01-31T00:00:00", "E013"),
        ("0001-01-01T00:00:00", "E013"),
        ("1960-01-31T00:00:00Z", "E013"),
        ("'0001-01-01T00:00:00+14:00'", "E013"),
    ],
)
def test_a_start_that_is_no_moment_is_refused(edited, start, problem):
    lines = edited("models:", f"sources: {{tweets: {{topic: tweets, start: {start}}}}}\nmodels:")

    assert len(lines) == 1
    assert f":2: {problem} " in lines[0]
    assert "; use earliest, latest, error, " in lines[0]


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(lint):
    text = """\
pipeline: tweets
kafka:
  bootstrap_servers: ${KAFKA}
models:
  translator:
    url: ftp://a:1
    nam: en-es
steps:
  translate:
    from: tweets
    model: translatr
    inputs: {text: text}
    outputs: {translation: translation}
    batch: {max_size: many}
sinks:
  tweets: translate
"""

    lints = lint(text).lints

    found = [(each.line, each.code, each.where) for each in lints]
    assert found == [
        (3, "E003", "kafka.bootstrap_servers"),
        (6, "E044", "models.translator.url"),
        (7, "E011", "models.translator.nam"),
        (11, "E031", "steps.translate.model"),
        (14, "E012", "steps.translate.batch.max_size"),
        (16, "E042", "sinks.tweets"),
    ]


@pytest.mark.parametrize(
    "place", ["token: 271828", "headers: {a: 271828}", "token: [271828]", "token: {a: 271828}"]
)
def test_a_secret_of_the_wrong_type_is_not_repeated(edited, place):
    lines = edited("8081}", f"8081, {place}}}")

    assert len(lines) == 1
    assert "E012" in lines[0]
    assert "271828" not in lines[0]


def test_a_missing_part_of_the_file_is_named_without_a_cascade(lint):
    lines = lint("pipeline: tweets\n").text.splitlines()

    assert lines == [
        "file.yaml:1: E010 the pipeline needs 'sinks'",
        "file.yaml:1: E010 the pipeline needs 'steps'",
    ]


def test_a_server_whose_bounds_cross_is_refused(edited):
    server = "servers: {gpu: {url: grpc://a:1, min_in_flight: 2, max_in_flight: 1}}"

    lines = edited("models:", f"{server}\nmodels:")

    assert lines == ["file.yaml:2: E013 server 'gpu': min_in_flight is above max_in_flight"]


def test_a_number_where_a_text_belongs_gets_the_way_out(edited):
    lines = edited("from: tweets", "from: [7]")

    assert (
        "file.yaml:6: E012 'from.0' of step 'translate' expects text, not 7; put it in quotes"
        in lines
    )
