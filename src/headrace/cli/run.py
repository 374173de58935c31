"""`headrace run`: a production worker."""

import asyncio
import os
import signal
import uuid

import click

from headrace.cli.exits import Exit
from headrace.cli.options import PORT, Verb, bootstrap_option, file_argument, option
from headrace.core.topology import Topology


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
    from headrace.cli.settings import load_topology, stage_named
    from headrace.telemetry import logs

    logs.configure(os.environ)
    topology = load_topology(file, bootstrap_servers)
    for stage in stages:
        stage_named(topology, stage)
    work = Work(topology, slot or uuid.uuid4().hex[:8], stages, status_port, ignore_metadata)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work.run())
    return Exit.OK


class Work:
    """One worker process: its pipeline, and the signals that end it."""

    def __init__(
        self,
        topology: Topology,
        slot: str,
        stages: tuple[str, ...],
        status_port: int | None,
        ignore_metadata: bool,
    ) -> None:
        self._topology = topology
        self._slot = slot
        self._stages = stages
        self._status_port = status_port
        self._ignore_metadata = ignore_metadata
        self._stop = asyncio.Event()
        self._interrupts = 0

    async def run(self) -> None:
        """Run until a signal, then drain."""
        from headrace import wiring

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        if not await self._is_kafka_ready():
            return
        await wiring.run(
            self._topology,
            slot=self._slot,
            stages=self._stages,
            status_port=self._status_port,
            stop=self._stop,
            ignore_metadata=self._ignore_metadata,
        )

    async def _is_kafka_ready(self) -> bool:
        """Check broker and topics; False if a signal came first."""
        checking = asyncio.create_task(asyncio.to_thread(check_kafka, self._topology))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({checking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not checking.done():
            return False
        checking.result()
        return True

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            # What is not committed is read again, so there is nothing to save here.
            os._exit(Exit.INTERRUPTED)
        self._stop.set()


def check_kafka(topology: Topology) -> None:
    """Check that a broker answers and the pipeline's topics exist; blocks.

    Raises:
        BrokerUnavailableError: No broker answers within 10 s.
        MissingTopicsError: Topics are missing; it names the command that creates them.
    """
    from headrace.cli.settings import await_broker, connection_of
    from headrace.errors import MissingTopicsError
    from headrace.kafka.reading import partitions_of

    connection = connection_of(topology)
    await_broker(connection)
    found = partitions_of(connection, topics_of(topology))
    missing = [topic for topic, partitions in found.items() if not partitions]
    if missing:
        raise MissingTopicsError(
            f"missing topics: {', '.join(missing)}; "
            "create them with `headrace topics apply FILE`"
        )


def topics_of(topology: Topology) -> list[str]:
    """Return every topic the pipeline reads or writes."""
    topics: dict[str, None] = {}
    for stage in topology.stages:
        sources = [source.topic for source in stage.sources]
        sinks = [sink.topic for sink in stage.sinks]
        topics.update(
            dict.fromkeys([*sources, *sinks, stage.retry_topic, stage.dead_letter_topic])
        )
    return list(topics)


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[no-any-return]
