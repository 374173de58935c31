"""Translates 1,000 tweets on an embedded Kafka, shows what came out, and does it again under fire.

The second time a worker is killed every two seconds; what is then in Kafka is read back and must be
every tweet once. The last line on stdout is the summary of that run.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import proof
from rich.console import Console
from rich.table import Table

from headrace.core.topology import Topology
from headrace.kafka.dead_letters import DeadLetter, DeadLetters
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import existing_partitions, held_records
from headrace.local.kafka import EmbeddedKafka
from headrace.spec.compile import compile_file

HERE = Path(__file__).parent
PIPELINE = HERE / "pipeline.yaml"
TWEETS = HERE / "tweets.jsonl"
SHOWN = 12
WIDTH = 120
QUIETLY = ("--workers", "2")
UNDER_FIRE = ("--workers", "3", "--rate", "60", "--kill-every", "2")


def main() -> int:
    """Run the pipeline twice and return the exit code: 0 if every tweet is accounted for."""
    console = Console(width=WIDTH if not sys.stdout.isatty() else None)
    with EmbeddedKafka(port=0, progress=say) as kafka:
        topology = replace(
            compile_file(PIPELINE, os.environ), bootstrap_servers=kafka.bootstrap_servers
        )
        translate(topology, *QUIETLY)
        console.print(translations(topology))
        console.print(refused(DeadLetters(topology).open()))
        say("the same tweets again, 60 a second, and every two seconds a worker is killed")
        since = proof.ends(topology)
        summary = translate(topology, *UNDER_FIRE)
        found = proof.read_back(topology, since, summary["kills"])
    console.print(str(found), highlight=False, soft_wrap=True)
    print(json.dumps(summary), flush=True)
    return 0 if found.holds else 1


def translate(topology: Topology, *options: str) -> dict[str, Any]:
    """Run `headrace up` until every tweet is done, and return its summary."""
    command = [sys.executable, "-m", "headrace", "up", str(PIPELINE), *options]
    command += ["--input", f"tweets={TWEETS}", "--until-idle"]
    command += ["--bootstrap-servers", topology.bootstrap_servers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        try:
            told, _ = up.communicate()
        except KeyboardInterrupt:
            # Ctrl-C has reached it, too; it stops its children in order.
            up.wait()
            raise SystemExit(130) from None
    if up.returncode:
        raise SystemExit(up.returncode)
    summary: dict[str, Any] = json.loads(told.splitlines()[-1])
    return summary


def translations(topology: Topology) -> Table:
    """Return a table of some tweets beside their translation."""
    table = Table(title="some of the translations", title_justify="left", expand=True)
    for heading in ("tweet", "tuit"):
        table.add_column(heading, ratio=1)
    found = sorted(documents(topology), key=lambda each: int(each["id"]))
    for document in found[:: max(1, len(found) // SHOWN)][:SHOWN]:
        table.add_row(document["text"], document["translation"])
    return table


def documents(topology: Topology) -> Iterator[dict[str, Any]]:
    """Yield every committed document of the sink."""
    connection = admin_properties(topology)
    sink = topology.stages[0].sinks[0].topic
    for record in held_records(connection, existing_partitions(connection, sink)):
        if record.value is not None:
            yield json.loads(record.value)


def refused(letters: list[DeadLetter]) -> Table:
    """Return a table of the dead letters and why each was given up."""
    table = Table(title=f"{len(letters)} dead letters", title_justify="left", expand=True)
    for heading, ratio in (("record", 1), ("value", 3), ("reason", 4)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for letter in letters:
        value = (letter.value or b"").decode(errors="backslashreplace")
        reason = f"{letter.error}: {letter.message}"
        table.add_row(letter.id, shortened(value), shortened(reason, 160))
    return table


def shortened(text: str, width: int = 70) -> str:
    """Return text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
