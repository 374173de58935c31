"""`headrace trace`: every hop of one record."""

from datetime import timedelta
from typing import Any

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, file_argument, json_option, option


class _Duration(click.ParamType[float]):
    """A duration in the pipeline file's notation, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from pydantic import TypeAdapter, ValidationError

        from headrace.spec.values import Span

        try:
            found: timedelta = TypeAdapter(Span).validate_python(value)
        except ValidationError:
            self.fail(f"{value!r} is not a duration, as in 30s, 10m or 2h", param, ctx)
        return found.total_seconds()


@click.command(cls=Verb)
@file_argument
@click.argument("record_id")
@option(
    "--within",
    type=_Duration(),
    metavar="DURATION",
    default="10m",
    help="How far timestamps in a topic may be out of order: reading ends at records that are "
    "this much younger.",
)
@json_option
@bootstrap_option
def trace(
    file: str, record_id: str, within: float, as_json: bool, bootstrap_servers: str | None
) -> int:
    """Show every hop of one record, and where it stands now.

    RECORD_ID is that of the source record, `topic-partition-offset` as in tweets-3-1204, or of a
    child of it, as in tweets-3-1204/7. Results carry it in the header `headrace-id`, and
    `headrace dlq ls` shows it. A hop is a record in Kafka: topic, partition and offset, when it
    was written, which models worked on it, attempts, errors, replays. Only a small part of each
    topic is read.
    """
    import asyncio

    from headrace.cli import trails
    from headrace.cli.settings import load_reachable
    from headrace.core.record_ids import parsed_id
    from headrace.kafka.tracing import trace as follow

    parsed_id(record_id)  # refused before a broker is looked for
    topology = load_reachable(file, bootstrap_servers)
    trail = asyncio.run(follow(topology, record_id, within))
    print(trails.as_json(trail) if as_json else trails.as_text(trail))
    return Exit.OK
