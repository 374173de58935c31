"""`headrace status`: what every step of a pipeline is doing."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, file_argument, json_option, option


@click.command(cls=Verb)
@file_argument
@option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@json_option
@bootstrap_option
def status(file: str, watch: bool, as_json: bool, bootstrap_servers: str | None) -> int:
    """Show per step: workers, rate, remaining work, in flight, oldest unfinished, errors, model.

    Remaining work comes from Kafka, the rest from the workers that answer; one that does not is
    shown as unreachable.
    """
    import asyncio
    import time

    from headrace.cli import survey
    from headrace.cli.settings import load_reachable

    topology = load_reachable(file, bootstrap_servers)
    while True:
        print(survey.rendered(asyncio.run(survey.look(topology)), as_json=as_json), flush=True)
        if not watch:
            return Exit.OK
        time.sleep(1.0)
