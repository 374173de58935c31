"""Names that lead nowhere or in a ring, and notes about what was declared."""

import pytest

from headrace.kafka.properties import OWNED
from headrace.spec.lint import CODES, Lint, Severity
from headrace.spec.rules import rings

STEP = "{{from: {0}, model: m, inputs: {{a: a}}, outputs: {{a: a}}}}"
HEAD = "pipeline: p\nmodels:\n  m: {url: grpc://a:1}\n"


def pipeline(steps, sinks="out: last", sources=""):
    lines = [f"  {name}: {STEP.format(parents)}" for name, parents in steps.items()]
    return HEAD + sources + "steps:\n" + "\n".join(lines) + f"\nsinks:\n  {sinks}\n"


def of(code, checked):
    return [lint.render("f") for lint in checked.lints if lint.code == code]


def test_a_step_that_reads_itself_is_a_ring(lint):
    found = lint(pipeline({"last": "last"}))

    assert of("E030", found) == [
        (
            "f:5: E030 step 'last' reads itself;"
            " for a topic of that name, declare it under `sources` and rename the step"
        )
    ]


def test_a_ring_of_steps_is_named_whole_and_once(lint):
    found = lint(pipeline({"a": "c", "b": "a", "c": "[b, topic]", "last": "c"}))

    assert of("E030", found) == ["f:5: E030 steps read each other in a ring: a <- c <- b <- a"]


def test_two_rings_are_two_problems():
    assert rings({"a": ["b"], "b": ["a"], "c": ["d", "a"], "d": ["c"]}) == [("a", "b"), ("c", "d")]


def test_a_diamond_is_no_ring():
    assert rings({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}) == []


def test_a_long_chain_of_steps_is_followed_without_recursion():
    chain = {f"s{n}": [f"s{n + 1}"] for n in range(20_000)}

    assert rings(chain) == []


def test_an_unknown_model_gets_the_closest_name(lint):
    found = lint(pipeline({"last": "t"}).replace("model: m,", "model: mm,"))

    assert of("E031", found) == [
        "f:5: E031 step 'last' calls unknown model 'mm'; did you mean 'm'?"
    ]


def test_an_unknown_server_gets_the_closest_name(lint):
    text = pipeline({"last": "t"}).replace("{url: grpc://a:1}", "{server: gpus}")

    found = lint("servers: {gpu: {url: grpc://a:1}}\n" + text)

    assert of("E032", found) == [
        "f:4: E032 model 'm' is on unknown server 'gpus'; did you mean 'gpu'?"
    ]


def test_with_a_sources_block_every_topic_must_be_declared(lint):
    found = lint(pipeline({"last": "twets"}, sources="sources: {tweets: some.topic}\n"))

    assert of("E034", found) == [
        "f:6: E034 step 'last' reads 'twets', which no source declares; did you mean 'tweets'?"
    ]


def test_without_a_near_source_the_way_out_lists_what_there_is(lint):
    found = lint(pipeline({"last": "orders"}, sources="sources: {}\n"))

    assert of("E034", found)[0].endswith("; there is: last")


def test_a_bare_topic_that_is_almost_a_step_is_probably_a_mistake(lint):
    found = lint(pipeline({"translate": "text", "last": "translte"}))

    assert of("E035", found) == [
        (
            "f:6: E035 step 'last' reads 'translte', which is almost the step 'translate';"
            " did you mean 'translate'? For a topic, write sources: {translte: translte}"
        )
    ]


@pytest.mark.parametrize("topic", ["in", "lost", "translations", "tests"])
def test_a_topic_that_is_not_near_a_step_is_a_topic(lint, topic):
    found = lint(pipeline({"up": topic, "translate": topic}, sinks="out: up"))

    assert of("E035", found) == []


def test_a_declared_source_may_be_called_like_a_step_almost(lint):
    found = lint(pipeline({"translate": "translte"}, "out: translate", "sources: {translte: t}\n"))

    assert found.text == ""


def test_a_name_cannot_be_a_source_and_a_step(lint):
    found = lint(pipeline({"last": "last"}, sources="sources: {last: topic}\n"))

    assert of("E036", found) == ["f:6: E036 'last' is both a source and a step; rename one"]


