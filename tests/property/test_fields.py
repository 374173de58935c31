"""Sets of paths against the plain meaning of a set: the deep paths that lie in it."""

import copy
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from headrace.core.fields import common, covers, cut, minus, normal, overlay, projection, union

NAMES = ["a", "b", "c"]
DEEP = [".".join(parts) for n in (1, 2, 3, 4) for parts in product(NAMES, repeat=n)]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(".".join)
SETS = st.lists(PATHS, max_size=4).map(normal)
FIELDS = st.none() | SETS
VALUES = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES)


def deep(fields):
    """Return every path of the small world that lies in a set."""
    if fields is None:
        return set(DEEP)
    return {p for p in DEEP if any(p == each or p.startswith(each + ".") for each in fields)}


@given(st.lists(PATHS, max_size=6))
def test_a_set_has_no_path_inside_another_and_means_the_same(paths):
    found = normal(paths)

    assert deep(found) == deep(paths)
    assert not any(a != b and a.startswith(b + ".") for a in found for b in found)
    assert normal(reversed(found)) == found


@given(FIELDS, FIELDS)
def test_a_union_has_what_is_in_either_set(left, right):
    assert deep(union(left, right)) == deep(left) | deep(right)
    assert union(left, right) == union(right, left)


@given(FIELDS, FIELDS)
def test_what_two_sets_have_in_common_is_in_both(left, right):
    assert deep(common(left, right)) == deep(left) & deep(right)
    assert common(left, right) == common(right, left)


@given(FIELDS, FIELDS)
def test_a_difference_never_has_too_little_and_leaves_out_whole_paths(left, right):
    found = minus(left, right)

    assert deep(left) - deep(right) <= deep(found) <= deep(left)
    assert left is None or set(found) == {path for path in left if not covers(right, path)}


@given(FIELDS, PATHS)
def test_a_set_covers_a_path_whose_inside_is_all_in_it(fields, path):
    assert covers(fields, path) is (path in deep(fields))


def test_a_part_of_digits_ends_a_path_unless_it_begins_it():
    assert cut("items.0.name") == "items"
    assert cut("0.name") == "0.name"
    assert normal(["items.1", "items.0.name", "a.b"]) == ("a.b", "items")


def test_nothing_and_everything_are_the_ends_of_all_sets():
    assert union() == ()
    assert minus(None, None) == ()
    assert minus(None, ("a",)) is None
    assert common(None, None) is None


def walked(value, paths):
    """Return the part of a value that paths select, one path after the other."""
    if type(value) is not dict or "" in paths:
        return value
    inner = {}
    for path in paths:
        name, _, rest = path.partition(".")
        inner.setdefault(name, set()).add(rest)
    return {name: walked(value[name], rest) for name, rest in inner.items() if name in value}


@given(DOCUMENTS, SETS)
def test_a_projection_selects_what_a_plain_walk_finds(document, fields):
    before = copy.deepcopy(document)

    found = projection(fields)(document)

    assert found == walked(document, fields)
    assert document == before
    assert projection(fields)(found) == found


@given(DOCUMENTS, SETS, SETS)
def test_a_projection_of_a_projection_is_that_of_what_they_have_in_common(document, one, other):
    assert projection(one)(projection(union(one, other))(document)) == projection(one)(document)


def test_what_is_selected_whole_is_shared_and_the_rest_is_new():
    document = {"page": {"text": ["long"], "date": 1}, "id": 7}

    found = projection(("page.text",))(document)

    assert found == {"page": {"text": ["long"]}}
    assert found["page"] is not document["page"]
    assert found["page"]["text"] is document["page"]["text"]
    assert projection(None)(document) is document


def test_a_path_through_a_list_or_a_single_value_takes_all_of_it():
    assert projection(("a.b", "c.d"))({"a": [{"b": 1, "x": 2}], "c": 5}) == {
        "a": [{"b": 1, "x": 2}],
        "c": 5,
    }
    assert projection(("a",))(["no", "object"]) == ["no", "object"]
    assert projection(("a.b",))("text") == "text"


@given(DOCUMENTS, DOCUMENTS, SETS)
def test_what_is_put_over_a_document_is_read_there_and_nothing_else_changes(under, over, fields):
    before = (copy.deepcopy(under), copy.deepcopy(over))

    found = overlay(fields)(under, projection(fields)(over))

    assert (under, over) == before
    assert {name: found[name] for name in found if name not in over} == {
        name: under[name] for name in under if name not in over
    }
    for path in fields:
        if "." not in path and path in over:
            assert found[path] == over[path]
    assert overlay(fields)(found, projection(fields)(over)) == found


def test_only_the_paths_of_the_set_are_put_over():
    put = overlay(("page.kind", "codes"))

    found = put({"page": {"text": "t", "kind": "old"}, "id": 1}, {"page": {"kind": "new"}, "id": 2})

    assert found == {"page": {"text": "t", "kind": "new"}, "id": 1}
    assert put({"page": 5}, {"page": {"kind": "new", "x": 1}}) == {"page": {"kind": "new"}}
    assert put({"page": {"text": "t"}}, {"page": [1]}) == {"page": [1]}
