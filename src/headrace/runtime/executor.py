"""Runs batches through a model or a function; the place where a record's fate is decided."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from headrace.core.documents import copied
from headrace.core.fields import overlay, projection
from headrace.core.paths import getter_column, setter
from headrace.core.retry import (
    Bisect,
    DeadLetter,
    DeadLetterRows,
    OneByOne,
    PauseStep,
    RetryLater,
    ThroughRetryTopic,
    decide,
)
from headrace.core.steps import FunctionStep, ModelStep, Ordering
from headrace.errors import (
    BrokenAnswerError,
    DecodeError,
    DocumentError,
    ExpiredError,
    FunctionError,
    HeadraceError,
    InferenceError,
    InferenceTimeoutError,
    InvalidInputError,
)
from headrace.ports import FunctionCaller, InferenceClient, Prediction
from headrace.runtime.items import Item
from headrace.runtime.outputs import Cause
from headrace.runtime.stats import StageStats

log = logging.getLogger("headrace.executor")


@dataclass(slots=True)
class Work:
    """Documents that go to the model together.

    Attributes:
        items: The documents.
        attempt: Which attempt the next call is, from 1.
        first_ms: When a call for them failed first, ms since the epoch; 0 before that.
        is_single_by_doubt: Whether it was taken out of a batch whose answer had other rows.
    """

    items: Sequence[Item]
    attempt: int = 1
    first_ms: int = 0
    is_single_by_doubt: bool = False

    def part(self, start: int, stop: int) -> "Work":
        """Return rows start to stop as work of their own; a record alone has all its attempts."""
        attempt = 1 if stop - start == 1 else self.attempt
        return Work(self.items[start:stop], attempt, self.first_ms)

    def only(self, rows: Sequence[int]) -> "Work":
        """Return some of the rows, with everything else as it is."""
        return replace(self, items=[self.items[row] for row in rows])


@dataclass(slots=True)
class Outcome:
    """What a call left to do.

    Attributes:
        follow: Work to do, with seconds to wait before it.
        pause: Why the step must pause; the work in `follow` used no attempt.
        is_loud: Whether somebody has to act before the pause can end.
        timed_out: Whether the model did not answer in time.
    """

    follow: list[tuple[float, Work]] = field(default_factory=list)
    pause: InferenceError | None = None
    is_loud: bool = False
    timed_out: bool = False


class Fates(Protocol):
    """Where an executor sends documents that are done with its step.

    Attributes:
        may_refuse: Whether a document may still be given up once the step has written into it.
    """

    may_refuse: bool

    def passed(self, items: Sequence[Item], version: str = "") -> None:
        """They go on, with what the step wrote in them."""
        ...

    def dropped(self, items: Sequence[Item]) -> None:
        """They end here, without a result."""
        ...

    def gave_up(self, item: Item, cause: Cause) -> None:
        """It is dead-lettered, or halts its lane where the step is strict."""
        ...

    def sent_round(self, item: Item, cause: Cause, not_before_ms: int) -> None:
        """It goes through the retry topic."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every executor of a stage is given.

    Attributes:
        decode: Bytes to a document.
        now_ms: Wall clock, ms since the epoch.
        rng: Source of jitter.
        stats: The stage's counters.
    """

    decode: Callable[[bytes], Any]
    now_ms: Callable[[], int]
    rng: random.Random
    stats: StageStats


OnAnswer: TypeAlias = Callable[[], bool]
"""Frees a call's slot; returns whether another call takes it."""


async def _let_next(on_answer: OnAnswer) -> None:
    """Let the next question go before an answer is worked on."""
    if on_answer():
        await asyncio.sleep(0)


class Executor(Protocol):
    """Runs batches for a dispatcher.

    Attributes:
        refuses_batches: Whether documents must go one by one from now on.
    """

    refuses_batches: bool

    async def run(self, work: Work, on_answer: OnAnswer) -> Outcome:
        """Call for the work; every document has its fate or stands in the outcome.

        Args:
            work: The documents.
            on_answer: To be called when the answer is there and nothing is done with it yet.
        """
        ...


