"""Runs batches through a model; the place where a record's fate is decided."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.core.ledger import finish
from headrace.core.paths import getter_column, setter
from headrace.core.records import Output, Record
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
from headrace.core.topology import ModelStep, Ordering, Tombstones
from headrace.errors import (
    BrokenAnswerError,
    DecodeError,
    DocumentError,
    HeadraceError,
    InferenceError,
    InferenceTimeoutError,
    InvalidInputError,
    OversizeError,
    RecordError,
)
from headrace.ports import InferenceClient, Prediction
from headrace.runtime.outputs import Cause, Outputs
from headrace.runtime.stats import StageStats

log = logging.getLogger("headrace.executor")


@dataclass(slots=True)
class Work:
    """Records that go to the model together.

    Attributes:
        records: The records.
        documents: Their decoded values, None before they were decoded.
        attempt: Which attempt the next call is, from 1.
        first_ms: When a call for them failed first, ms since the epoch; 0 before that.
        is_single_by_doubt: Whether it was taken out of a batch whose answer had other rows.
    """

    records: Sequence[Record]
    documents: list[Any] | None = None
    attempt: int = 1
    first_ms: int = 0
    is_single_by_doubt: bool = False

    def part(self, start: int, stop: int) -> "Work":
        """Return rows start to stop as work of their own; a record alone has all its attempts."""
        documents = None if self.documents is None else self.documents[start:stop]
        attempt = 1 if stop - start == 1 else self.attempt
        return Work(self.records[start:stop], documents, attempt, self.first_ms)

    def only(self, rows: Sequence[int]) -> "Work":
        """Return some of the rows, with everything else as it is."""
        documents = self.documents
        return replace(
            self,
            records=[self.records[row] for row in rows],
            documents=None if documents is None else [documents[row] for row in rows],
        )


@dataclass(slots=True)
class Outcome:
    """What a call left to do.

    Attributes:
        follow: Work to do, with seconds to wait before it.
        pause: Why the step must pause; the work in `follow` used no attempt.
        answered: Whether the model answered all rows it was asked.
        timed_out: Whether the model did not answer in time.
    """

    follow: list[tuple[float, Work]] = field(default_factory=list)
    pause: InferenceError | None = None
    answered: bool = False
    timed_out: bool = False


class Executor:
    """Decodes, asks the model, writes the answer into the documents and finishes the records."""

    def __init__(
        self,
        step: ModelStep,
        model: InferenceClient,
        outputs: Outputs,
        decode: Callable[[bytes], Any],
        now_ms: Callable[[], int],
        rng: random.Random,
        stats: StageStats,
    ) -> None:
        self._step = step
        self._model = model
        self._outputs = outputs
        self._decode = decode
        self._now_ms = now_ms
        self._rng = rng
        self._stats = stats
        self._columns_of = [
            getter_column(bound.path, bound.default)
            if bound.has_default
            else getter_column(bound.path)
            for bound in step.inputs
        ]
        self._setters = [setter(bound.path) for bound in step.outputs]
        self.refuses_batches = False
        self.halted = 0

    async def run(self, work: Work) -> Outcome:
        """Call the model for the work; every record is finished or stands in the outcome."""
        try:
            columns = self._columns(work)
            if not work.records:
                return Outcome()
            self._stats.requests += 1
            self._stats.rows += len(work.records)
            prediction = await self._model.infer(columns)
            self._answer(work, prediction)
        except HeadraceError as error:
            outcome = self._failed(work, error)
            outcome.timed_out = isinstance(error, InferenceTimeoutError)
            return outcome
        except Exception as error:  # a document or an answer that our code did not expect
            log.exception("unexpected error", extra={"event": "unexpected_error"})
            return self._failed(work, InvalidInputError(f"{type(error).__name__}: {error}"))
        return Outcome(answered=True)

    # Before the call

    def _columns(self, work: Work) -> list[Sequence[Any]]:
        """Decode and collect the tensors' columns; what is not a document is finished.

        Raises:
            InvalidRowsError: Some documents lack a field.
        """
        if work.documents is None:
            self._decode_all(work)
        documents = work.documents or []
        return [column(documents) for column in self._columns_of]

    def _decode_all(self, work: Work) -> None:
        decode, records = self._decode, work.records
        try:
            work.documents = [decode(record.value) for record in records]  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  (one of them is not a document; find out which)
            self._decode_each(work)

    def _decode_each(self, work: Work) -> None:
        kept: list[Record] = []
        documents: list[Any] = []
        for record in work.records:
            if record.value is None:
                self._end_tombstone(record)
                continue
            try:
                documents.append(self._decode(record.value))
            except Exception as error:  # noqa: BLE001  (whatever a decoder of any format raises)
                self._give_up(record, DecodeError(f"the value is not a document: {error}"))
            else:
                kept.append(record)
        work.records, work.documents = kept, documents

    def _end_tombstone(self, record: Record) -> None:
        match self._step.tombstones:
            case Tombstones.FORWARD:
                self._stats.written += 1
                finish([record], [self._outputs.tombstone(record)])
            case Tombstones.DROP:
                self._stats.dropped += 1
                finish([record], [()])
            case Tombstones.DEAD_LETTER:
                self._give_up(record, DecodeError("the record has no value (a tombstone)"))

    # After an answer

    def _answer(self, work: Work, prediction: Prediction) -> None:
        records, documents = work.records, work.documents or []
        for put, column in zip(self._setters, prediction.columns, strict=True):
            for document, value in zip(documents, column, strict=True):
                put(document, value)
        rows = self._outputs.results(records, documents, prediction.version)
        if prediction.faults:
            for row, why in prediction.faults.items():
                rows[row] = self._fault(records[row], why, prediction.version)
        oversized = [row for row in range(len(rows)) if type(rows[row]) is OversizeError]
        for row in oversized:
            rows[row] = self._end(records[row], rows[row], work, prediction.version)  # type: ignore[arg-type]
        self._stats.written += len(rows) - len(oversized) - len(prediction.faults)
        if self._step.strict and (oversized or prediction.faults):
            self._finish_but_halted(records, rows)
        else:
            finish(records, rows)  # type: ignore[arg-type]
        if work.is_single_by_doubt and not self.refuses_batches:
            self.refuses_batches = True
            log.error(
                "model %s answers batches with another number of rows, single records are right:"
                " it gets one record per call from now on",
                self._step.model.name,
                extra={"event": "batching_stopped"},
            )

    def _fault(self, record: Record, why: str, version: str) -> Output:
        return self._end(record, BrokenAnswerError(why), Work([record]), version)

    def _finish_but_halted(self, records: Sequence[Record], rows: Sequence[Any]) -> None:
        pairs = [(r, row) for r, row in zip(records, rows, strict=True) if row is not _HALTED]
        finish([record for record, _ in pairs], [row for _, row in pairs])

    # After a failure

    def _failed(self, work: Work, error: HeadraceError) -> Outcome:
        self._stats.count_error(error)
        work.first_ms = work.first_ms or self._now_ms()
        decision = decide(
            error,
            work.attempt,
            self._step.retry,
            is_ordered=self._step.ordering is not Ordering.NONE,
            batch_size=len(work.records),
            jitter=self._rng.random(),
        )
        match decision:
            case PauseStep():
                refusal = error if isinstance(error, InferenceError) else InferenceError(str(error))
                return Outcome([(0.0, work)], pause=refusal)
            case RetryLater(delay_s):
                self._stats.retried += 1
                work.attempt += 1
                return Outcome([(delay_s, work)])
            case Bisect():
                middle = len(work.records) // 2
                halves = (work.part(0, middle), work.part(middle, len(work.records)))
                return Outcome([(0.0, half) for half in halves])
            case OneByOne():
                singles = [work.part(row, row + 1) for row in range(len(work.records))]
                for single in singles:
                    single.is_single_by_doubt = True
                return Outcome([(0.0, single) for single in singles])
            case DeadLetterRows(reasons):
                return self._without_rows(work, reasons)
            case ThroughRetryTopic(delay_s):
                self._stats.retried += 1
                self._send_round(work, error, delay_s)
            case DeadLetter():
                for record in work.records:
                    self._give_up(record, error, work)
        return Outcome()

    def _without_rows(self, work: Work, reasons: Mapping[int, str]) -> Outcome:
        """Give up the rows that cannot be sent; the rest is sent again at once."""
        for row, why in reasons.items():
            self._give_up(work.records[row], DocumentError(why))
        keep = [row for row in range(len(work.records)) if row not in reasons]
        if not keep:
            return Outcome()
        documents = work.documents or []
        rest = Work(
            [work.records[row] for row in keep], [documents[row] for row in keep], work.attempt
        )
        return Outcome([(0.0, rest)])

    def _send_round(self, work: Work, error: HeadraceError, delay_s: float) -> None:
        now = self._now_ms()
        cause = Cause(error, work.attempt, work.first_ms, now)
        for record in work.records:
            finish([record], [self._outputs.retry(record, cause, now + round(delay_s * 1e3))])

    def _give_up(self, record: Record, error: Exception, work: Work | None = None) -> None:
        output = self._end(record, error, work or Work([record], attempt=0))
        if output is not _HALTED:
            finish([record], [output])

    def _end(self, record: Record, error: Exception, work: Work, version: str = "") -> Output:
        """Return the dead letter of a record, or, where the step is strict, halt its lane."""
        if self._step.strict:
            self.halted += 1
            log.error(
                "%r failed and its lane stops (strict): %s",
                record,
                error,
                extra={"event": "lane_halted", "error": type(error).__name__},
            )
            return _HALTED
        self._stats.dead_lettered += 1
        if isinstance(error, RecordError):
            self._stats.count_error(error)
        now = self._now_ms()
        cause = Cause(error, work.attempt, work.first_ms or now, now, version)
        return self._outputs.dead_letter(record, cause)


_HALTED: Output = ((("", None, None, -1, 0, None)),)
