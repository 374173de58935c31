"""`headrace lint`: every problem of a pipeline file at once."""

import json
import os

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, file_argument, json_option


@click.command(cls=Verb)
@file_argument
@json_option
def lint(file: str, as_json: bool) -> int:
    """Check a pipeline file: every problem with file, line, code and a way out.

    Exits 2 if there is an error; warnings and notes alone exit 0.
    """
    from headrace.cli.settings import say
    from headrace.spec.loader import check

    checked = check(file, os.environ)
    if as_json:
        lints = [
            {
                "code": each.code,
                "severity": str(each.severity),
                "where": each.where,
                "line": each.line,
                "message": each.message,
                "hint": each.hint,
            }
            for each in checked.lints
        ]
        print(json.dumps({"file": file, "ok": checked.spec is not None, "problems": lints}))
    elif checked.lints:
        print(checked.text)
    if checked.spec is None:
        return Exit.USAGE
    if not as_json:
        say(f"{file}: no errors")
    return Exit.OK
