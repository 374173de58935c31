"""One trial of a pipeline: its lines, its model servers, and how it is run."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Self

from headrace.cli.lines import lines_of
from headrace.cli.progress import Progress
from headrace.cli.serving import start_absent
from headrace.cli.settings import Loaded
from headrace.cli.work import run_fast
from headrace.errors import ConfigError
from headrace.functions.callers import caller_of
from headrace.spec.lint import did_you_mean, listing
from headrace.spec.loader import folder_of
from headrace.testing.rehearsal import Rehearsed, Watch, rehearse
from headrace.wiring import client_for

_LOOK_EVERY_S = 0.002


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        loaded: The pipeline.
        folder: Where its relative paths start.
        topic: The source that the lines are for.
        values: The lines.
    """

    loaded: Loaded
    folder: Path
    topic: str
    values: list[bytes]

    @classmethod
    def of(
        cls, file: str, loaded: Loaded, lines: BinaryIO, topic: str | None, limit: int | None
    ) -> Self:
        """Read the lines for a pipeline.

        Raises:
            ConfigError: The pipeline has no such source, or several and none is named.
        """
        known = [source.topic for source in loaded.topology.sources]
        if topic is None and len(known) > 1:
            raise ConfigError(f"name a source with --topic; {listing(known, '')}")
        if topic is not None and topic not in known:
            hint = did_you_mean(topic, known, listing(known, ""))
            raise ConfigError(f"the pipeline reads no topic {topic!r}; {hint}")
        values = list(islice(lines_of(lines), limit))
        return cls(loaded, folder_of(file).resolve(), topic or known[0], values)


def conduct(trial: Trial, wait_s: float) -> Rehearsed:
    """Run a trial; blocks.

    Raises:
        LocalError: A model server does not start.
        InferenceError: A model did not answer in time.
        ConfigError: A function cannot be loaded.
    """
    with Progress() as progress:
        return run_fast(_conduct(trial, wait_s, progress))


async def _conduct(trial: Trial, wait_s: float, progress: Progress) -> Rehearsed:
    records = [(trial.topic, value) for value in trial.values]
    async with AsyncExitStack() as parts:
        topology, _ = await start_absent(trial.loaded, trial.folder, parts, progress)
        with progress.count("documents done") as tell:
            watch = Watch(_LOOK_EVERY_S, wait_s, lambda done: tell(done, len(records)))
            return await rehearse(topology, records, client_for, watch, caller_of)
