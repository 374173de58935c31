"""What a server and a model say together: protocol, profile, TLS, and one way to log in."""

import pytest

from headrace.core.models import OAuth, Profile
from headrace.spec.compile import compile_pipeline

HEAD = "pipeline: p\n"
TAIL = """
steps: {s: {from: t, model: m, inputs: {a: a}, outputs: {a: a}}}
sinks: {out: s}
"""
LOGIN = "{token_url: https://login/token, client_id: me, client_secret: s3cr3t}"


def alone(settings):
    return f"{HEAD}models: {{m: {{{settings}}}}}{TAIL}"


def together(server, model):
    return f"{HEAD}servers: {{x: {{{server}}}}}\nmodels: {{m: {{server: x, {model}}}}}{TAIL}"


@pytest.fixture
def model_of(lint, tmp_path):
    def compiled(text):
        return compile_pipeline(lint(text).unwrap(), tmp_path).stages[0].steps[0].model

    return compiled


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("url: 'http://a'", ""),
        ("url: 'https://a/seldon/v2/', profile: binary", ""),
        ("url: [http://a, https://b]", ""),
        ("url: 'http://a', profile: v1, parameters: {instances: rows}", ""),
        ("url: 'https://a', token: x, tls: {ca: a.pem}", ""),
        ("url: 'https://a', token: '', token_file: x", ""),
        (f"url: 'https://a', oauth: {LOGIN}", ""),
        (
            "url: 'http://a', profile: v2",
            "E013 'profile' of model 'm', not 'v2': must be 'auto', 'json', 'binary' or 'v1'",
        ),
        (
            "url: 'http://a', protocol: rest",
            "E011 unknown field 'protocol' in model 'm'; there is: ",
        ),
        (
            "url: 'http://a', profile: v1, parameters: {instances: columns}",
            "E013 model 'm': parameter 'instances' is 'columns'; with profile v1 it is rows or",
        ),
        (
            "url: 'https://a', token: x, token_file: y",
            "E047 model 'm': 'token' and 'token_file' are several ways to log in; keep one",
        ),
        (
            f"url: 'https://a', token_file: y, oauth: {LOGIN}",
            "E047 model 'm': 'token_file' and 'oauth' are several ways to log in; keep one",
        ),
        (
            "url: 'grpc://a:1', profile: json",
            "E048 model 'm': profile 'json' is for http and https, not for grpc; leave",
        ),
        (
            "url: [grpcs://a:1, 'http://b']",
            "E049 model 'm' has replicas of different protocols: grpcs, http; use one protocol",
        ),
        (
            "url: 'http://a', token_file: x",
            "W051 model 'm': the token is sent over http://, unencrypted; use https://",
        ),
        (
            "url: 'https://a', oauth: {token_url: http://l/t, client_id: a, client_secret: b}",
            "W051 model 'm': the client secret is sent over http://, unencrypted; use https://",
        ),
        (
            "url: 'http://a', tls: {ca: a.pem}",
            "W052 model 'm': tls is not used with http://; use https://",
        ),
        (
            "url: 'grpc://a:1', tls: {ca: a.pem}",
            "W052 model 'm': tls is not used with grpc://; use grpcs://",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(lint, settings, problem):
    found = lint(alone(settings)).text

    if problem:
        assert problem in found
        assert found.count("\n") == 0
    else:
        assert found == ""


@pytest.mark.parametrize(
    ("oauth", "problem"),
    [
        ("{client_id: a, client_secret: b}", "E010 'oauth' of model 'm' needs 'token_url'"),
        (LOGIN.replace("https:", "grpc:"), "is not an http:// or https:// URL"),
        (LOGIN.replace("//login", "//u:s3cr3t@login"), "has a user, a query or a fragment"),
        (
            LOGIN.replace("https://login/token", "'https://[login'"),
            "is not a URL; write it like https://login.ex",
        ),
        (LOGIN.replace("s3cr3t", "[s3cr3t]"), "'oauth.client_secret' of model 'm' expects text"),
        (LOGIN.replace("client_id", "client"), "unknown field 'client'"),
    ],
)
def test_an_oauth_login_that_cannot_work_is_refused_without_its_secret(lint, oauth, problem):
    found = lint(alone(f"url: 'https://a', oauth: {oauth}")).text

    assert problem in found
    assert "s3cr3t" not in found


@pytest.mark.parametrize(
    ("server", "model", "login"),
    [
        ("token: a", "profile: json", ("a", "", None)),
        (f"oauth: {LOGIN}", "token: b", ("b", "", None)),
        (f"oauth: {LOGIN}", "token: ''", ("", "", None)),
        ("token: a", "token_file: /f", ("", "/f", None)),
        (
            "token_file: /f",
            f"oauth: {LOGIN}",
            ("", "", OAuth("https://login/token", "me", "s3cr3t")),
        ),
    ],
)
def test_a_models_own_login_replaces_its_servers(model_of, server, model, login):
    found = model_of(together(f"url: 'https://a', {server}", model))

    assert (found.token, found.token_file, found.oauth) == login


def test_everything_about_protocol_and_login_reaches_the_model(model_of, tmp_path):
    oauth = LOGIN.replace("}", ", scope: infer, audience: models}")

    of_server = model_of(together(f"url: 'https://a', profile: v1, oauth: {oauth}", "name: n"))
    of_model = model_of(together("url: 'https://a', profile: v1", "profile: binary, token_file: t"))

    assert of_server.profile is Profile.V1
    assert of_server.oauth == OAuth("https://login/token", "me", "s3cr3t", "infer", "models")
    assert of_model.profile is Profile.BINARY
    assert of_model.token_file == str(tmp_path / "t")


def test_where_and_as_whom_a_model_is_asked_is_no_part_of_the_fingerprint(lint, tmp_path):
    marks = {
        compile_pipeline(lint(alone(settings)).unwrap(), tmp_path).stages[0].fingerprint
        for settings in (
            "url: 'grpc://a:1'",
            "url: 'http://a', profile: json",
            "url: 'https://a', token_file: t",
            f"url: 'https://a', oauth: {LOGIN}",
        )
    }

    assert len(marks) == 1
