"""Conditions in CEL against the same condition computed in Python."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.formats.conditions import compile_condition

NUMBERS = st.integers(-5, 5) | st.integers(-10, 10).map(lambda n: n / 2)
TEXTS = st.sampled_from(["", "a", "ab", "é", "it's", '"', "a.b", "b.n == c", "// x"])
DOCUMENTS = st.fixed_dictionaries(
    {"t": TEXTS, "n": NUMBERS, "l": st.lists(NUMBERS, max_size=3), "b": st.booleans()},
    optional={"p": st.fixed_dictionaries({}, optional={"t": TEXTS, "n": NUMBERS})},
)


@dataclass(frozen=True)
class Case:
    """A condition, and what computes the same in Python."""

    text: str
    compute: Any


def literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


COMPARISONS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def cases_of(sign: str, number: Any, text: str) -> list[Case]:
    """Return a condition of every kind."""
    compare = COMPARISONS[sign]
    shown = literal(number)
    return [
        Case(f"n {sign} {shown}", lambda d: compare(d["n"], number)),
        Case(f"t{sign}{literal(text)}", lambda d: compare(d["t"], text)),
        Case(f"l.size() {sign} {shown}", lambda d: compare(len(d["l"]), number)),
        Case(f"{shown} in l", lambda d: number in d["l"]),
        Case(
            f"l.exists(p, p {sign} {shown})",
            lambda d: any(compare(each, number) for each in d["l"]),
        ),
        Case("b", lambda d: d["b"]),
        Case(f"b ? n {sign} {shown} : !b", lambda d: compare(d["n"], number) if d["b"] else True),
    ]


ATOMS = st.builds(cases_of, st.sampled_from(sorted(COMPARISONS)), NUMBERS, TEXTS)

CASES = st.recursive(
    ATOMS.flatmap(st.sampled_from),
    lambda inner: st.one_of(
        st.builds(lambda a: Case(f"!({a.text})", lambda d: not a.compute(d)), inner),
        st.builds(
            lambda a, b: Case(f"({a.text}) && ({b.text})", lambda d: a.compute(d) & b.compute(d)),
            inner,
            inner,
        ),
        st.builds(
            lambda a, b: Case(f"({a.text}) || ({b.text})", lambda d: a.compute(d) | b.compute(d)),
            inner,
            inner,
        ),
    ),
    max_leaves=6,
)


@given(CASES, DOCUMENTS)
def test_a_condition_is_what_python_computes(case, document):
    assert compile_condition(case.text)(document) is case.compute(document)


@given(DOCUMENTS, TEXTS)
def test_has_tells_whether_a_field_is_there(document, text):
    document = {"p": {}, **document}

    found = compile_condition(f"has(p.t) && p.t == {literal(text)}")(document)

    assert found is (document["p"].get("t") == text)
