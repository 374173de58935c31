"""Which of the records that a stage reads keep their order, and so lead those that they meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from headrace.core import wire
from headrace.core.records import Record
from headrace.core.topology import GatherStep, Ordering, Stage, Step


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

    Where parts of a record meet, only those of the carrier keep their order, and where children
    are gathered only the first of each parent; the others follow them. Two that meet must not both
    have a lane: they could wait for each other for ever. What comes through a retry topic has none.
    """
    carriers, others, gathering = _roles(stage)
    lanes: dict[str, Lanes] = {}
    for source in stage.sources:
        topic = source.topic
        if topic in others or topic not in carriers:
            lanes[topic] = UNORDERED
        elif topic in gathering:
            lanes[topic] = Lanes(stage.ordering, partial(is_first_of_its_kin, gathering[topic]))
        else:
            lanes[topic] = Lanes(stage.ordering)
    return lanes


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


def _roles(stage: Stage) -> tuple[set[str], set[str], dict[str, int]]:
    """Return the topics that drive a step, those that meet one that drives, those gathered.

    Of the last also inside how many splits the record is that their children are gathered to.
    """
    drivers: dict[str, str] = {}
    carriers: set[str] = set()
    others: set[str] = set()
    gathering: dict[str, int] = {}
    splits = {step.name for step in stage.steps}
    behind: dict[str, set[str]] = {}
    for step in stage.steps:
        reaching = [_reaching(inlet.topic, inlet.step, behind) for inlet in step.inlets]
        carrier = step.join.carrier if step.join is not None else 0
        driver = _driver(step, carrier, drivers)
        drivers[step.name] = driver
        carriers.add(driver)
        everything = set().union(*reaching)
        if step.join is not None:
            others |= everything - {driver}
        if isinstance(step, GatherStep) and step.split not in splits:
            for topic in everything:
                gathering[topic] = min(step.level, gathering.get(topic, step.level))
        behind[step.name] = everything
    return carriers, others, gathering


def _reaching(topic: str, step: str, behind: Mapping[str, set[str]]) -> set[str]:
    return {topic} if topic else behind[step]


def _driver(step: Step, carrier: int, drivers: Mapping[str, str]) -> str:
    inlet = step.inlets[carrier]
    return inlet.topic or drivers[inlet.step]
