"""`headrace broker`: an embedded Kafka in the foreground."""

import contextlib
import signal
import threading
from pathlib import Path

import click

from headrace.cli.exits import Exit
from headrace.cli.options import PORT, Verb, option


@click.command(cls=Verb)
@option("--port", type=PORT, metavar="P", help="Port for clients; default: 9092 if free, else any.")
@option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="D",
    help="Folder for the data; it stays. Default: temporary.",
)
def broker(port: int | None, data_dir: Path | None) -> int:
    """Run a new embedded Kafka in the foreground, whatever else runs.

    Its first line on stdout is `bootstrap.servers=127.0.0.1:PORT`, once it is ready.
    """
    from headrace.cli.progress import Progress
    from headrace.errors import LocalError
    from headrace.local.kafka import EmbeddedKafka

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as parts:
        with Progress() as progress, progress.step("Kafka") as tell:
            kafka = EmbeddedKafka(port=port, data_dir=data_dir, progress=tell)
            parts.enter_context(kafka)
        print(f"bootstrap.servers={kafka.bootstrap_servers}", flush=True)
        while not stop.wait(0.2):
            if not kafka.is_running:
                raise LocalError(f"the embedded Kafka ended by itself; see {kafka.log_path}")
    return Exit.OK
