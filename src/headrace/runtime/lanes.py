"""Which of the records that a stage reads keep their order, and so lead those that they meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from headrace.core import wire
from headrace.core.records import Record
from headrace.core.steps import GatherStep, Inlet, Ordering
from headrace.core.topology import Stage


@dataclass(frozen=True, slots=True)
class Lanes:
    """How the records of one topic are lined up.

    Attributes:
        ordering: Which of them wait for each other.
        drives: Which of them have a lane; None for all.
    """

    ordering: Ordering
    drives: Callable[[Record], bool] | None = None


UNORDERED = Lanes(Ordering.NONE)


def lanes_of(stage: Stage) -> Mapping[str, Lanes]:
    """Return how the records of every topic that a stage reads are lined up.

    Of the topics whose records meet, directly or by way of others, one keeps its order, if it can
    the carrier's of the first join; and of children that are gathered the first of each parent.
    All others follow them: two that meet must not both have a lane, or they could wait for each
    other for ever. What comes through a retry topic has none.
    """
    gathering = _gathering(stage)
    leading = _leading(stage)
    return {
        topic: UNORDERED if topic not in leading else _lanes(stage, topic, gathering)
        for topic in (source.topic for source in stage.sources)
    }


def _lanes(stage: Stage, topic: str, gathering: Mapping[str, int]) -> Lanes:
    if topic not in gathering:
        return Lanes(stage.ordering)
    return Lanes(stage.ordering, partial(is_first_of_its_kin, gathering[topic]))


def reaching(stage: Stage) -> Mapping[str, Sequence[frozenset[str]]]:
    """Return per step, and per inlet of it, the topics through which its parts may come.

    Retry topics count: what was spilled, delayed or replayed comes through them.
    """
    retries = stage.retry_topics
    behind: dict[str, frozenset[str]] = {}
    found: dict[str, list[frozenset[str]]] = {}
    for step in stage.steps:
        own = retries[step.name]
        inlets = [
            frozenset({inlet.topic, own}) if inlet.topic else behind[inlet.step] | {own}
            for inlet in step.inlets
        ]
        found[step.name] = inlets
        behind[step.name] = frozenset().union(*inlets)
    return found


def is_first_of_its_kin(level: int, record: Record) -> bool:
    """Whether a record is the first, at every split inside of `level` splits, or at none.

    Of all the children and grandchildren that are gathered to one record just one is.
    """
    id_ = next((content for name, content in record.headers or () if name == wire.ID), None) or b""
    return all(index == b"0" for index in id_.split(b"/")[1 + level :])


def _leading(stage: Stage) -> set[str]:
    """Return the topics that lead: one of all whose records meet."""
    drivers: dict[str, str] = {}
    leaders: dict[str, str] = {}
    for step in stage.steps:
        carrier = step.join.carrier if step.join is not None else 0
        driver = drivers[step.name] = _driver(step.inlets[carrier], drivers)
        first = leaders.setdefault(driver, driver)
        for inlet in step.inlets:
            topic = _driver(inlet, drivers)
            second = leaders.setdefault(topic, topic)
            united = (each for each, leader in leaders.items() if leader == second)
            leaders |= dict.fromkeys(united, first)
    return set(leaders.values())


def _driver(inlet: Inlet, drivers: Mapping[str, str]) -> str:
    return inlet.topic or drivers[inlet.step]


def _gathering(stage: Stage) -> Mapping[str, int]:
    """Return the topics whose records are gathered, and inside how many splits the result is."""
    gathering: dict[str, int] = {}
    splits = {step.name for step in stage.steps}
    reached = reaching(stage)
    for step in stage.steps:
        if isinstance(step, GatherStep) and step.split not in splits:
            for topic in frozenset().union(*reached[step.name]):
                gathering[topic] = min(step.level, gathering.get(topic, step.level))
    return gathering