def test_a_sink_from_an_unknown_step_gets_the_closest_name(lint):
    found = lint(pipeline({"last": "t"}, sinks="out: lats"))

    assert of("E033", found) == [
        "f:7: E033 sink 'out' takes from unknown step 'lats'; did you mean 'last'?"
    ]


def test_a_sink_may_not_write_what_a_source_reads(lint):
    found = lint(pipeline({"last": "s"}, "round: last", "sources: {s: round}\n"))

    assert of("E042", found) == [
        (
            "f:8: E042 sink 'round' writes to a topic that the pipeline reads: it would never end;"
            " write to another topic"
        )
    ]


def test_what_is_declared_in_vain_is_a_warning(lint):
    sources = "sources: {t: t, u: u}\nservers: {gpu: {url: grpc://a:1}}\n"

    found = lint(pipeline({"last": "t"}, sources=sources))

    assert of("W050", found) == [
        "f:4: W050 'u' of sources is never used",
        "f:5: W050 'gpu' of servers is never used",
    ]
    assert found.spec is not None


def test_a_token_over_an_open_connection_is_a_warning(lint):
    text = pipeline({"last": "t"})

    assert of("W051", lint(text.replace("a:1}", "a:1, token: secret}"))) == [
        "f:3: W051 model 'm': the token is sent over grpc://, unencrypted; use grpcs://"
    ]
    assert lint(text.replace("grpc://a:1}", "grpcs://a:1, token: secret}")).text == ""
    assert lint(text.replace("a:1}", "a:1, token: ''}")).text == ""


def test_a_login_over_an_open_connection_is_a_warning(lint):
    security = "{protocol: SASL_PLAINTEXT, mechanism: PLAIN, username: u, password: p}"

    found = lint(f"kafka: {{security: {security}}}\n" + pipeline({"last": "t"}))

    assert of("W051", found) == [
        "f:1: W051 'sasl_plaintext' sends the login unencrypted; use sasl_ssl"
    ]


def test_a_secret_for_an_open_token_endpoint_is_a_warning(lint):
    oauth = "{token_url: HTTP://login/token, client_id: i, client_secret: s}"
    security = f"{{protocol: sasl_ssl, mechanism: oauthbearer, oauth: {oauth}}}"

    found = lint(f"kafka: {{security: {security}}}\n" + pipeline({"last": "t"}))

    assert of("W051", found) == [
        "f:1: W051 the client's secret is sent over http://, unencrypted; use https://"
    ]


@pytest.mark.parametrize(("ordering", "notes"), [("key", 1), ("partition", 0), ("none", 0)])
def test_a_new_key_at_a_sink_is_a_note_under_key_order(lint, ordering, notes):
    text = pipeline({"last": "t"}, sinks="out: {from: last, key: user.id}")

    found = lint(f"defaults: {{ordering: {ordering}}}\n" + text)

    assert len(of("N060", found)) == notes
    assert found.spec is not None


def test_a_step_says_its_own_ordering(lint):
    text = pipeline({"last": "t"}, sinks="out: {from: last, key: user.id}")

    assert of("N060", lint(text.replace("{from: t", "{ordering: none, from: t"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "steps: []",
        "steps: {a: 5, b: {from: 5}, c: {from: [5, a]}}",
        "steps: {a: {from: {b: c}, model: [x]}}\nsinks: {t: 5, u: {from: 3}}",
        "sources: 5\nmodels: 5\nservers: []\nsinks: x\nkafka: {properties: 5}",
        "kafka: 7",
    ],
)
def test_malformed_parts_hide_no_other_problem(lint, text):
    found = lint(text)

    assert found.spec is None
    assert "pipeline" in of("E010", found)[0]


def test_what_the_kafka_adapter_sets_is_refused_in_the_file(lint):
    properties = ", ".join(f"{key}: x" for key in sorted(OWNED))

    found = lint(f"kafka: {{properties: {{{properties}}}}}\n" + pipeline({"last": "t"}))

    assert len(of("E043", found)) == len(OWNED)


def test_every_code_has_a_severity_and_renders(lint):
    for code in CODES:
        lint_of_code = Lint(code, Severity.NOTE, "a.b", 0, "text")
        assert lint_of_code.render("f.py") == f"f.py: a.b: {code} text"
