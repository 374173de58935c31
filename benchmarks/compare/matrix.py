"""Which runs there are: who competes, at what, against what model, in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

COSTS_MS = (0, 10, 50)
ROWS = (1, 32, 256)
SMALL, LARGE = 100, 10_000
MOST_SLOTS = 16
"""Requests at once that headrace goes up to by itself; the ceilings get as many."""

PEERS = {
    "headrace": "headrace",
    "streams": "Kafka Streams",
    "plain": "plain loop",
    "quix": "Quix Streams",
    "faststream": "FastStream",
    "bare": "bare loop",
    "alone": "model server alone",
    "copy": "transactional copy alone",
}
KINDS = ("throughput", "latency", "flat", "duplicates", "silence")


@dataclass(frozen=True, slots=True)
class Competitor:
    """A program and how it is set.

    Attributes:
        program: A key of `PEERS`.
        rows: Most rows of a request.
        slots: Requests at once of a worker, for Kafka Streams its threads; 0: its own choice.
        protocol: How it asks the model: `grpc`, `rest`, or empty where it asks none.
        workers: Processes.
        commit_s: Its commit interval where it is not the library's default; 0: the default.
    """

    program: str
    rows: int = 1
    slots: int = 0
    protocol: str = "rest"
    workers: int = 1
    commit_s: float = 0.0

    def __str__(self) -> str:
        parts = [PEERS[self.program]]
        if self.program != "copy":
            parts.append(f"{self.rows} row{'s' * (self.rows > 1)}")
        if self.program in ("headrace", "alone"):
            parts.append({"grpc": "gRPC", "rest": "REST"}[self.protocol])
        if self.slots:
            parts.append(_counted(self.slots, "thread" if self.program == "streams" else "slot"))
        if self.commit_s:
            parts.append(f"commit every {self.commit_s:g} s")
        if self.workers > 1:
            parts.append(f"{self.workers} workers")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Case:
    """One run, but for its round.

    Attributes:
        kind: One of `KINDS`.
        competitor: Who runs.
        cost_ms: Fixed time the model takes for a request.
        payload_bytes: About how long a record's value is.
        partitions: Partitions of source and sink.
        rate: Records a second that are fed; 0: the topic is full already, or, with the kind
            `latency`, half of what the same competitor reached when it was.
        backlog: Records that wait at once, with the kind `flat`.
    """

    kind: str
    competitor: Competitor
    cost_ms: int
    payload_bytes: int = SMALL
    partitions: int = 8
    rate: int = 0
    backlog: int = 0

    @property
    def block(self) -> tuple[str, int, int, int]:
        """What it shares with the runs that it may be compared with."""
        workers = self.competitor.workers if self.kind == "throughput" else 1
        return self.kind, self.cost_ms, self.payload_bytes, workers

    def __str__(self) -> str:
        parts = [self.kind, f"{self.cost_ms} ms", str(self.competitor)]
        if self.payload_bytes != SMALL:
            parts.append(f"{self.payload_bytes:,} B")
        if self.kind == "latency":
            parts.append(f"{self.rate}/s" if self.rate else "half of its saturation")
        if self.kind == "flat":
            parts.append(f"{_counted(self.partitions, 'partition')}, backlog {self.backlog:,}")
        return ": ".join([parts[0], "; ".join(parts[1:])])


def headrace(rows: int, **options: object) -> Competitor:
    """Return headrace as it is set by default, over gRPC."""
    return replace(Competitor("headrace", rows, protocol="grpc"), **options)  # type: ignore[arg-type]


def over_rest(rows: int) -> Competitor:
    """Return headrace as it is set by default, over REST."""
    return headrace(rows, protocol="rest")


def alone(rows: int, protocol: str, slots: int = MOST_SLOTS) -> Competitor:
    """Return the model server without Kafka."""
    return Competitor("alone", rows, slots, protocol)


def bare(rows: int) -> Competitor:
    """Return the bare loop."""
    return Competitor("bare", rows, protocol="grpc")


COPY = Competitor("copy", protocol="")
STREAMS = tuple(Competitor("streams", slots=threads) for threads in (1, 8))
PLAIN = Competitor("plain")
PLAIN_64 = Competitor("plain", 64)
QUIX = Competitor("quix")
QUICK_QUIX = Competitor("quix", commit_s=0.1)
"""Its default commits every 5 s, which is all one would see of its latency."""

REST_PAIRS = tuple(headrace(1, slots=slots, protocol="rest") for slots in (1, 8))
"""Headrace with the slots, the protocol and the row of Kafka Streams' threads."""


