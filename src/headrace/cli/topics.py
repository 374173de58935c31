"""`headrace topics`: the topics a pipeline needs."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verbs, bootstrap_option, file_argument, json_option, option


@click.group(cls=Verbs)
def topics() -> None:
    """Show, create or remove the topics of a pipeline."""


@topics.command()
@file_argument
@json_option
@bootstrap_option
def plan(file: str, as_json: bool, bootstrap_servers: str | None) -> int:
    """Show which topics exist and which `apply` would create or grow.

    Exits 2 if a topic that exists cannot be used: a derived or retry topic with more partitions
    than its source, or that time or size may empty.
    """
    import asyncio

    from headrace.cli import topic_plan
    from headrace.cli.settings import load_reachable

    changes = asyncio.run(topic_plan.plan(load_reachable(file, bootstrap_servers)))
    print(topic_plan.rendered(changes, as_json=as_json))
    return Exit.USAGE if any(each.problem for each in changes) else Exit.OK


@topics.command()
@file_argument
@json_option
@bootstrap_option
def apply(file: str, as_json: bool, bootstrap_servers: str | None) -> int:
    """Create missing topics; headrace's own grow with their source. Never asks.

    Does nothing and exits 2 where `plan` does.
    """
    import asyncio

    from headrace.cli import topic_plan
    from headrace.cli.settings import load_reachable, say

    done = asyncio.run(topic_plan.apply(load_reachable(file, bootstrap_servers)))
    if done or as_json:
        print(topic_plan.rendered(done, as_json=as_json))
    if not done:
        say("nothing to do")
    return Exit.OK


@topics.command()
@file_argument
@option("--yes", is_flag=True, help="Do not ask.")
@bootstrap_option
def delete(file: str, yes: bool, bootstrap_servers: str | None) -> int:
    """Remove headrace's own topics of a pipeline, never a source or a sink.

    Dead letters, delayed records and everything on its way between steps go with them.
    """
    import asyncio

    from headrace.cli import topic_plan
    from headrace.cli.settings import load_reachable, say

    topology = load_reachable(file, bootstrap_servers)
    names = asyncio.run(topic_plan.internal_topics(topology))
    if not names:
        say("nothing to do")
        return Exit.OK
    if not yes:
        listing = ", ".join(names)
        click.confirm(
            f"delete {listing}, with every dead letter and unfinished record in them?",
            abort=True,
            err=True,
        )
    asyncio.run(topic_plan.delete(topology, names))
    for name in names:
        print(f"- deleted {name}")
    return Exit.OK
