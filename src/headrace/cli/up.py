"""`headrace up`: everything a pipeline needs, on this machine."""

from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.options import (
    COUNT,
    POSITIVE,
    SECONDS,
    Verb,
    bootstrap_option,
    file_argument,
    option,
)


@click.command(cls=Verb)
@file_argument
@option(
    "--input",
    "inputs",
    multiple=True,
    metavar="TOPIC=FILE.jsonl",
    help="Send each line's bytes as one value, unparsed, without key; repeatable.",
)
@option(
    "--key",
    "key_path",
    metavar="PATH",
    help="Key of each --input line: what stands at this dotted path. A line without it has none.",
)
@option("--workers", type=COUNT, default=1, metavar="N", help="Worker processes.")
@option("--rate", type=POSITIVE, metavar="N", help="Records a second, of each --input.")
@option(
    "--kill-every",
    type=SECONDS,
    metavar="S",
    help="Kill a random worker with -9 every S (2, 2s, 500ms), with --input until all are sent.",
)
@option(
    "--until-idle",
    is_flag=True,
    help="End when all input is done; the last line of stdout is a summary in JSON.",
)
@option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="D",
    help="Folder for Kafka's data; it stays. Default: temporary.",
)
@option("--no-console", is_flag=True, help="Start no console; this version has none.")
@bootstrap_option
def up(
    *,
    file: str,
    inputs: tuple[str, ...],
    key_path: str | None,
    workers: int,
    rate: float | None,
    kill_every: float | None,
    until_idle: bool,
    data_dir: Path | None,
    no_console: bool,
    bootstrap_servers: str | None,
) -> int:
    """Run a pipeline with its Kafka, model servers and workers, and restart what dies.

    Missing topics are created. Ctrl-C stops everything in order. The summary counts this run's
    records from Kafka: read (source records finished by all who read them), written (to sinks),
    dead_lettered (by branch and child), dropped (read, and nothing came of it), retried (through
    a retry topic), and the seconds from the workers' start until everything was done.
    """
    del no_console
    from headrace.cli.everything import Wishes, bring_up
    from headrace.cli.feeding import Inputs
    from headrace.cli.settings import load_pipeline

    loaded = load_pipeline(file, bootstrap_servers, imports=True)
    wishes = Wishes(
        file=file,
        inputs=Inputs.parsed(inputs, loaded.topology, rate, key_path),
        workers=workers,
        kill_every_s=kill_every,
        until_idle=until_idle,
        data_dir=data_dir,
    )
    return bring_up(loaded, wishes) or Exit.OK
