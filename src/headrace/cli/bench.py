"""`headrace bench`: what one's own models do over every protocol they speak."""

from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.options import POSITIVE, Verb, file_argument, json_option, option


def _counts(_: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(each) for each in value.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not like 1,8,32", param=parameter)
    return counts


@click.command(cls=Verb)
@file_argument
@option(
    "--records",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.jsonl",
    help="Records of a source to ask for, or with --model documents as its step reads them."
    " Default: made up from what the model says about its inputs.",
)
@option("--model", metavar="M", help="Only this model.")
@option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="Another address of the model, for a protocol that the file does not name; repeatable.",
)
@option("--rows", default="1,8,32,128", callback=_counts, metavar="N,N", help="Rows in a request.")
@option("--slots", default="1,2,4,8", callback=_counts, metavar="N,N", help="Requests at once.")
@option("--seconds", type=POSITIVE, default=1.0, metavar="S", help="How long each way is tried.")
@json_option
def bench(
    *,
    file: str,
    records: Path | None,
    model: str | None,
    urls: tuple[str, ...],
    rows: tuple[int, ...],
    slots: tuple[int, ...],
    seconds: float,
    as_json: bool,
) -> int:
    """Time real requests to the pipeline's models: protocols, rows and requests at once.

    Prints rows/s, latency, the client's CPU time and bytes per row of every way, and settings to
    paste for the best. A model that is not there but has `serve:` is started for it.
    """
    import asyncio

    from headrace.cli.bench_report import as_object, rendered
    from headrace.cli.measuring import Grid, Wanted, measure_all
    from headrace.cli.progress import Progress
    from headrace.cli.settings import load_pipeline

    wanted = Wanted(file, records, model, urls, Grid(rows, slots, seconds))
    loaded = load_pipeline(file, imports=True)
    with Progress() as progress:
        reports = asyncio.run(measure_all(loaded, wanted, progress))
    print(as_object(reports) if as_json else rendered(reports))
    return Exit.OK if all(each.measured for each in reports) else Exit.MODEL
