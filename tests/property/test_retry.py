"""Every error leads to the decision that the design promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.retry import (
    RETRY_TOPIC_DELAY_S,
    Bisect,
    DeadLetter,
    DeadLetterRows,
    OneByOne,
    PauseStep,
    RetryLater,
    RetryPolicy,
    ThroughRetryTopic,
    decide,
)
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    BrokerUnavailableError,
    ConfigError,
    DecodeError,
    DocumentError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    InvalidRowsError,
    InvariantError,
    OversizeError,
    RowCountError,
)

TRANSIENT = st.sampled_from([InferenceTimeoutError("late"), InferenceFailedError("cut")])
OF_THE_DATA = st.sampled_from(
    [
        InvalidInputError("no"),
        BrokenAnswerError("no"),
        DecodeError("no"),
        DocumentError("no"),
        OversizeError("no"),
        KeyError("raised by a user's function"),
    ]
)
ATTEMPTS = st.integers(1, 3000)
SIZES = st.integers(1, 500)
JITTERS = st.floats(0.0, 1.0, exclude_max=True)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 3000),
    first_delay_s=st.floats(0.001, 100.0),
    max_delay_s=st.floats(0.001, 1000.0),
)


def decided(error, attempt=1, policy=None, *, is_ordered=True, batch_size=1, jitter=0.5):
    return decide(
        error,
        attempt,
        policy or RetryPolicy(),
        is_ordered=is_ordered,
        batch_size=batch_size,
        jitter=jitter,
    )


@given(ATTEMPTS, POLICIES, SIZES)
def test_a_model_that_cannot_answer_pauses_the_step_however_often_it_happens(attempt, policy, size):
    unavailable = decided(InferenceUnavailableError("503"), attempt, policy, batch_size=size)
    refused = decided(AccessRefusedError("401"), attempt, policy, batch_size=size)

    assert unavailable == PauseStep("InferenceUnavailableError: 503", is_loud=False)
    assert refused == PauseStep("AccessRefusedError: 401", is_loud=True)


@given(TRANSIENT, ATTEMPTS, POLICIES, st.booleans(), SIZES, JITTERS)
def test_a_transient_fault_is_retried_until_the_attempts_are_used_up(
    error, attempt, policy, is_ordered, size, jitter
):
    decision = decided(
        error, attempt, policy, is_ordered=is_ordered, batch_size=size, jitter=jitter
    )

    if attempt < policy.max_attempts:
        assert isinstance(decision, RetryLater | ThroughRetryTopic)
    elif size > 1:
        assert decision == Bisect()
    else:
        assert isinstance(decision, DeadLetter)
        assert f"after {attempt} attempts" in decision.reason
        assert str(error) in decision.reason


@given(TRANSIENT, POLICIES, st.booleans(), JITTERS)
def test_only_a_long_delay_without_order_goes_through_the_retry_topic(
    error, policy, is_ordered, jitter
):
    decision = decided(error, 1, policy, is_ordered=is_ordered, jitter=jitter)

    if policy.max_attempts > 1:
        is_long = decision.delay_s >= RETRY_TOPIC_DELAY_S
        assert isinstance(decision, ThroughRetryTopic) == (is_long and not is_ordered)


@given(POLICIES, ATTEMPTS, JITTERS)
def test_a_delay_lies_between_half_the_backoff_and_all_of_it(policy, attempt, jitter):
    backoff = min(policy.max_delay_s, policy.first_delay_s * 2 ** min(attempt - 1, 100))

    delay = policy.delay_s(attempt, jitter)

    assert backoff / 2 <= delay <= backoff


@given(OF_THE_DATA, ATTEMPTS, POLICIES, SIZES)
def test_a_fault_of_the_data_is_searched_for_and_never_retried(error, attempt, policy, size):
    decision = decided(error, attempt, policy, batch_size=size)

    if size > 1:
        assert decision == Bisect()
    else:
        assert isinstance(decision, DeadLetter)
        assert decision.reason.startswith(type(error).__name__)


@given(ATTEMPTS, SIZES)
def test_an_answer_with_another_number_of_rows_is_repeated_one_by_one(attempt, size):
    decision = decided(RowCountError("2 rows for 3"), attempt, batch_size=size)

    assert isinstance(decision, OneByOne if size > 1 else DeadLetter)


@given(ATTEMPTS, SIZES)
def test_rows_that_cannot_be_sent_are_given_up_alone(attempt, size):
    decision = decided(InvalidRowsError({0: "not text"}), attempt, batch_size=size)

    assert decision == DeadLetterRows({0: "not text"})


@pytest.mark.parametrize(
    "error", [BrokerUnavailableError("down"), ConfigError("wrong"), InvariantError("bug")]
)
def test_an_error_that_says_nothing_about_records_never_costs_one(error):
    with pytest.raises(InvariantError, match="not a failed call"):
        decided(error)


def test_an_error_without_words_still_gives_a_reason():
    assert decided(ValueError()) == DeadLetter("ValueError")
