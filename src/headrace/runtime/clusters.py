"""Which groups of parts can only leave memory together."""

from collections.abc import Iterable
from typing import TypeAlias

from headrace.core.joining import Group
from headrace.core.ledger import leader_of
from headrace.runtime.collecting import Collector
from headrace.runtime.items import Item

Waiting: TypeAlias = tuple[Collector, Group[Item]]


def clusters(waiting: Iterable[Waiting]) -> list[list[Waiting]]:
    """Return groups that hold documents of one record together, in the order of the first."""
    of_record: dict[int, list[Waiting]] = {}
    found: dict[int, list[Waiting]] = {}
    for pair in waiting:
        cluster = [pair]
        found[id(cluster)] = cluster
        for leader in {id(leader_of(item.record)) for item in pair[1].contents}:
            other = of_record.get(leader)
            if other is not None and other is not cluster:
                # The older cluster stays, so that the order does.
                del found[id(cluster)]
                other += cluster
                for key, each in of_record.items():
                    if each is cluster:
                        of_record[key] = other
                cluster = other
            of_record[leader] = cluster
    return list(found.values())


def is_whole(cluster: Iterable[Waiting]) -> bool:
    """Whether nothing else of the records in these groups is on its way."""
    held: dict[int, int] = {}
    pending: dict[int, int] = {}
    for _, group in cluster:
        for item in group.contents:
            leader = leader_of(item.record)
            held[id(leader)] = held.get(id(leader), 0) + 1
            pending[id(leader)] = leader.pending
    return held == pending