class Desk:
    """What executors of models and of functions have in common: documents in, documents given up.

    Attributes:
        refuses_batches: Whether documents must go one by one from now on.
    """

    def __init__(self, fates: Fates, around: Surroundings) -> None:
        self.refuses_batches = False
        self._fates = fates
        self._decode = around.decode
        self._now_ms = around.now_ms
        self._rng = around.rng
        self._stats = around.stats

    def open(self, items: Sequence[Item]) -> Sequence[Item]:
        """Decode what is not decoded, and give up what is no document or has expired."""
        items = self._living(items)
        decode = self._decode
        try:
            for item in items:
                if item.document is None:
                    item.document = decode(item.value)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  (one of them is not a document; find out which)
            return [item for item in items if self._opened(item)]
        return items

    def _living(self, items: Sequence[Item]) -> Sequence[Item]:
        late = [item for item in items if item.deadline]
        if not late:
            return items
        now = self._now_ms()
        for item in late:
            if item.deadline < now:
                error = ExpiredError(f"its deadline passed {now - item.deadline} ms ago")
                self.give_up(item, error)
        return [item for item in items if not item.deadline or item.deadline >= now]

    def _opened(self, item: Item) -> bool:
        if item.document is not None:
            return True
        try:
            item.document = self._decode(item.value)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001  (whatever a decoder of any format raises)
            self.give_up(item, DecodeError(f"the value is not a document: {error}"))
            return False
        return True

    def give_up(
        self, item: Item, error: Exception, work: Work | None = None, version: str = ""
    ) -> None:
        """Dead-letter a document."""
        now = self._now_ms()
        attempts, first_ms = (work.attempt, work.first_ms) if work is not None else (0, 0)
        self._fates.gave_up(item, Cause(error, attempts, first_ms or now, now, version))


