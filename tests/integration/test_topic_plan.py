"""The topics of a DAG on a real broker: created, grown with their source, refused, removed."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from headrace.cli import topic_plan
from headrace.core.topology import Topology
from headrace.errors import ConfigError
from headrace.kafka.inspection import inspect
from headrace.kafka.properties import admin_properties
from headrace.kafka.topics import TopicAdmin
from headrace.wiring import topic_facts
from tests.integration.pipelines import in_loop, until
from tests.unit import dags

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


@pytest.fixture
def pages(bootstrap: str, admin: AdminClient, unique: Callable[[str], str]) -> Topology:
    """A pipeline with a split and a gather; its source has 3 partitions and takes 2 MiB."""
    name = unique("p").replace("_", "-")[-40:].lstrip("-")
    topology = dags.renamed(dags.pages(), name, bootstrap_servers=bootstrap)
    source = NewTopic(f"{name}.in", 3, 1, config={"max.message.bytes": "2000000"})
    admin.create_topics([source])[f"{name}.in"].result(20)
    # Acknowledged before the broker itself lists it.
    while f"{name}.in" not in admin.list_topics(timeout=10).topics:
        pass
    return topology


def grow(admin: AdminClient, topic: str, total: int) -> None:
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(20)


async def actions(topology: Topology) -> dict[str, str]:
    return {
        each.topic.removeprefix(f"{topology.pipeline}."): each.action
        for each in await topic_plan.plan(topology)
    }


@in_loop
async def test_derived_topics_are_made_like_their_source(pages: Topology):
    await topic_plan.apply(pages)
    again = await topic_plan.apply(pages)

    looking = TopicAdmin(admin_properties(pages))
    derived = f"{pages.pipeline}.score"
    counts = await looking.existing()
    settings = (await looking.settings([derived]))[derived]
    await looking.close()
    assert again == []
    assert {counts[f"{pages.pipeline}.{each}"] for each in ("pages", "score", "whole.retry")} == {3}
    assert counts[f"{pages.pipeline}.dead-letters"] == 3
    wanted = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(2_000_000 + 65536),
    }
    assert {name: settings[name] for name in wanted} == wanted


@in_loop
async def test_lint_is_told_of_partitions_copies_and_brokers(pages: Topology):
    await topic_plan.apply(pages)

    cluster = await inspect(pages)

    found = cluster.topics[f"{pages.pipeline}.score"]
    assert (found.partitions, found.copies, cluster.brokers) == (3, 1, 1)
    assert found.settings["max.message.bytes"]


@in_loop
async def test_they_grow_with_their_source_and_a_worker_waits_for_that(
    pages: Topology, admin: AdminClient
):
    await topic_plan.apply(pages)
    grow(admin, f"{pages.pipeline}.in", 5)
    await until(lambda: len(admin.list_topics().topics[f"{pages.pipeline}.in"].partitions) == 5)

    with pytest.raises(ConfigError, match=r"has 3 partitions, its source .* has 5; .*apply"):
        await topic_facts(pages)
    done = await topic_plan.apply(pages)
    facts = await topic_facts(pages)

    assert {each.action for each in done} == {"grow"}
    assert facts.partitions[f"{pages.pipeline}.pages"] == 5


@in_loop
async def test_one_with_more_partitions_than_its_source_is_refused_until_it_is_deleted(
    pages: Topology, admin: AdminClient
):
    await topic_plan.apply(pages)
    grow(admin, f"{pages.pipeline}.score", 7)
    await until(lambda: len(admin.list_topics().topics[f"{pages.pipeline}.score"].partitions) == 7)

    found = await actions(pages)
    with pytest.raises(
        ConfigError, match=r"has 7 partitions, its source .* has 3; .*topics delete"
    ):
        await topic_plan.apply(pages)
    with pytest.raises(ConfigError, match=r"has 7 partitions, its source .* has 3"):
        await topic_facts(pages)
    await topic_plan.delete(pages, await topic_plan.internal_topics(pages))
    await topic_plan.apply(pages)

    assert [name for name, action in found.items() if action != "none"] == ["score"]
    assert found["score"] == "refuse"
    assert set((await actions(pages)).values()) == {"none"}


@in_loop
async def test_one_that_time_would_empty_is_refused_and_the_setting_named(
    pages: Topology, admin: AdminClient
):
    await topic_plan.apply(pages)
    topic = f"{pages.pipeline}.pages"
    entry = ConfigEntry("retention.ms", "9000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(10)
    looked = ConfigResource(ResourceType.TOPIC, topic)
    await until(
        lambda: admin.describe_configs([looked])[looked].result(10)["retention.ms"].value == "9000"
    )

    changes = await topic_plan.plan(pages)
    with pytest.raises(ConfigError, match=f"'{topic}' has retention.ms=9000.*set retention.ms"):
        await topic_plan.apply(pages)

    (refused,) = [each for each in changes if each.problem]
    told = json.loads(topic_plan.rendered([refused], as_json=True))["topics"][0]
    assert (told["action"], told["topic"]) == ("refuse", topic)
    assert refused.render().startswith(f"! refuse {topic} (derived, 3 partitions): topic")


@in_loop
async def test_dead_letters_take_the_partitions_of_the_largest_source(
    pages: Topology, admin: AdminClient
):
    other = dags.renamed(dags.chain(), pages.pipeline)
    second = f"{pages.pipeline}.second"
    admin.create_topics([NewTopic(second, 6, 1)])[second].result(20)
    first_step = replace(
        other.stages[0].steps[0],
        inlets=(replace(other.stages[0].steps[0].inlets[0], topic=second),),
        outlets=(),
    )
    both = replace(
        pages, stages=(*pages.stages, dags.stage(pages.pipeline, second, first_step, name="a"))
    )

    changes = {each.topic: each for each in await topic_plan.plan(both)}

    assert changes[f"{pages.pipeline}.dead-letters"].partitions == 6
    assert changes[f"{pages.pipeline}.a.retry"].partitions == 6
    assert changes[f"{pages.pipeline}.pages"].partitions == 3
