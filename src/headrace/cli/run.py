"""`headrace run`: a production worker."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import PORT, Verb, bootstrap_option, file_argument, option


@click.command(cls=Verb)
@file_argument
@option("--stage", "stages", multiple=True, metavar="S", help="Run this stage only; repeatable.")
@option("--slot", metavar="S", help="The worker's name in the fleet; default: a random one.")
@option("--status-port", type=PORT, metavar="P", help="Port of /live, /ready, /metrics, /status.")
@option(
    "--ignore-metadata",
    is_flag=True,
    help="Start from commits whose metadata cannot be read; finished records are repeated.",
)
@bootstrap_option
def run(
    file: str,
    stages: tuple[str, ...],
    slot: str | None,
    status_port: int | None,
    ignore_metadata: bool,
    bootstrap_servers: str | None,
) -> int:
    """Run a worker: all stages unless --stage, any number side by side.

    SIGTERM and Ctrl-C finish what is under way, commit, leave the group and exit 0; a second
    Ctrl-C ends at once with 130. Nothing is lost or doubled either way.
    """
    import os

    from headrace.cli.settings import load_topology, stage_named
    from headrace.cli.work import work
    from headrace.core.topology import Plan
    from headrace.telemetry import logs

    logs.configure(os.environ)
    topology = load_topology(file, bootstrap_servers)
    for stage in stages:
        stage_named(topology, stage)
    work(Plan(topology, slot or os.urandom(4).hex(), stages, status_port, ignore_metadata))
    return Exit.OK
