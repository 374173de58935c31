"""Real requests to a pipeline's models, over every protocol they speak, timed."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.cli.progress import Progress
from headrace.cli.sampling import columns_of, made_up, reads_what_came_in
from headrace.cli.serving import all_urls, start_absent
from headrace.cli.settings import Loaded
from headrace.core.models import Profile
from headrace.core.steps import ModelStep
from headrace.core.topology import Topology
from headrace.core.tuning import Measured, percentile, recommend
from headrace.errors import (
    ConfigError,
    InferenceError,
    InvalidInputError,
    InvalidRowsError,
    first_of,
)
from headrace.inference.client import ModelClient
from headrace.spec.loader import folder_of
from headrace.wiring import client_for

Columns = Sequence[Sequence[Any]]

FIRST_ANSWER_WITHIN_S = 60.0
SCREENED_ROWS = 64


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried.

    Attributes:
        rows: Rows in a request.
        slots: Requests at once.
        seconds: How long each way is tried.
    """

    rows: Sequence[int]
    slots: Sequence[int]
    seconds: float


@dataclass(slots=True)
class Report:
    """What was found out about a model.

    Attributes:
        step: A step that calls it.
        ways: The step as it would be written for each protocol.
        measured: Every way that was tried.
        refused: Protocols it does not speak, and what it said.
        left_out: How many rows it refused, by protocol.
    """

    step: ModelStep
    ways: Mapping[str, ModelStep]
    measured: list[Measured] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def recommended(self) -> Measured | None:
        """The way to choose."""
        return recommend(self.measured)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for.

    Attributes:
        file: The pipeline, as named.
        records: File of documents to ask for, None to make rows up. They are records of a source,
            or with `model` documents as its step reads them.
        model: The only model to measure, None for all.
        urls: Further addresses of the model.
        grid: What is tried.
    """

    file: str
    records: Path | None
    model: str | None
    urls: Sequence[str]
    grid: Grid


def variants(step: ModelStep, more_urls: Sequence[str]) -> Mapping[str, ModelStep]:
    """Return a step per protocol that the model's URLs, or others of it, may speak."""
    model = step.model
    found: dict[str, ModelStep] = {}
    for urls in (model.urls, *((url,) for url in more_urls)):
        if urls[0].startswith("grpc"):
            at = replace(model, urls=urls, profile=Profile.AUTO)
            found.setdefault("gRPC", replace(step, model=at))
            continue
        profiles = {"REST JSON": Profile.JSON, "REST binary": Profile.BINARY}
        if model.profile is Profile.V1:
            profiles = {"KServe V1": Profile.V1}
        for name, profile in profiles.items():
            at = replace(model, urls=urls, profile=profile)
            found.setdefault(name, replace(step, model=at))
    return found


async def measure_all(loaded: Loaded, wanted: Wanted, progress: Progress) -> list[Report]:
    """Measure the pipeline's models one after the other.

    Raises:
        ConfigError: There is no such model, or nothing to ask it for.
        InferenceError: A model cannot be asked what it takes.
        LocalError: A model server does not start.
    """
    known = [step.model.name for step in loaded.topology.models]
    if wanted.model is not None and wanted.model not in known:
        raise ConfigError(f"no step calls a model {wanted.model!r}; there is: {', '.join(known)}")
    async with AsyncExitStack() as parts:
        folder = folder_of(wanted.file).resolve()
        topology, servers = await start_absent(loaded, folder, parts, progress)
        steps: dict[str, ModelStep] = {}
        for step in topology.models:
            steps.setdefault(step.model.name, step)
        reports = []
        for name, step in steps.items():
            if wanted.model in (None, name):
                urls = (*wanted.urls, *all_urls(loaded, servers, name))
                report = Report(step, variants(step, urls))
                columns = await _columns(topology, step, wanted, progress)
                reports.append(await _measure_one(report, columns, wanted.grid, progress))
        return reports


async def _columns(
    topology: Topology, step: ModelStep, wanted: Wanted, progress: Progress
) -> Columns:
    """Return the rows to ask a model for: from the file of records, or made up."""
    if wanted.records is None:
        return await made_up(step)
    if wanted.model is None and not reads_what_came_in(topology, step):
        name, topic = step.model.name, next((i.topic for i in step.inlets if i.topic), "")
        read = f" (`headrace tail {topic} --from-beginning` shows such documents)" if topic else ""
        progress.say(
            f"{name}: rows made up, because step {step.name} reads what other steps write; measure"
            f" it alone with --model {name} and --records of its documents{read}"
        )
        return await made_up(step)
    columns, unfit = columns_of(step, wanted.records)
    if unfit:
        progress.say(f"{wanted.records}: {unfit:,} lines left out: no document to ask for")
    return columns


