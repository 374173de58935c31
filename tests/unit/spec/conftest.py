"""A small pipeline to break in every way."""

from collections.abc import Callable

import pytest

from headrace.spec.loader import Checked, check_text

TWEETS = """\
pipeline: tweets
models:
  translator: {url: grpc://localhost:8081}
steps:
  translate:
    from: tweets
    model: translator
    inputs: {text: text}
    outputs: {translation: translation}
sinks:
  tweets-es: translate
"""


@pytest.fixture
def tweets() -> str:
    return TWEETS


@pytest.fixture
def lint() -> Callable[..., Checked]:
    def run(text: str, **environ: str) -> Checked:
        return check_text(text, environ, "file.yaml")

    return run


@pytest.fixture
def edited(lint) -> Callable[..., list[str]]:
    """Replace one part of the pipeline; return the problems as text."""

    def run(old: str, new: str, **environ: str) -> list[str]:
        if old not in TWEETS:
            raise LookupError(old)
        return lint(TWEETS.replace(old, new), **environ).text.splitlines()

    return run
