"""What the models and the cluster say about a pipeline, as further problems of its file."""

import asyncio

from headrace.cli.exits import Exit
from headrace.cli.settings import await_broker, compiled, connection_of, resolved
from headrace.core.steps import ModelStep
from headrace.core.topology import Topology
from headrace.errors import BrokerError, BrokerUnavailableError
from headrace.spec.lint import Lint, Report, has_errors
from headrace.spec.live import LiveCluster, LiveModel, check_cluster, check_models
from headrace.spec.loader import Checked

_ANSWER_WITHIN_S = 10.0


def ask(checked: Checked, file: str, bootstrap: str | None) -> tuple[list[Lint], Exit]:
    """Return what the models and the cluster of a good pipeline add, and how that ends the verb.

    Raises:
        SpecError: The pipeline has errors.
    """
    topology = compiled(checked, file, bootstrap).topology
    report = Report(checked.lines)
    return asyncio.run(_ask(topology, report))


async def _ask(topology: Topology, report: Report) -> tuple[list[Lint], Exit]:
    models = asyncio.create_task(_models(topology), name="models")
    cluster = asyncio.create_task(_cluster(topology), name="cluster")
    code = Exit.OK
    told = await models
    check_models(topology, told, report)
    if any(each.silence for each in told.values()):
        code = Exit.MODEL
    try:
        check_cluster(topology, await cluster, report)
    except BrokerError as error:
        report.add("E082", ("kafka",), str(error))
        if isinstance(error, BrokerUnavailableError):
            code = Exit.BROKER
    if code is Exit.OK and has_errors(report.lints):
        code = Exit.USAGE
    return list(report.lints), code


async def _models(topology: Topology) -> dict[str, LiveModel]:
    answers = await asyncio.gather(*map(_model, topology.models))
    return {step.name: each for step, each in zip(topology.models, answers, strict=True)}


async def _model(step: ModelStep) -> LiveModel:
    """Ask a step's model, every version that shares the records, about itself."""
    from headrace.wiring import by_version

    versions = by_version(step)
    answers = await asyncio.gather(*map(_within, versions))
    if len(answers) == 1:
        return answers[0]
    told = [
        (f"version {v.model.version}: ", each) for v, each in zip(versions, answers, strict=True)
    ]
    return LiveModel(
        tuple(f"{name}{problem}" for name, each in told for problem in each.problems),
        is_described=all(each.is_described for _, each in told),
        silence=next((f"{name}{each.silence}" for name, each in told if each.silence), ""),
    )


async def _within(step: ModelStep) -> LiveModel:
    from headrace.wiring import describe

    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            return await describe(step)
    except TimeoutError:
        urls = ", ".join(step.model.urls)
        text = f"model {step.model.name!r} at {urls} does not answer in {_ANSWER_WITHIN_S:g} s"
        return LiveModel(silence=text)


async def _cluster(topology: Topology) -> LiveCluster:
    from dataclasses import replace

    from headrace.kafka.inspection import inspect

    topology = replace(topology, bootstrap_servers=resolved(topology.bootstrap_servers))
    await asyncio.to_thread(await_broker, connection_of(topology))
    return await inspect(topology)
