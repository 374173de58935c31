"""`headrace tail`: a topic as JSON lines."""

import sys

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, json_option, option, pipeline_option


@click.command(cls=Verb)
@click.argument("topic")
@option("--from-beginning", is_flag=True, help="Show what the topic holds already, too.")
@option("--until-idle", is_flag=True, help="End when everything that was there is shown.")
@json_option
@pipeline_option
@bootstrap_option
def tail(
    topic: str,
    from_beginning: bool,
    until_idle: bool,
    as_json: bool,
    pipeline: str | None,
    bootstrap_servers: str | None,
) -> int:
    """Print each committed record of TOPIC: its value, one a line.

    With --json a line is an object with topic, partition, offset, timestamp, key, headers and
    value. Ctrl-C ends it.
    """
    from headrace.cli.settings import await_broker, connection_to
    from headrace.cli.shapes import as_object, value_line
    from headrace.kafka.reading import CommittedReader, existing_partitions, log_bounds

    connection = connection_to(bootstrap_servers, pipeline)
    await_broker(connection)
    partitions = existing_partitions(connection, topic)
    bounds = log_bounds(connection, partitions)
    starts = {each: bounds[each][0 if from_beginning else 1] for each in partitions}
    line = as_object if as_json else value_line
    with CommittedReader(connection, starts) as reader:
        while not (until_idle and reader.is_at_end):
            records = reader.poll()
            sys.stdout.buffer.writelines(line(record) + b"\n" for record in records)
            if records:
                sys.stdout.flush()
    return Exit.OK
