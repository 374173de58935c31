"""`headrace test`: a pipeline's test cases, with scripted models."""

import json
import os
from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.options import Verb, file_argument, json_option, option


@click.command(name="test", cls=Verb)
@file_argument
@option("--case", "names", multiple=True, metavar="NAME", help="Run this case only; repeatable.")
@option(
    "--cases",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="CASES.yaml",
    help="File of cases; repeatable. Default: NAME.test.yaml and NAME.*.test.yaml beside FILE.",
)
@json_option
def test(file: str, names: tuple[str, ...], files: tuple[Path, ...], as_json: bool) -> int:
    """Run a pipeline's test cases: no Kafka, no model server, and no time passes.

    Cases run on the real runtime, with its batches, retries and dead letters; only Kafka and the
    models are replaced. Exits 1 if a case fails, 2 if a file of cases has problems.
    """
    from dataclasses import asdict

    from headrace.cli.settings import load_pipeline, say
    from headrace.spec.case_file import load_cases
    from headrace.testing.cases import run_cases

    topology = load_pipeline(file, imports=True).topology
    ran = []
    for each in run_cases(topology, load_cases(file, files, topology, os.environ), names):
        ran.append(each)
        if not as_json:
            print(f"ok    {each.name}" if each.has_passed else f"FAIL  {each.name} ({each.place})")
            for problem in each.problems:
                print(f"      {problem.message}")
    failed = [each for each in ran if not each.has_passed]
    if as_json:
        print(json.dumps({"file": file, "ok": not failed, "cases": [asdict(each) for each in ran]}))
    say(f"{len(ran) - len(failed)} passed, {len(failed)} failed")
    return Exit.FAILURE if failed else Exit.OK
