"""Dead letters in transactions: those of a source record are never parted."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.records import TopicPartition
from headrace.kafka.dead_letters import DeadLetter
from headrace.kafka.replay import BATCH_BYTES, batches, select

MIB = 2**20


def letter(number: int, id_: str, step: str, size: int | None) -> DeadLetter:
    return DeadLetter(
        id=id_,
        place=TopicPartition("d", 0),
        offset=number,
        step=step,
        error="E",
        message="",
        attempts=1,
        source="",
        model="",
        timestamp=0,
        first_ms=0,
        last_ms=number,
        key=None,
        value=None if size is None else bytes(size),
        headers=(),
    )


ids = st.tuples(st.integers(0, 6), st.sampled_from(["", "/0", "/1", "/1/0"])).map(
    lambda parts: f"t-0-{parts[0]}{parts[1]}"
)
steps = st.sampled_from(["a", "b", "join"])


def letters_of(sizes: st.SearchStrategy[int | None]) -> st.SearchStrategy[list[DeadLetter]]:
    return st.lists(st.tuples(ids, steps, sizes), max_size=40).map(
        lambda rows: [letter(number, *row) for number, row in enumerate(rows)]
    )


def record_ids(letters: Sequence[DeadLetter]) -> set[str]:
    return {each.id.split("/")[0] for each in letters}


@given(letters_of(st.sampled_from([0, 10, MIB, 3 * MIB])), st.integers(1, 12))
def test_letters_of_a_record_are_never_parted_and_limits_hold_otherwise(letters, most):
    found = list(batches(letters, most))

    assert sorted(each.offset for batch in found for each in batch) == list(range(len(letters)))
    for batch in found:
        size_bytes = sum(len(each.value or b"") for each in batch)
        is_over = len(batch) > most or size_bytes > BATCH_BYTES
        assert batch
        assert not is_over or len(record_ids(batch)) == 1
    everywhere = [id_ for batch in found for id_ in record_ids(batch)]
    assert len(everywhere) == len(set(everywhere))


@given(letters_of(st.just(1)), st.integers(1, 12))
def test_a_batch_ends_only_where_the_next_record_does_not_fit(letters, most):
    found = list(batches(letters, most))

    for batch, following in pairwise(found):
        first = following[0].record
        together = [each for each in following if each.record == first]
        assert len(batch) + len(together) > most


@given(letters_of(st.sampled_from([None, 1])), st.sets(st.integers(0, 39)))
def test_a_record_goes_whole_or_stays_whole(letters, chosen):
    selection = select(letters, lambda each: each.offset in chosen)

    sent = {each.offset for each in selection.sent}
    left = without_value = 0
    for id_ in record_ids(letters):
        together = [each for each in letters if each.record == id_]
        gone = sum(each.value is None for each in together)
        is_meant = any(each.offset in chosen for each in together)
        goes = is_meant and not gone
        assert {each.offset in sent for each in together} == {goes}
        if is_meant and gone:
            without_value += gone
            left += len(together) - gone
    assert (selection.without_value, selection.left) == (without_value, left)
