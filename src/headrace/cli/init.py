"""`headrace init`: a pipeline, a model folder and a test to start from."""

from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb


@click.command(cls=Verb)
@click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    default=".",
    type=click.Path(file_okay=False, path_type=Path),
)
def init(folder: Path) -> int:
    """Write a pipeline that works at once into DIR, a new or empty folder; default: here.

    Beside the pipeline there are a scikit-learn model with its own locked environment, some
    input, test cases, and a README that says how to make it yours.
    """
    import shlex

    from headrace.cli.settings import say
    from headrace.cli.template_copy import write_template

    for written in write_template(folder):
        print(written)
    go_there = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    say("next:")
    say(f"  {go_there}headrace up pipeline.yaml --input texts=texts.jsonl --until-idle")
    return Exit.OK
