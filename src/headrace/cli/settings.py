"""From a verb's arguments to a compiled pipeline and a Kafka address that answers."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import click

from headrace.core.models import Model
from headrace.core.plain_text import plain
from headrace.core.steps import ModelStep, Step
from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerUnavailableError, ConfigError
from headrace.spec.loader import Checked
from headrace.spec.models import PipelineSpec

EMBEDDED = "embedded"
MODEL_URLS = "HEADRACE_MODEL_URLS"
MEMBERSHIP = "HEADRACE_MEMBERSHIP"
ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline file and what it compiles to.

    Attributes:
        spec: The pipeline as declared.
        topology: The pipeline as compiled, with this machine's overrides.
    """

    spec: PipelineSpec
    topology: Topology


def load_pipeline(file: str, bootstrap: str | None = None, *, imports: bool = False) -> Loaded:
    """Load and compile a pipeline; warnings go to stderr.

    Args:
        file: `FILE.yaml` or `module.py:pipeline`.
        bootstrap: Kafka's address instead of the file's.
        imports: Whether the modules of its functions are imported, and checked.

    Raises:
        SpecError: The pipeline has errors.
    """
    from headrace.cli.checking import check

    return compiled(check(file, os.environ, imports=imports), file, bootstrap)


def compiled(checked: Checked, file: str, bootstrap: str | None = None) -> Loaded:
    """Compile a pipeline that was checked.

    Raises:
        SpecError: The pipeline has errors.
    """
    from headrace.spec.compile import compile_pipeline
    from headrace.spec.loader import folder_of

    spec = checked.unwrap()
    topology = compile_pipeline(spec, folder_of(file))
    if bootstrap:
        topology = replace(topology, bootstrap_servers=bootstrap)
    membership = os.environ.get(MEMBERSHIP)
    if membership and spec.kafka.membership is None:
        topology = replace(topology, membership=membership)
    return Loaded(spec, with_model_urls(topology, model_urls()))


def load_topology(file: str, bootstrap: str | None = None) -> Topology:
    """Return the compiled pipeline with an address of Kafka in place of `embedded`.

    Raises:
        SpecError: The pipeline has errors.
        BrokerUnavailableError: It says `embedded`, and no embedded broker runs.
    """
    topology = load_pipeline(file, bootstrap).topology
    return replace(topology, bootstrap_servers=resolved(topology.bootstrap_servers))


def load_reachable(file: str, bootstrap: str | None = None) -> Topology:
    """Return the compiled pipeline once its Kafka answers.

    Raises:
        SpecError: The pipeline has errors.
        BrokerUnavailableError: No broker answers within 10 s.
    """
    topology = load_topology(file, bootstrap)
    await_broker(connection_of(topology))
    return topology


def resolved(bootstrap: str) -> str:
    """Return an address; for `embedded` that of the broker which runs on this machine.

    Raises:
        BrokerUnavailableError: No embedded broker runs.
    """
    if bootstrap != EMBEDDED:
        return bootstrap
    from headrace.local.kafka import running_broker

    found = running_broker()
    if found is None:
        raise BrokerUnavailableError(
            "no embedded Kafka runs on this machine: start `headrace up FILE`, "
            "or name a broker with --bootstrap-servers"
        )
    return found


def connection_of(topology: Topology) -> Mapping[str, Any]:
    """Return what a client needs to reach the pipeline's Kafka."""
    from headrace.kafka.properties import admin_properties

    return admin_properties(topology)


def connection_to(bootstrap: str | None, file: str | None) -> Mapping[str, Any]:
    """Return what a client needs to reach a Kafka, the embedded one by default.

    Args:
        bootstrap: The address; default: the pipeline's.
        file: The pipeline whose Kafka it is, security included; None for one without security.

    Raises:
        SpecError: The pipeline has errors.
        BrokerUnavailableError: No embedded broker runs, and none is named.
    """
    if file:
        return connection_of(load_topology(file, bootstrap))
    address = resolved(bootstrap or EMBEDDED)
    return connection_of(Topology("headrace", "", (), bootstrap_servers=address))


def await_broker(connection: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> None:
    """Return when a broker answers; blocks.

    Raises:
        BrokerUnavailableError: None did in time.
        SecurityError: One did, and does not let this client in, or is not to be trusted.
    """
    from headrace.kafka.access import await_access

    await_access(connection, within_s)


def stage_named(topology: Topology, name: str) -> Stage:
    """Return a stage by its name.

    Raises:
        ConfigError: There is no such stage.
    """
    for stage in topology.stages:
        if stage.name == name:
            return stage
    known = ", ".join(stage.name for stage in topology.stages)
    raise ConfigError(f"pipeline {topology.pipeline!r} has no stage {name!r}; there is: {known}")


def say(line: str) -> None:
    """Tell a person something, on stderr, after what was printed before."""
    sys.stdout.flush()
    click.echo(plain(line), err=True)


def model_urls() -> Mapping[str, str]:
    """Return the URLs that replace those of models, by model.

    Raises:
        ConfigError: The variable does not hold a JSON object.
    """
    text = os.environ.get(MODEL_URLS)
    if not text:
        return {}
    try:
        urls = json.loads(text)
        return {str(name): str(url) for name, url in urls.items()}
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{MODEL_URLS} is not a JSON object of model to URL") from error


def with_model_urls(topology: Topology, urls: Mapping[str, str]) -> Topology:
    """Return the pipeline with other URLs for some models, by the model's name."""

    def moved(model: Model) -> Model:
        return replace(model, urls=(urls[model.name],)) if model.name in urls else model

    def at_home(step: Step) -> Step:
        return replace(step, model=moved(step.model)) if isinstance(step, ModelStep) else step

    stages = tuple(
        replace(stage, steps=tuple(map(at_home, stage.steps))) for stage in topology.stages
    )
    return replace(topology, stages=stages)