def fast(rows: int) -> Competitor:
    """Return FastStream."""
    return Competitor("faststream", rows)


def throughput(cost_ms: int) -> Iterator[Case]:
    """Yield the competitors of a model's cost, those that are divided by one another in a row."""
    yield from _cases(
        "throughput",
        cost_ms,
        (headrace(256), bare(256), over_rest(256), alone(256, "grpc"), fast(256)),
        (headrace(32), bare(32), over_rest(32), alone(32, "grpc"), alone(32, "rest"), fast(32)),
        (headrace(64), PLAIN_64, over_rest(64)),
        (headrace(1), bare(1), alone(1, "grpc"), PLAIN, QUIX, fast(1)),
        (REST_PAIRS[0], STREAMS[0], alone(1, "rest", 1)),
        (REST_PAIRS[1], STREAMS[1], alone(1, "rest", 8), alone(256, "rest")),
    )
    if cost_ms == 0:
        yield Case("throughput", COPY, 0)
    if cost_ms == 10:
        yield from _large(cost_ms)
        yield from _two_workers(cost_ms)


def _large(cost_ms: int) -> Iterator[Case]:
    group = (headrace(256), bare(256), alone(256, "grpc"), fast(256), PLAIN_64, STREAMS[1], COPY)
    yield from (replace(each, payload_bytes=LARGE) for each in _cases("throughput", cost_ms, group))


def _two_workers(cost_ms: int) -> Iterator[Case]:
    group = (headrace(256), fast(256), PLAIN_64, STREAMS[1], QUIX)
    pairs = tuple(replace(each, workers=2) for each in group)
    yield from _cases("throughput", cost_ms, pairs)


def latency(cost_ms: int) -> Iterator[Case]:
    """Yield who is fed at a rate that all of them bear."""
    rates = {0: 200, 10: 50}
    if cost_ms in rates:
        one = (headrace(64), STREAMS[0], PLAIN, PLAIN_64, QUIX, QUICK_QUIX, fast(1))
        cases = _cases("latency", cost_ms, one)
        yield from (replace(each, rate=rates[cost_ms]) for each in cases)
    if cost_ms == 0:
        yield Case("latency", headrace(32), 0)


def flat(cost_ms: int) -> Iterator[Case]:
    """Yield what headrace's cost per record is compared over: one thing at a time."""
    if cost_ms:
        return
    base = Case("flat", headrace(64), 0, backlog=100_000)
    yield base
    yield from (replace(base, partitions=each) for each in (1, 64))
    yield from (replace(base, competitor=headrace(64, workers=each)) for each in (2, 4))
    yield from (replace(base, backlog=each) for each in (10_000, 1_000_000))


def faults(kind: str, cost_ms: int) -> Iterator[Case]:
    """Yield who is killed under a rate that it bears; Quix Streams bears 65 records/s a worker."""
    if cost_ms != 10:
        return
    workers = 2 if kind == "silence" else 1
    for each in (headrace(64), STREAMS[1], PLAIN_64, QUICK_QUIX, fast(64)):
        rate = 40 if each.program == "quix" else 200
        yield Case(kind, replace(each, workers=workers), cost_ms, rate=rate)


def cases() -> list[Case]:
    """Return every run of a round, in its order: one model server after the other."""
    return [
        case
        for cost_ms in COSTS_MS
        for part in (
            throughput(cost_ms),
            latency(cost_ms),
            flat(cost_ms),
            faults("duplicates", cost_ms),
            faults("silence", cost_ms),
        )
        for case in part
    ]


def chosen(wanted: Sequence[str]) -> list[Case]:
    """Return the runs that `KIND`, `PROGRAM` or `KIND/PROGRAM` name; all where nothing does."""
    return [each for each in cases() if not wanted or any(_is_named(each, w) for w in wanted)]


def _is_named(case: Case, wanted: str) -> bool:
    names = {case.kind, case.competitor.program}
    return set(wanted.split("/")) <= names


def _cases(kind: str, cost_ms: int, *groups: Sequence[Competitor]) -> Iterator[Case]:
    for group in groups:
        for competitor in group:
            yield Case(kind, competitor, cost_ms)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"
