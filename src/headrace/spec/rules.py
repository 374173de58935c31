"""Rules that look at more than one place of a pipeline: names, rings, topics, properties."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.spec.lint import Path, Report, did_you_mean, listing

OWNED_PROPERTIES: Mapping[str, str] = {
    "bootstrap.servers": "use kafka.bootstrap_servers",
    "metadata.broker.list": "use kafka.bootstrap_servers",
    "security.protocol": "use kafka.security.protocol",
    "sasl.mechanism": "use kafka.security.mechanism",
    "sasl.mechanisms": "use kafka.security.mechanism",
    "sasl.username": "use kafka.security.username",
    "sasl.password": "use kafka.security.password",
    "sasl.oauthbearer.client.id": "use kafka.security.oauth.client_id",
    "sasl.oauthbearer.client.secret": "use kafka.security.oauth.client_secret",
    "sasl.oauthbearer.method": "kafka.security.oauth sets it",
    "sasl.oauthbearer.scope": "use kafka.security.oauth.scope",
    "sasl.oauthbearer.token.endpoint.url": "use kafka.security.oauth.token_url",
    "ssl.ca.location": "use kafka.security.tls.ca",
    "ssl.certificate.location": "use kafka.security.tls.cert",
    "ssl.key.location": "use kafka.security.tls.key",
    "ssl.key.password": "use kafka.security.tls.key_password",
    "group.protocol": "use kafka.group_protocol",
    "group.instance.id": "use kafka.membership",
    "auto.offset.reset": "use `start` of a source",
    "client.id": "it tells workers from one another",
    "group.id": "it is made of the pipeline and the step",
    "transactional.id": "it is made of the pipeline, the step and the slot",
    "enable.auto.commit": "offsets are part of the transaction",
    "enable.auto.offset.store": "offsets are part of the transaction",
    "auto.commit.interval.ms": "offsets are part of the transaction",
    "isolation.level": "exactly once needs read_committed",
    "enable.idempotence": "exactly once needs it",
    "acks": "exactly once needs all",
    "request.required.acks": "exactly once needs all",
    "max.in.flight": "the producer's order depends on it",
    "max.in.flight.requests.per.connection": "the producer's order depends on it",
    "enable.partition.eof": "headrace finds the end itself",
    "partition.assignment.strategy": "joins need range",
    "group.remote.assignor": "joins need range",
    "partitioner": "keys are placed as the Java client does",
    "transaction.timeout.ms": "it bounds how long a crash holds readers up",
    "enable.gapless.guarantee": "the transaction is the guarantee",
    "delivery.report.only.error": "every delivery is counted",
    "logger": "headrace logs for the client",
}
"""librdkafka properties that `kafka.properties` must not name, and why or what to use."""

_RESERVED_ENDING = "_cb"


@dataclass(frozen=True, slots=True)
class Names:
    """Who names whom in a pipeline; of a part that is malformed, what can be read.

    Attributes:
        parents: Step to what it reads.
        models: Step to the model it calls.
        servers: Model to the server it names, empty for one with a URL.
        declared: Names of the declared servers.
        sources: Source to topic; None where there is no block.
        sinks: Sink's topic to the steps it reads.
    """

    parents: Mapping[str, tuple[str, ...]]
    models: Mapping[str, str]
    servers: Mapping[str, str]
    declared: frozenset[str]
    sources: Mapping[str, str] | None
    sinks: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, data: Any) -> "Names":
        """Read the names of a pipeline that need not be valid."""
        data = data if isinstance(data, Mapping) else {}
        steps = _block(data, "steps")
        sources = {name: _text(part, "topic") for name, part in _block(data, "sources").items()}
        return cls(
            parents={name: _texts(_field(part, "from")) for name, part in steps.items()},
            models={name: _text(_field(part, "model")) for name, part in steps.items()},
            servers={name: _text(part, "server") for name, part in _block(data, "models").items()},
            declared=frozenset(_block(data, "servers")),
            sources=sources if "sources" in data else None,
            sinks={topic: _texts(part, "from") for topic, part in _block(data, "sinks").items()},
        )


def check_names(names: Names, report: Report) -> None:
    """Report every name that leads nowhere, and everything that leads in a ring."""
    _check_parents(names, report)
    _check_rings(names, report)
    _check_models(names, report)
    _check_sinks(names, report)


def check_properties(data: Any, report: Report) -> None:
    """Report the Kafka properties that headrace sets itself."""
    kafka = _block(data, "kafka") if isinstance(data, Mapping) else {}
    for key in _block(kafka, "properties"):
        reason = OWNED_PROPERTIES.get(key)
        if key.endswith(_RESERVED_ENDING):
            reason = "callbacks are headrace's"
        if reason:
            report.add(
                "E043", ("kafka", "properties", key), f"headrace sets '{key}' itself", reason
            )


def check_what_is_built(names: Names, report: Report) -> None:
    """Report the shapes of graphs that cannot run yet."""
    for step in list(names.parents)[1:]:
        first = next(iter(names.parents))
        text = f"not built yet: several steps ('{step}' beside '{first}')"
        report.add("E020", ("steps", step), text, "use one pipeline per model and a topic between")
    for step, parents in names.parents.items():
        if len(parents) > 1:
            text = f"not built yet: 'join' (step '{step}' reads {len(parents)})"
            report.add("E020", ("steps", step, "from"), text)
    for topic, parents in names.sinks.items():
        if len(parents) > 1:
            text = f"not built yet: a union (sink '{topic}' reads {len(parents)})"
            report.add("E020", ("sinks", topic), text)


def _check_parents(names: Names, report: Report) -> None:
    for step in names.parents:
        if names.sources is not None and step in names.sources:
            report.add(
                "E036", ("steps", step), f"'{step}' is both a source and a step", "rename one"
            )
    for step, parents in names.parents.items():
        for parent in parents:
            if parent not in names.parents and parent not in (names.sources or {}):
                _check_topic(step, parent, names, report)


def _check_topic(step: str, parent: str, names: Names, report: Report) -> None:
    path: Path = ("steps", step, "from")
    router, _, label = parent.rpartition(".")
    if router in names.parents:
        text = f"not built yet: 'routes' (step '{step}' reads '{label}' of '{router}')"
        report.add("E020", path, text)
    elif names.sources is not None:
        known = [*names.sources, *names.parents]
        hint = did_you_mean(parent, known, listing(known, f"add {parent} to sources"))
        report.add("E034", path, f"step '{step}' reads '{parent}', which no source declares", hint)
    else:
        _check_misspelt(step, parent, names, report)


def _check_misspelt(step: str, parent: str, names: Names, report: Report) -> None:
    near = [name for name in names.parents if _is_misspelt(parent, name)]
    if near:
        text = f"step '{step}' reads '{parent}', which is almost the step '{near[0]}'"
        hint = f"did you mean '{near[0]}'? For a topic, write sources: {{{parent}: {parent}}}"
        report.add("E035", ("steps", step, "from"), text, hint)


def _check_rings(names: Names, report: Report) -> None:
    for ring in rings(names.parents):
        text = (
            f"step '{ring[0]}' reads itself"
            if len(ring) == 1
            else f"steps read each other in a ring: {' <- '.join((*ring, ring[0]))}"
        )
        hint = "for a topic of that name, declare it under `sources` and rename the step"
        report.add("E030", ("steps", ring[0], "from"), text, hint if len(ring) == 1 else "")


def _check_models(names: Names, report: Report) -> None:
    for step, model in names.models.items():
        if model and model not in names.servers:
            hint = did_you_mean(
                model, names.servers, listing(names.servers, "declare it under models")
            )
            report.add(
                "E031",
                ("steps", step, "model"),
                f"step '{step}' calls unknown model '{model}'",
                hint,
            )
    for model, server in names.servers.items():
        if server and server not in names.declared:
            hint = did_you_mean(
                server, names.declared, listing(names.declared, "declare it under servers")
            )
            text = f"model '{model}' is on unknown server '{server}'"
            report.add("E032", ("models", model, "server"), text, hint)


def _check_sinks(names: Names, report: Report) -> None:
    read = set(topics_read(names))
    for topic, parents in names.sinks.items():
        if topic in read:
            text = f"sink '{topic}' writes to a topic that the pipeline reads: it would never end"
            report.add("E042", ("sinks", topic), text, "write to another topic")
        for parent in parents:
            if parent not in names.parents:
                hint = did_you_mean(
                    parent, names.parents, listing(names.parents, "declare the step")
                )
                text = f"sink '{topic}' takes from unknown step '{parent}'"
                report.add("E033", ("sinks", topic, "from"), text, hint)


def check_unused(names: Names, report: Report) -> None:
    """Report what is declared in vain; worth saying only where every name leads somewhere."""
    parents = {parent for group in names.parents.values() for parent in group}
    used = {
        "sources": parents,
        "models": set(names.models.values()),
        "servers": set(names.servers.values()),
    }
    declared = {"sources": names.sources or (), "models": names.servers, "servers": names.declared}
    for block, members in declared.items():
        for name in sorted(set(members) - used[block]):
            report.add("W050", (block, name), f"'{name}' of {block} is never used")


def topics_read(names: Names) -> Iterator[str]:
    """Return the topics that the steps read."""
    sources = names.sources or {}
    for parents in names.parents.values():
        yield from (sources.get(name, name) for name in parents if name not in names.parents)


def rings(parents: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return every ring of steps once, each from its first step in the file's order."""
    found: dict[frozenset[str], tuple[str, ...]] = {}
    finished: set[str] = set()
    for start in parents:
        _follow(start, parents, finished, found)
    return list(found.values())


