"""`headrace send`: JSON lines into a topic."""

from pathlib import Path
from typing import BinaryIO

import click

from headrace.cli.exits import Exit
from headrace.cli.options import POSITIVE, Verb, bootstrap_option, option, pipeline_option


@click.command(cls=Verb)
@click.argument("topic")
@click.argument("file", type=click.File("rb"), default="-", required=False)
@option("--key", "key_path", metavar="PATH", help="Dotted path of the key in each line.")
@option("--rate", type=POSITIVE, metavar="N", help="Records per second; default: as fast as can.")
@option(
    "--curve",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Lines `seconds,records_per_second`: the rate follows them, straight between two.",
)
@pipeline_option
@bootstrap_option
def send(
    topic: str,
    file: BinaryIO,
    key_path: str | None,
    rate: float | None,
    curve: Path | None,
    pipeline: str | None,
    bootstrap_servers: str | None,
) -> int:
    """Send each line of FILE (or stdin) as one record to TOPIC.

    Every line must be JSON; the first that is not ends the verb. Without --key records have no
    key and go round the partitions. A --curve whose last rate is 0 ends the verb there; any other
    last rate goes on.
    """
    from headrace.cli import pacing
    from headrace.cli.lines import json_lines
    from headrace.cli.progress import Progress
    from headrace.cli.settings import await_broker, connection_to, say
    from headrace.kafka.lines import LineWriter

    if rate is not None and curve is not None:
        raise click.UsageError("--rate and --curve exclude each other")
    pace = pacing.curve(curve) if curve else pacing.steady(rate)
    connection = connection_to(bootstrap_servers, pipeline)
    await_broker(connection)
    with LineWriter(connection, topic) as writer:
        try:
            with Progress() as progress, progress.count("records sent") as count:
                for value, key in pacing.paced(json_lines(file, key_path), pace):
                    writer.write(value, key)
                    count(writer.sent, None)
        finally:
            writer.flush()
            say(f"sent {writer.sent:,} records to {topic}")
    return Exit.OK
