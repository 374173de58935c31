"""`headrace status`: what every step of a pipeline is doing."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, bootstrap_option, file_argument, json_option, option


@click.command(cls=Verb)
@file_argument
@option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C; exit 0.")
@json_option
@bootstrap_option
def status(file: str, watch: bool, as_json: bool, bootstrap_servers: str | None) -> int:
    """Show per step: workers, rate, remaining work, in flight, oldest unfinished, errors, model.

    Remaining work, by parent where there are several, comes from Kafka, the rest from the workers
    that answer; one that does not is shown as unreachable. The steps of a fused stage share its
    workers. With --watch a terminal shows one table that changes, anything else gets block after
    block (with --json line after line), and a broker that is away is waited for.
    """
    import asyncio

    from headrace.cli.settings import load_reachable
    from headrace.cli.survey import Survey
    from headrace.cli.survey_tables import rendered

    topology = load_reachable(file, bootstrap_servers)
    if watch:
        from headrace.cli.watching import watch_steps

        watch_steps(topology, as_json=as_json)
    else:
        print(rendered(asyncio.run(Survey(topology).look()), as_json=as_json))
    return Exit.OK
