"""Whatever a batch holds, every record ends once, as it deserves, with few calls."""

import json
from math import log2

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.steps import Ordering
from headrace.testing import ScriptedModel, run
from tests.unit.runtime.parts import DEAD, Doing, taken, with_step, work_of


def outcome_of(record):
    """Return the topic of what a record left behind, and the row that was written."""
    [row] = record.output
    return row[0], row[1]


@given(st.integers(1, 128), st.data())
@settings(max_examples=150, deadline=None)
def test_exactly_the_poison_rows_become_dead_letters_with_few_calls(size, data):
    poison = data.draw(st.sets(st.integers(0, size - 1), max_size=min(size, 12)))
    doing = Doing(model=ScriptedModel(poison=lambda text: int(text) in poison))
    records = taken([str(number) for number in range(size)])

    run(doing.to_the_end(work_of(records)))

    for number, record in enumerate(records):
        topic, value = outcome_of(record)
        assert topic == (DEAD if number in poison else "out")
        assert json.loads(value)["text"] == str(number)
    assert len(doing.model.calls) <= 2 * len(poison) * (1 + log2(size)) + 1


VALUES = st.sampled_from(["good", "poison", b"not json", b"{}", b'{"text": null}', None])


@given(
    st.lists(VALUES, max_size=24),
    st.sampled_from(list(Ordering)),
    st.fixed_dictionaries(
        {kind: st.just(0.15) for kind in ("timeout", "failed", "row_count", "broken")}
    ),
    st.integers(0, 6),
    st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_every_record_is_finished_once_and_none_gets_the_row_of_another(
    values, ordering, rates, budget, seed
):
    texts = [
        f"{value} {number}" if value in ("good", "poison") else value
        for number, value in enumerate(values)
    ]
    model = ScriptedModel(
        poison=lambda text: str(text).startswith("poison"), rates=rates, budget=budget, seed=seed
    )
    doing = Doing(with_step(ordering=ordering), model)
    records = taken(texts, ordering) if texts else []

    run(doing.to_the_end(work_of(records)))

    for value, record in zip(texts, records, strict=True):
        topic, written = outcome_of(record)
        if topic == "out" and value is not None:
            document = json.loads(written)
            assert document["shouted"] == str(document["text"]).upper()
            assert written is not None
            assert document["text"] == json.loads(record.value)["text"]
        if str(value).startswith("poison") or value in (b"not json", b"{}"):
            assert topic == DEAD
    if records:
        released = records[0].ledger.released
        assert len(released) == len(records)
        if ordering is Ordering.PARTITION:
            assert [record.offset for record in released] == list(range(len(records)))