async def _measure_one(report: Report, columns: Columns, grid: Grid, progress: Progress) -> Report:
    name = report.step.model.name
    total = len(report.ways) * len(grid.rows) * len(grid.slots)
    progress.say(f"{name}: {total} ways, about {total * grid.seconds:,.0f} s")
    with progress.count("ways tried") as tell:
        await measure(columns, grid, report, lambda: tell(len(report.measured), total))
    for protocol, count in report.left_out.items():
        progress.say(f"{name}: {count:,} rows left out, refused over {protocol}")
    return report


async def measure(
    columns: Columns, grid: Grid, report: Report, on_progress: Callable[[], None]
) -> None:
    """Try every way in turn and add it to the report.

    Rows that the model refuses are left out. A protocol that it does not speak, or over which it
    refuses every row, goes into `report.refused`.
    """
    for protocol, step in report.ways.items():
        client = client_for(step)
        try:
            async with asyncio.timeout(FIRST_ANSWER_WITHIN_S):
                fit = await _accepted(client, columns)
            left_out = len(columns[0]) - len(fit[0])
            if left_out:
                report.left_out[protocol] = left_out
            for rows, slots in itertools.product(grid.rows, grid.slots):
                batches = _batches(fit, rows)
                report.measured.append(
                    await _try(client, protocol, batches, (rows, slots), grid.seconds)
                )
                on_progress()
        except InferenceError as error:
            report.refused[protocol] = str(error)
        except TimeoutError:
            report.refused[protocol] = f"no answer within {FIRST_ANSWER_WITHIN_S:g} s"
        finally:
            await client.close()


async def _accepted(client: ModelClient, columns: Columns) -> Columns:
    """Return the rows that the model takes.

    Raises:
        InferenceError: It takes none, or cannot answer.
    """
    count, kept = len(columns[0]), list[int]()
    parts = [range(at, min(at + SCREENED_ROWS, count)) for at in range(0, count, SCREENED_ROWS)]
    refusal: InferenceError | None = None
    while parts:
        part = parts.pop(0)
        try:
            await client.infer([[column[row] for row in part] for column in columns])
            kept += part
        except (InvalidInputError, InvalidRowsError) as error:
            refusal = error
            half = len(part) // 2
            parts[:0] = [half_part for half_part in (part[:half], part[half:]) if half]
    if refusal is not None and not kept:
        raise refusal
    return [[column[row] for row in kept] for column in columns]


def _batches(columns: Columns, rows: int) -> Sequence[Columns]:
    """Return requests of so many rows each; the rows are repeated where there are too few."""
    count = len(columns[0])
    if count < rows:
        columns = [list(itertools.islice(itertools.cycle(column), rows)) for column in columns]
        count = rows
    starts = range(0, count - rows + 1, rows)
    return [[column[start : start + rows] for column in columns] for start in starts]


async def _try(
    client: ModelClient,
    protocol: str,
    batches: Sequence[Columns],
    shape: tuple[int, int],
    seconds: float,
) -> Measured:
    rows, slots = shape
    await client.infer(batches[0])
    bytes_before = client.traffic_bytes
    turn = itertools.cycle(batches)
    took: list[float] = []
    clock = time.perf_counter
    begun, cpu_begun = clock(), time.process_time()
    until = begun + seconds

    async def ask() -> None:
        while (started := clock()) < until:
            await client.infer(next(turn))
            took.append(clock() - started)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(slots):
                tasks.create_task(ask(), name="ask")
    except ExceptionGroup as group:
        raise first_of(group) from None
    elapsed, cpu = clock() - begun, time.process_time() - cpu_begun
    done = rows * len(took)
    return Measured(
        protocol=protocol,
        rows=rows,
        slots=slots,
        rate=done / elapsed,
        p50_s=percentile(took, 0.5),
        p99_s=percentile(took, 0.99),
        cpu_us=1e6 * cpu / done,
        row_bytes=(client.traffic_bytes - bytes_before) / done,
    )
