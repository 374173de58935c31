"""`headrace graph`: a pipeline as a drawing."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, file_argument, option


@click.command(cls=Verb)
@file_argument
@option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "svg", "json"]),
    default="text",
    help="What to print.",
)
@option("--live", is_flag=True, help="Ask Kafka how many partitions the topics have.")
@bootstrap_option
def graph(file: str, form: str, live: bool, bootstrap_servers: str | None) -> int:
    """Draw a pipeline: topics, steps, and the fields that go from one to the next.

    An ellipsis stands for the rest of the document. JSON is an object with the lists `steps`,
    `stages`, `topics` and `edges`; an edge's ends are `step:NAME` or `topic:NAME`.
    """
    from headrace.cli import drawings, picture
    from headrace.cli.settings import connection_of, load_pipeline, load_reachable
    from headrace.core.graph import graph_of
    from headrace.core.topics import needed_topics
    from headrace.kafka.reading import partitions_of

    counts = {}
    if live:
        topology = load_reachable(file, bootstrap_servers)
        names = [each.name for each in needed_topics(topology)]
        found = partitions_of(connection_of(topology), names)
        counts = {name: len(places) for name, places in found.items() if places}
    else:
        topology = load_pipeline(file, bootstrap_servers).topology
    draw = {
        "text": drawings.as_text,
        "mermaid": drawings.as_mermaid,
        "svg": picture.as_svg,
        "json": drawings.as_json,
    }[form]
    print(draw(graph_of(topology, counts)))
    return Exit.OK
