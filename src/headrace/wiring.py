"""The composition root: a compiled pipeline becomes workers over real adapters."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from headrace.core.steps import ModelStep
from headrace.core.topics import needed_topics
from headrace.core.topology import Delivery, Plan, Stage, Topology
from headrace.errors import (
    AccessRefusedError,
    ConfigError,
    InferenceError,
    MissingTopicsError,
    first_of,
)
from headrace.formats.conditions import compile_condition
from headrace.formats.json_objects import decode, encode
from headrace.functions.callers import caller_of
from headrace.inference.client import ModelClient
from headrace.inference.metadata import check, check_batching
from headrace.inference.protocols import client_of
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.consumer import KafkaSource
from headrace.kafka.producer import FaultPoint, KafkaSink
from headrace.kafka.properties import (
    admin_properties,
    client_id,
    consumer_properties,
    producer_properties,
)
from headrace.kafka.purge import Purge
from headrace.kafka.topics import TopicAdmin
from headrace.ports import InferenceClient
from headrace.runtime.committer import Pace
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.worker import Ports, Settings, Worker
from headrace.spec.live import LiveModel
from headrace.telemetry.health import StatusServer

FORMAT = Format(decode, encode, compile_condition)
"""How records become documents and conditions functions."""

PACE = Pace(linger_s=0.025, enough=4_000)
"""Under load results gather a little: a transaction costs Kafka the same for 1 record or 4,000."""

log = logging.getLogger("headrace.wiring")


async def run(plan: Plan, stop: asyncio.Event, *, fault_point: FaultPoint = lambda _: None) -> None:
    """Run the workers of a pipeline in this process until `stop` is set, then drain.

    Args:
        plan: What to run.
        stop: Ends the run: calls under way finish, are committed, and the groups are left.
        fault_point: Called at the steps of every commit; for fault tests.

    Raises:
        MissingTopicsError: Topics that the pipeline needs do not exist.
        HeadraceError: A worker cannot go on; what was not committed will be read again.
    """
    topology = plan.topology
    if topology.delivery is not Delivery.EXACTLY_ONCE:
        raise ConfigError(f"delivery: {topology.delivery} is not built yet; use exactly_once")
    facts = await topic_facts(topology)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(StatusServer(plan.status_port))
        workers = [
            await _worker(plan, stage, facts, server.address, fault_point, stack)
            for stage in plan.chosen
        ]
        server.watch(*workers)
        log.info(
            "worker %s of pipeline %s: stages %s, status on http://%s",
            plan.slot,
            topology.pipeline,
            ", ".join(stage.name for stage in plan.chosen),
            server.address,
            extra={"event": "worker_started", "slot": plan.slot},
        )
        # Groups of their own: a purge that waits for a broker must not keep a worker waiting.
        groups = {stage.name: KafkaGroup(topology, stage) for stage in topology.stages}
        for group in groups.values():
            stack.push_async_callback(group.close)
        purges = [_purge_of(topology, worker, groups) for worker in workers]
        try:
            await _run_until(stop, workers, purges)
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed


async def topic_facts(topology: Topology) -> TopicFacts:
    """Look up partitions and record sizes of every topic the pipeline needs.

    Raises:
        MissingTopicsError: Some do not exist.
        ConfigError: A derived or retry topic has other partitions than its source.
        BrokerUnavailableError: No broker answers.
    """
    needed = needed_topics(topology)
    names = [topic.name for topic in needed]
    admin = TopicAdmin(admin_properties(topology))
    try:
        partitions = await admin.existing(names)
        missing = [name for name in names if name not in partitions]
        if missing:
            raise MissingTopicsError(
                f"topics do not exist: {', '.join(missing)}; create them with"
                " `headrace topics apply`"
            )
        misfits = [each.misfit(partitions) for each in needed if each.is_exact]
        if any(misfits):
            raise ConfigError(
                f"{'; '.join(filter(None, misfits))}; see `headrace topics plan`, and let them grow"
                " with `headrace topics apply`"
            )
        return TopicFacts(partitions, await admin.max_message_bytes(names))
    finally:
        await admin.close()


def actions_for(stage: Stage, client_of_step: Callable[[ModelStep], InferenceClient]) -> Actions:
    """Return what the steps of a stage call.

    Raises:
        ConfigError: A function cannot be loaded.
    """
    models = {
        step.name: [client_of_step(each) for each in by_version(step)] for step in stage.models
    }
    functions = {step.name: caller_of(step) for step in stage.functions}
    return Actions(models, functions)


def by_version(step: ModelStep) -> Sequence[ModelStep]:
    """Return a step once for each version of its model that shares the records."""
    versions = step.model.versions
    if not versions:
        return [step]
    return [replace(step, model=replace(step.model, version=name)) for name, _ in versions]


def client_for(step: ModelStep) -> ModelClient:
    """Return the client for a step's model, by the scheme of its URL and its profile."""
    return client_of(step.model, step.inputs, step.outputs)


async def describe(step: ModelStep) -> LiveModel:
    """Ask a step's model about its tensors, and compare them with the step's."""
    client = client_for(step)
    try:
        metadata = await client.metadata()
    except AccessRefusedError as error:
        return LiveModel((str(error),))
    except InferenceError as error:
        return LiveModel(silence=str(error))
    finally:
        await client.close()
    problems = check(metadata, step.inputs, step.outputs)
    problems += check_batching(metadata, step.inputs, step.outputs, step.batch.max_size)
    return LiveModel(tuple(problems), is_described=bool(metadata.inputs))


async def _worker(
    plan: Plan,
    stage: Stage,
    facts: TopicFacts,
    address: str,
    fault_point: FaultPoint,
    stack: AsyncExitStack,
) -> Worker:
    topology, slot = plan.topology, plan.slot
    group = KafkaGroup(topology, stage)
    stack.push_async_callback(group.close)
    ports = Ports(
        source=KafkaSource(consumer_properties(topology, stage, slot, address), stage.topics),
        group=group,
        sink=KafkaSink(
            producer_properties(
                topology,
                stage.transactional_id(slot),
                client_id(topology, stage, slot, address),
                message_max_bytes=max(facts.max_bytes.values()),
            ),
            fault_point,
        ),
        actions=actions_for(stage, client_for),
    )
    settings = Settings(slot, pace=PACE, ignore_metadata=plan.ignore_metadata)
    return Worker(stage, ports, facts, FORMAT, settings)


def _purge_of(topology: Topology, worker: Worker, groups: Mapping[str, KafkaGroup]) -> Purge:
    def owned() -> set[int]:
        return {ledger.partition.partition for ledger in worker.assignments.owned}

    return Purge(topology, worker.stage, owned, groups)


async def _run_until(
    stop: asyncio.Event, workers: Sequence[Worker], purges: Sequence[Purge]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        purging = [tasks.create_task(purge.run(), name="purge") for purge in purges]
        tasks.create_task(_drain_on(stop, workers, purging), name="stop")
        for worker in workers:
            running = tasks.create_task(worker.run(), name=worker.stage.name)
            running.add_done_callback(lambda _: stop.set())


async def _drain_on(
    stop: asyncio.Event, workers: Sequence[Worker], purging: Sequence[asyncio.Task[None]]
) -> None:
    await stop.wait()
    for purge in purging:
        purge.cancel()
    for worker in workers:
        worker.drain()
