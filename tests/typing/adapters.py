"""Every adapter and every fake is what its port says: checked by mypy, never run."""

from headrace.inference.client import ModelClient
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.consumer import KafkaSource
from headrace.kafka.producer import KafkaSink
from headrace.ports import (
    AssignmentListener,
    GroupView,
    InferenceClient,
    RecordSource,
    StatusSource,
    TransactionSink,
)
from headrace.runtime.assignments import Assignments
from headrace.runtime.worker import Worker
from headrace.testing import ScriptedModel, SimulatedGroup, SimulatedSink, SimulatedSource

sources: list[type[RecordSource]] = [KafkaSource, SimulatedSource]
groups: list[type[GroupView]] = [KafkaGroup, SimulatedGroup]
sinks: list[type[TransactionSink]] = [KafkaSink, SimulatedSink]
models: list[type[InferenceClient]] = [ModelClient, ScriptedModel]
listeners: list[type[AssignmentListener]] = [Assignments]
workers: list[type[StatusSource]] = [Worker]

wrong: list[type[InferenceClient]] = [Worker]  # type: ignore[list-item]
