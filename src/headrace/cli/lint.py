"""`headrace lint`: every problem of a pipeline file at once."""

import json
import os
from dataclasses import asdict

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, file_argument, json_option, option


@click.command(cls=Verb)
@file_argument
@option("--live", is_flag=True, help="Ask the models and Kafka, too; nothing is created.")
@json_option
@bootstrap_option
def lint(file: str, live: bool, as_json: bool, bootstrap_servers: str | None) -> int:
    """Check a pipeline file: every problem with file, line, code and a way out.

    Exits 2 if there is an error; warnings and notes alone exit 0. With --live also checks the
    models' tensors, the topics, the brokers' limits and this user's permissions, all but those of
    transactional ids, for which Kafka has no question; a Kafka that does not answer exits 3, a
    model 4, after everything else is told.
    """
    from headrace.cli.checking import check
    from headrace.cli.settings import say
    from headrace.spec.lint import rendered

    checked = check(file, os.environ, imports=True)
    lints = list(checked.lints)
    code = Exit.OK if checked.spec is not None else Exit.USAGE
    if live and checked.spec is not None:
        from headrace.cli.live import ask

        found, code = ask(checked, file, bootstrap_servers)
        lints += found
    if as_json:
        print(
            json.dumps({"file": file, "ok": code is Exit.OK, "problems": list(map(asdict, lints))})
        )
        return code
    if lints:
        print(rendered(lints, file))
    if code is Exit.OK:
        say(f"{file}: no errors")
    elif live and checked.spec is None:
        say("the models and Kafka were not asked: the file has errors")
    return code