def _follow(
    start: str,
    parents: Mapping[str, Iterable[str]],
    finished: set[str],
    found: dict[frozenset[str], tuple[str, ...]],
) -> None:
    # An explicit stack: a file may hold more steps in a row than Python may recurse.
    trail = {start: iter(parents[start])} if start not in finished else {}
    while trail:
        step, left = next(reversed(trail.items()))
        parent = next(left, None)
        if parent is None:
            trail.pop(step)
            finished.add(step)
        elif parent in trail:
            ring = list(trail)[list(trail).index(parent) :]
            found.setdefault(frozenset(ring), tuple(ring))
        elif parent in parents and parent not in finished:
            trail[parent] = iter(parents[parent])


def _is_misspelt(name: str, step: str) -> bool:
    # Names of two or three letters are near to everything.
    return 2 * _distance(name, step) < min(5, max(len(name), len(step)))


def _distance(left: str, right: str) -> int:
    """Return the Levenshtein distance, or 3 for anything above 2."""
    if abs(len(left) - len(right)) > 2:
        return 3
    above = list(range(len(right) + 1))
    for row, char in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = above[column - 1] + (char != other)
            current.append(min(cost, above[column] + 1, current[-1] + 1))
        above = current
    return min(above[-1], 3)


def _block(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _field(part: Any, key: str) -> Any:
    return part.get(key) if isinstance(part, Mapping) else None


def _text(part: Any, key: str = "") -> str:
    value = _field(part, key) if isinstance(part, Mapping) else part
    return value if isinstance(value, str) else ""


def _texts(part: Any, key: str = "") -> tuple[str, ...]:
    value = _field(part, key) if isinstance(part, Mapping) else part
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
