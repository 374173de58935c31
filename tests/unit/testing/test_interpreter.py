"""What every rule of a DAG means for one record, as the interpreter says it."""

import json
from pathlib import Path

import pytest

from headrace.errors import InvalidInputError
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing.interpreter import Interpreter
from tests.simulation.dag_world import condition

HEAD = """\
pipeline: p
models:
  upper: {url: grpc://localhost:1}
steps:
"""


def upper(step, row):
    if row[0].startswith("!"):
        raise InvalidInputError("poison")
    return [row[0].upper()]


def halve(document):
    if document["n"] < 0:
        raise ValueError("negative")
    return None if document["n"] % 2 else {"n": document["n"] // 2}


def run(steps, *documents, whole=False):
    """Return the sinks as (topic, id, document) and the dead letters as (id, step, error)."""
    spec = check_text(HEAD + steps, {}, "p.yaml").unwrap()
    topology = compile_pipeline(spec, Path())
    functions = {"rules:halve": halve, "rules:same": lambda document: document}
    interpreter = Interpreter(topology, upper, functions, condition, whole=whole)
    values = [d if isinstance(d, bytes | None) else json.dumps(d).encode() for d in documents]
    written = interpreter.run([("in", f"in-0-{n}", value) for n, value in enumerate(values)])
    sinks = [(t, i, text and json.loads(text)) for t, i, text in sorted(written.sinks, key=str)]
    assert set(written.sinks.values()) <= {1}
    assert set(written.dead.values()) <= {1}
    return sinks, sorted(written.dead)


def model(name, parent, path="t", field=None, **more):
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    field = field or f"{name}_out"
    return (
        f"  {name}: {{from: {parent}, model: upper, inputs: {{x: {path}}},"
        f" outputs: {{{field}: y}}{extra}}}\n"
    )


CHAIN = model("a", "in") + model("b", "a", "a_out") + "sinks: {out: b}\n"
JOIN = (
    model("a", "in")
    + model("b", "in", "u")
    + model("j", "[a, b]", "a_out", MORE="x").replace(", MORE: x", "%s")
    + "sinks: {out: {from: j, fields: [a_out, b_out, j_out]}}\n"
)
FAMILY = (
    "  pages: {from: in, split: {each: pages, as: page, keep: [name]}}\n"
    + model("c", "pages", "page.t", "up")
    + "  book: {from: c, gather: {split: pages, into: pages, fields: [up]%s}}\n"
    + "sinks: {out: book}\n"
)


def test_a_document_goes_through_a_chain():
    assert run(CHAIN, {"t": "x"}) == (
        [("out", "in-0-0", {"t": "x", "a_out": "X", "b_out": "X"})],
        [],
    )


@pytest.mark.parametrize(
    ("value", "error"),
    [({"t": "!"}, "InvalidInputError"), ({}, "DocumentError"), (b"no", "DecodeError")],
)
def test_what_fails_is_a_dead_letter_at_its_step(value, error):
    assert run(CHAIN, value) == ([], [("in-0-0", "a", error)])


def test_a_tombstone_goes_to_every_sink():
    assert run(CHAIN, None) == ([("out", "in-0-0", None)], [])


def test_a_tombstone_is_dropped_or_given_up_where_the_step_says_so():
    drop = model("a", "in", tombstones="drop") + "sinks: {out: a}\n"
    give_up = model("a", "in", tombstones="dead_letter") + "sinks: {out: a}\n"

    assert run(drop, None) == ([], [])
    assert run(give_up, None) == ([], [("in-0-0", "a", "DecodeError")])


def test_a_join_adds_what_its_parents_wrote():
    sinks, dead = run(JOIN % "", {"t": "x", "u": "y"})

    assert sinks == [("out", "in-0-0", {"a_out": "X", "b_out": "Y", "j_out": "X"})]
    assert not dead


def test_a_join_of_all_fails_with_any_of_its_parts():
    assert run(JOIN % "", {"t": "x", "u": "!"}) == (
        [],
        [("in-0-0", "b", "InvalidInputError"), ("in-0-0", "j", "MissingPartError")],
    )


def test_a_join_goes_on_without_an_optional_part_that_was_dropped():
    steps = JOIN.replace("x: u}", "x: u}, when: n > 3") % ", optional: [b]"

    sinks, dead = run(steps, {"t": "x", "u": "y", "n": 1})

    assert sinks == [("out", "in-0-0", {"a_out": "X", "j_out": "X"})]
    assert not dead


@pytest.mark.parametrize(
    ("on_missing", "written", "given_up"),
    [("dead_letter", 0, 2), ("drop", 0, 1), ("proceed", 1, 2)],
)
def test_an_optional_part_that_failed_follows_on_missing(on_missing, written, given_up):
    steps = JOIN % f", optional: [b], on_missing: {on_missing}"

    sinks, dead = run(steps, {"t": "x", "u": "!"})

    assert (len(sinks), len(dead)) == (written, given_up)


def test_a_join_is_dropped_with_a_part_that_was():
    steps = JOIN.replace("x: u}", "x: u}, when: n > 3") % ""

    assert run(steps, {"t": "!", "u": "y", "n": 1}) == (
        [],
        [("in-0-0", "a", "InvalidInputError")],
    )


def test_the_first_listed_parent_with_a_result_is_taken():
    steps = JOIN % ", join: first"

    both, _ = run(steps.replace("x: a_out", "x: u"), {"t": "x", "u": "y"})
    second, dead = run(steps.replace("x: a_out", "x: u"), {"t": "!", "u": "y"})

    assert both == [("out", "in-0-0", {"a_out": "X", "j_out": "Y"})]
    assert second == [("out", "in-0-0", {"b_out": "Y", "j_out": "Y"})]
    assert dead == [("in-0-0", "a", "InvalidInputError")]


def test_a_preferred_parent_wins_where_both_write():
    steps = (
        model("a", "in", field="f")
        + model("b", "in", "u", "f")
        + model("j", "[a, b]", "f", prefer="%s")
        + "sinks: {out: {from: j, fields: [f]}}\n"
    )

    assert run(steps % "a", {"t": "x", "u": "y"})[0] == [("out", "in-0-0", {"f": "X"})]
    assert run(steps % "b", {"t": "x", "u": "y"})[0] == [("out", "in-0-0", {"f": "Y"})]


def test_routes_are_exclusive_and_what_matches_none_is_dropped():
    steps = (
        model("a", "in", routes="{big: n > 3, odd: n % 2 == 1}")
        + model("b", "a.odd")
        + "sinks: {big: {from: a.big, fields: [n]}, odd: {from: b, fields: [n]}}\n"
    )

    sinks, dead = run(steps, *({"t": "x", "n": n} for n in (5, 1, 2)))

    assert sinks == [("big", "in-0-0", {"n": 5}), ("odd", "in-0-1", {"n": 1})]
    assert not dead


def test_a_function_drops_raises_and_writes_only_what_it_says():
    steps = "  f: {from: in, function: rules:halve, reads: [n], writes: [n]}\nsinks: {out: f}\n"

    sinks, dead = run(steps, {"t": "x", "n": 4}, {"n": 3}, {"n": -1})

    assert sinks == [("out", "in-0-0", {"t": "x", "n": 2})]
    assert dead == [("in-0-2", "f", "FunctionError")]


def test_children_are_gathered_in_the_order_of_their_list():
    pages = [{"t": "x"}, {"t": "y"}]

    sinks, dead = run(FAMILY % "", {"name": "n", "pages": pages}, {"name": "n", "pages": []})

    assert sinks == [
        ("out", "in-0-0", {"name": "n", "pages": [{"up": "X"}, {"up": "Y"}]}),
        ("out", "in-0-1", {"name": "n", "pages": []}),
    ]
    assert not dead


def test_a_failed_child_fails_its_parent():
    value = {"name": "n", "pages": [{"t": "x"}, {"t": "!"}]}

    assert run(FAMILY % "", value) == (
        [],
        [("in-0-0", "book", "MissingPartError"), ("in-0-0/1", "c", "InvalidInputError")],
    )


def test_a_failed_child_leaves_a_hole_where_that_is_asked_for():
    value = {"name": "n", "pages": [{"t": "!"}, {"t": "x"}]}

    sinks, dead = run(FAMILY % ", on_failed: hole", value)

    hole = {"failed": {"step": "c", "error": "InvalidInputError", "message": ""}}
    assert sinks == [("out", "in-0-0", {"name": "n", "pages": [hole, {"up": "X"}]})]
    assert dead == [("in-0-0", "book", "MissingPartError"), ("in-0-0/0", "c", "InvalidInputError")]


def test_a_dropped_child_is_left_out():
    steps = (FAMILY % "").replace("x: page.t}", "x: page.t}, when: page.n > 3")
    pages = [{"t": "x", "n": 5}, {"t": "y", "n": 1}, {"t": "z", "n": 6}]

    sinks, _ = run(steps, {"name": "n", "pages": pages})

    assert sinks == [("out", "in-0-0", {"name": "n", "pages": [{"up": "X"}, {"up": "Z"}]})]


def test_a_list_that_is_none_is_a_dead_letter_of_the_split_and_missed_at_the_gather():
    assert run(FAMILY % "", {"name": "n", "pages": 3}, {"name": "n"})[1] == [
        ("in-0-0", "book", "MissingPartError"),
        ("in-0-0", "pages", "DocumentError"),
        ("in-0-1", "book", "MissingPartError"),
        ("in-0-1", "pages", "DocumentError"),
    ]


def test_splits_nest():
    steps = (
        "  books: {from: in, split: {each: books, as: book, keep: [name]}}\n"
        "  pages: {from: books, split: {each: book.pages, as: page, keep: [name, book.title]}}\n"
        + model("c", "pages", "page", "up")
        + "  book: {from: c, gather: {split: pages, into: pages, fields: [up]}}\n"
        "  shelf: {from: book, gather: {split: books, into: books}}\n"
        "sinks: {out: shelf, page-out: {from: c, fields: [up]}}\n"
    )
    books = [{"title": "1", "pages": ["a", "b"]}, {"title": "2", "pages": []}]

    sinks, dead = run(steps, {"name": "n", "books": books})

    gathered = [
        {"name": "n", "book": {"title": "1"}, "pages": [{"up": "A"}, {"up": "B"}]},
        {"name": "n", "book": {"title": "2"}, "pages": []},
    ]
    assert sinks == [
        ("out", "in-0-0", {"name": "n", "books": gathered}),
        ("page-out", "in-0-0/0/0", {"up": "A"}),
        ("page-out", "in-0-0/0/1", {"up": "B"}),
    ]
    assert not dead
