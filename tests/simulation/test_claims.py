"""What the documentation promises of order and transactions, on workers where nothing goes wrong.

See `tests/docs/guarantees.toml`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from headrace.core.models import BatchPolicy
from headrace.core.steps import Ordering, Sink
from headrace.core.topology import Stage
from headrace.formats.json_objects import decode, encode
from headrace.ports import Prediction
from headrace.testing.clock import run
from headrace.testing.hazards import ABORT
from headrace.testing.inference import ScriptedModel
from tests.simulation.schedules import GROUP, PARTITIONS
from tests.simulation.test_scenarios import P0, Scene, stage_of

SLOW_S = 30.0


class SlowForSome(ScriptedModel):
    """Answers at once, unless a row says that it is slow."""

    async def infer(self, columns: Sequence[Sequence[Any]]) -> Prediction:
        answer = await super().infer(columns)
        if any("slow" in text for text in columns[0]):
            await asyncio.sleep(SLOW_S)
        return answer


def one_by_one(stage: Stage, ordering: Ordering, **changes: Any) -> Stage:
    [step] = stage.steps
    step = replace(step, ordering=ordering, batch=BatchPolicy(1, 0.0), **changes)
    return replace(stage, steps=(step,))


def write(scene: Scene, *records: tuple[bytes | None, str]) -> None:
    for key, text in records:
        scene.broker.write("in", encode({"text": text}), key=key, partition=0)


def left(scene: Scene) -> list[str]:
    """Return the results that have left, in their order."""
    return [decode(record.value)["upper"] for record in scene.broker.records("out")]


@pytest.mark.parametrize("ordering", Ordering)
def test_order_does_not_limit_how_many_calls_run(ordering: Ordering) -> None:
    async def act() -> None:
        scene = Scene(ScriptedModel(latency_s=(5.0, 5.0)))
        scene.stage = one_by_one(scene.stage, ordering)
        async with scene.fleet:
            scene.fleet.start("w0")
            write(scene, *((b"one", str(number)) for number in range(20)))

            await scene.until(20)

            assert scene.model.most_in_flight == 4

    run(act(), limit_s=600)


@pytest.mark.parametrize(
    ("ordering", "at_first"),
    [
        (Ordering.KEY, ["OTHER", "NO KEY"]),
        (Ordering.PARTITION, []),
        (Ordering.NONE, ["SAME", "OTHER", "NO KEY"]),
    ],
)
def test_a_slow_record_holds_up_its_lane_and_nobody_else(
    ordering: Ordering, at_first: list[str]
) -> None:
    async def act() -> None:
        scene = Scene(SlowForSome())
        scene.stage = one_by_one(scene.stage, ordering)
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(1.0)
            write(scene, (b"a", "slow"), (b"a", "same"), (b"b", "other"), (None, "no key"))

            await asyncio.sleep(SLOW_S / 2)
            assert sorted(left(scene)) == sorted(at_first)
            assert not scene.broker.committed(GROUP, P0).offset

            await scene.until(4)
            held = [text for text in left(scene) if text not in at_first]
            assert held == [text for text in ("SLOW", "SAME", "OTHER", "NO KEY") if text in held]

    run(act(), limit_s=600)


@pytest.mark.parametrize(
    ("ordering", "order"),
    [(Ordering.PARTITION, ["SLOW", "QUICK"]), (Ordering.KEY, ["QUICK", "SLOW"])],
)
def test_only_order_by_partition_keeps_that_of_a_new_key(
    ordering: Ordering, order: list[str]
) -> None:
    async def act() -> None:
        scene = Scene(SlowForSome())
        scene.stage = one_by_one(scene.stage, ordering, sinks=(Sink("out", key="new"),))
        async with scene.fleet:
            scene.fleet.start("w0")
            for key, text in ((b"a", "slow"), (b"b", "quick")):
                value = encode({"text": text, "new": "same"})
                scene.broker.write("in", value, key=key, partition=0)

            await scene.until(2)

            assert {record.key for record in scene.broker.records("out")} == {b"same"}
            assert left(scene) == order

    run(act(), limit_s=600)


def test_a_batch_holds_records_of_several_keys_and_partitions() -> None:
    async def act() -> None:
        scene = Scene(ScriptedModel(latency_s=(5.0, 5.0)))
        scene.stage = stage_of(most_calls=1)
        async with scene.fleet:
            scene.fleet.start("w0")
            scene.write(0, "first")
            await scene.fleet.until(lambda: scene.model.in_flight == 1)
            for partition in range(PARTITIONS):
                for key in (b"a", b"b"):
                    value = encode({"text": f"{partition} {key.decode()}"})
                    scene.broker.write("in", value, key=key, partition=partition)

            await scene.until(7)

            assert scene.model.calls == [1, 6]

    run(act(), limit_s=600)


def test_no_transaction_is_open_while_the_model_thinks() -> None:
    async def act() -> None:
        scene = Scene(SlowForSome())
        scene.stage = one_by_one(scene.stage, Ordering.KEY)
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(1.0)
            write(scene, (b"a", "quick"), (b"b", "slow"), (b"b", "after"))
            await scene.until(1)
            await asyncio.sleep(1.0)
            commits = scene.workers["w0"].stats.commits

            for _ in range(round(SLOW_S / 2 / 0.1)):
                assert not scene.broker.has_open_transactions
                await asyncio.sleep(0.1)

            assert scene.workers["w0"].stats.commits == commits
            assert left(scene) == ["QUICK"]
            await scene.until(3)

    run(act(), limit_s=600)


def test_an_aborted_transaction_asks_no_model_again() -> None:
    async def act() -> None:
        scene = Scene()
        scene.hazards.plan("offsets", ABORT)
        scene.hazards.plan("end", ABORT)
        async with scene.fleet:
            scene.fleet.start("w0")
            write(scene, *((None, str(number)) for number in range(20)))

            await scene.until(20)

            assert scene.workers["w0"].stats.aborts == 2
            assert sorted(left(scene)) == sorted(map(str, range(20)))
            assert len(scene.model.asked) == 20

    run(act(), limit_s=600)
