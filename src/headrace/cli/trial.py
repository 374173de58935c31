"""`headrace try`: a whole pipeline against the live models, without Kafka."""

from pathlib import Path
from typing import BinaryIO

import click

from headrace.cli.exits import Exit
from headrace.cli.options import COUNT, POSITIVE, Verb, file_argument, json_option, option


@click.command(name="try", cls=Verb)
@file_argument
@click.argument("input", metavar="INPUT.jsonl", type=click.File("rb"))
@option("--diff", is_flag=True, help="Show what the steps changed in each document instead.")
@option(
    "--expect",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="EXPECTED.jsonl",
    help="Show how the documents differ from these, one a line; exit 1 if they do.",
)
@option("--limit", type=COUNT, metavar="N", help="Read the first N lines only.")
@option("--topic", metavar="TOPIC", help="The source that the lines are for, if there are several.")
@option(
    "--wait",
    "wait_s",
    type=POSITIVE,
    default=10.0,
    metavar="S",
    help="Longest time to wait for a model that does not answer, seconds.",
)
@json_option
def try_(
    *,
    file: str,
    input: BinaryIO,  # noqa: A002 - the argument's name, as in the help
    diff: bool,
    expect: Path | None,
    limit: int | None,
    topic: str | None,
    wait_s: float,
    as_json: bool,
) -> int:
    """Send each line of INPUT.jsonl through a pipeline and its live models; `-` is stdin.

    Batches, slots, retries and dead letters are a worker's, Kafka is left out. Documents go to
    stdout in the order of the lines; dead letters to stderr, and they are no failure. A model
    server that the file says how to start is started where nothing answers.
    """
    from headrace.cli.outcomes import Shown, show
    from headrace.cli.rehearsing import Trial, conduct
    from headrace.cli.settings import load_pipeline

    trial = Trial.of(file, load_pipeline(file, imports=True), input, topic, limit)
    return show(conduct(trial, wait_s), trial, Shown(diff, expect, as_json)) or Exit.OK