class ModelExecutor(Desk):
    """Asks the model and writes the answer into the documents."""

    def __init__(
        self, step: ModelStep, model: InferenceClient, fates: Fates, around: Surroundings
    ) -> None:
        super().__init__(fates, around)
        self._step = step
        self._model = model
        self._is_ordered = step.ordering is not Ordering.NONE
        self._columns_of = [
            getter_column(bound.path, bound.default)
            if bound.has_default
            else getter_column(bound.path)
            for bound in step.inputs
        ]
        self._setters = [setter(bound.path) for bound in step.outputs]
        self._is_nested = any("." in bound.path for bound in step.outputs)
        # Nothing can go wrong between the first word that is written and the last.
        self._is_sure = len(step.outputs) == 1 and not self._is_nested

    async def run(self, work: Work, on_answer: OnAnswer) -> Outcome:
        """Call the model for the work; every document has its fate or stands in the outcome."""
        try:
            work.items = self.open(work.items)
            if not work.items:
                return Outcome()
            documents = [item.document for item in work.items]
            columns = [column(documents) for column in self._columns_of]
            self._stats.requests += 1
            self._stats.rows += len(documents)
            prediction = await self._model.infer(columns)
            await _let_next(on_answer)
            written = self._written(work.items, prediction)
        except HeadraceError as error:
            outcome = self._failed(work, error)
            outcome.timed_out = isinstance(error, InferenceTimeoutError)
            return outcome
        except Exception as error:  # a document or an answer that our code did not expect
            log.exception("unexpected error", extra={"event": "unexpected_error"})
            return self._failed(work, InvalidInputError(f"{type(error).__name__}: {error}"))
        self._answer(work, prediction, written)
        return Outcome()

    # After an answer

    def _written(self, items: Sequence[Item], prediction: Prediction) -> Sequence[Any]:
        """Return the documents with the answer in them."""
        if self._is_sure and not prediction.faults and not self._fates.may_refuse:
            documents = [item.document for item in items]
        else:
            documents = [self._to_write(item) for item in items]
        try:
            for put, column in zip(self._setters, prediction.columns, strict=True):
                for document, value in zip(documents, column, strict=True):
                    put(document, value)
        except Exception:
            # Some are written in part: the model must not be asked about its own answer.
            for item in items:
                item.document = None if item.value is not None else item.document
            raise
        return documents

    def _answer(self, work: Work, prediction: Prediction, documents: Sequence[Any]) -> None:
        items, version = work.items, prediction.version
        if prediction.faults:
            for row, why in prediction.faults.items():
                self.give_up(items[row], BrokenAnswerError(why), Work([items[row]]), version)
            kept = [row for row in range(len(items)) if row not in prediction.faults]
            items = [items[row] for row in kept]
            documents = [documents[row] for row in kept]
        for item, document in zip(items, documents, strict=True):
            item.document = document
        self._fates.passed(items, version)
        if work.is_single_by_doubt and not self.refuses_batches:
            self.refuses_batches = True
            log.error(
                "model %s answers batches with another number of rows, single records are right:"
                " it gets one record per call from now on",
                self._step.model.name,
                extra={"event": "batching_stopped"},
            )

    def _to_write(self, item: Item) -> Any:
        """Return the document to write into; what was read in memory is kept for a dead letter."""
        if item.value is not None:
            return item.document
        item.read = item.document
        return copied(item.document) if self._is_nested else dict(item.document)

    # After a failure

    def _failed(self, work: Work, error: HeadraceError) -> Outcome:
        self._stats.count_error(error)
        work.first_ms = work.first_ms or self._now_ms()
        decision = decide(
            error,
            work.attempt,
            self._step.retry,
            is_ordered=self._is_ordered,
            batch_size=len(work.items),
            jitter=self._rng.random(),
        )
        match decision:
            case PauseStep(is_loud=is_loud):
                refusal = error if isinstance(error, InferenceError) else InferenceError(str(error))
                return Outcome([(0.0, work)], pause=refusal, is_loud=is_loud)
            case RetryLater(delay_s):
                self._stats.retried += 1
                work.attempt += 1
                return Outcome([(delay_s, work)])
            case Bisect():
                middle = len(work.items) // 2
                halves = (work.part(0, middle), work.part(middle, len(work.items)))
                return Outcome([(0.0, half) for half in halves])
            case OneByOne():
                singles = [work.part(row, row + 1) for row in range(len(work.items))]
                for single in singles:
                    single.is_single_by_doubt = True
                return Outcome([(0.0, single) for single in singles])
            case DeadLetterRows(reasons):
                return self._without_rows(work, reasons)
            case ThroughRetryTopic(delay_s):
                self._stats.retried += 1
                self._send_round(work, error, delay_s)
            case DeadLetter():
                for item in work.items:
                    self.give_up(item, error, work)
        return Outcome()

    def _without_rows(self, work: Work, reasons: Mapping[int, str]) -> Outcome:
        """Give up the rows that cannot be sent; the rest is sent again at once."""
        for row, why in reasons.items():
            self.give_up(work.items[row], DocumentError(why))
        keep = [row for row in range(len(work.items)) if row not in reasons]
        if not keep:
            return Outcome()
        return Outcome([(0.0, Work([work.items[row] for row in keep], work.attempt))])

    def _send_round(self, work: Work, error: HeadraceError, delay_s: float) -> None:
        now = self._now_ms()
        cause = Cause(error, work.attempt, work.first_ms, now)
        for item in work.items:
            self._fates.sent_round(item, cause, now + round(delay_s * 1e3))


class FunctionExecutor(Desk):
    """Calls a function and takes what it says it writes into the documents."""

    def __init__(
        self, step: FunctionStep, function: FunctionCaller, fates: Fates, around: Surroundings
    ) -> None:
        super().__init__(fates, around)
        self._function = function
        self._restrict = projection(step.reads)
        self._put_over = None if step.writes is None else overlay(step.writes)

    async def run(self, work: Work, on_answer: OnAnswer) -> Outcome:
        """Call the function for the work; every document has its fate."""
        items = self.open(work.items)
        if not items:
            return Outcome()
        restrict, put_over = self._restrict, self._put_over
        seen = [copied(restrict(item.document)) for item in items]
        self._stats.requests += 1
        self._stats.rows += len(items)
        answers = await self._function.call(seen)
        await _let_next(on_answer)
        passed: list[Item] = []
        dropped: list[Item] = []
        for item, answer in zip(items, answers, strict=True):
            if answer is None:
                dropped.append(item)
            elif isinstance(answer, FunctionError):
                self.give_up(item, answer, work)
            else:
                passed.append(item)
                item.read = item.document
                item.document = put_over(item.document, answer) if put_over else answer
        if dropped:
            self._fates.dropped(dropped)
        self._fates.passed(passed)
        return Outcome()
