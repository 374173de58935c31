"""`headrace dlq`: dead letters, and sending them back."""

import click

from headrace.cli.exits import Exit
from headrace.cli.options import (
    POSITIVE,
    Verbs,
    bootstrap_option,
    file_argument,
    json_option,
    option,
)

_step = option("--step", "step", metavar="S", help="Only those that this step gave up.")
_where = option(
    "--where",
    metavar="CEL",
    help="Only those for which this holds, as in `error == 'InvalidInputError' && attempts > 1`.",
)


@click.group(cls=Verbs)
def dlq() -> None:
    """Look at dead letters, and send them back to the step that gave them up.

    Variables of --where: id, record, step, because_of, error, message, attempts, source, model,
    partition, offset, timestamp, first_ms, last_ms, key, value, headers.
    """


@dlq.command()
@file_argument
@_step
@_where
@json_option
@bootstrap_option
def ls(
    file: str,
    step: str | None,
    where: str | None,
    as_json: bool,
    bootstrap_servers: str | None,
) -> int:
    """List the open dead letters: id, step, error, attempts, source and time.

    Those of one source record stand together. A join or gather that failed because a part did
    stands below the step that failed.
    """
    from headrace.cli import letters
    from headrace.cli.settings import load_reachable, say

    topology = load_reachable(file, bootstrap_servers)
    found = letters.chosen(topology, step, where)
    if found or as_json:
        print(letters.listing(found, as_json=as_json))
    else:
        say(letters.nothing_like(topology, step, where))
    return Exit.OK


@dlq.command()
@file_argument
@click.argument("record_id", required=False)
@_step
@_where
@json_option
@bootstrap_option
def show(
    file: str,
    record_id: str | None,
    step: str | None,
    where: str | None,
    as_json: bool,
    bootstrap_servers: str | None,
) -> int:
    """Show open dead letters whole, value and headers.

    RECORD_ID chooses one record's, those of its children included. Of a join or gather the parts
    that had come are shown.
    """
    from headrace.cli import letters
    from headrace.cli.settings import load_reachable, say

    topology = load_reachable(file, bootstrap_servers)
    found = letters.chosen(topology, step, where, record_id)
    if found or as_json:
        print(letters.whole(found, as_json=as_json))
    else:
        say(letters.nothing_like(topology, step, where, record_id))
    return Exit.OK if found or not record_id else Exit.FAILURE


@dlq.command()
@file_argument
@_step
@_where
@option("--rate", type=POSITIVE, metavar="N", help="Most records a second; default: no limit.")
@json_option
@bootstrap_option
def replay(
    file: str,
    step: str | None,
    where: str | None,
    rate: float | None,
    as_json: bool,
    bootstrap_servers: str | None,
) -> int:
    """Send open dead letters back, each exactly once, through their step's retry topic.

    Running workers take them from there. What was sent back is not listed any more; what fails
    again becomes a new dead letter. With a letter that --step or --where chooses go all others of
    its source record: a join cannot go on before every part that failed is repeated.
    """
    import asyncio
    import json
    from dataclasses import asdict

    from headrace.cli import letters
    from headrace.cli.progress import Progress
    from headrace.cli.settings import load_reachable, say
    from headrace.kafka.replay import replay as send_back

    topology, choose = load_reachable(file, bootstrap_servers), letters.choice(step, where)
    with Progress() as progress, progress.count("dead letters sent back") as count:
        done = asyncio.run(send_back(topology, choose, rate=rate, report=count))
    if as_json:
        counts = asdict(done)
        print(json.dumps({"replayed": counts.pop("records"), **counts}))
    else:
        print(f"replayed {done.records}")
    for words in letters.about(done):
        say(words)
    return Exit.OK
