"""What nobody sends who means well: values and headers that are as wrong as they can be."""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from headrace.testing import run

T = TypeVar("T")

EXAMPLES: Final = int(os.environ.get("HEADRACE_HOSTILE_EXAMPLES", "0"))
"""How many examples every test of hostile input tries; 0 for what each says itself."""


def examples(usual: int) -> settings:
    """Return settings for so many examples, unless the environment says how many."""
    return settings(
        max_examples=EXAMPLES or usual,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@contextmanager
def usual_stack() -> Iterator[None]:
    """Leave as many levels of calls as a worker has: hypothesis lets its tests have more."""
    before, depth = sys.getrecursionlimit(), 0
    frame = inspect.currentframe()
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + 960)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def simulated(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in time that jumps, on a stack as a worker has it."""
    with usual_stack():
        return run(work)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in time that jumps."""

    @functools.wraps(test)
    def ran(**given: Any) -> None:
        simulated(test(**given))

    del ran.__wrapped__  # type: ignore[attr-defined]
    ran.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return ran


DEPTHS = st.sampled_from([1, 5, 300, 480, 500, 700, 900, *range(920, 1000), 1_500, 100_000])
"""How deep to nest: shallow, deeper than our calls go, about where decoders give up, beyond."""


def nested(depth: int, opens: bytes = b"[", closes: bytes = b"]") -> bytes:
    """Return JSON of nothing but levels."""
    return opens * depth + closes * depth


def nested_objects(depth: int) -> bytes:
    """Return JSON of objects in objects."""
    return b'{"a":' * depth + b"1" + b"}" * depth


NUMBERS = st.sampled_from(
    [
        *(b"0", b"-0", b"1", b"-1", b"1.5", b"1e5", b"1e400", b"-1e400", b"1E-400", b"01", b"+1"),
        *(b"NaN", b"Infinity", b"-Infinity", b"nan", b".5", b"0x10", b"1_000"),
        *(b"%d" % 2**31, b"%d" % 2**53, b"%d" % 2**63, b"-%d" % 2**63, b"%d" % 2**64),
        *(b"9" * 400, b"-" + b"9" * 4_000, b"9" * 5_000),
    ]
)

TEXTS = st.sampled_from(
    [
        *(b'""', b'"a"', b'"a b"', rb'"\u0000"', rb'"\ud800"', rb'"\udc00\ud800"', rb'"\ud83d"'),
        *(b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\x1b[2J"'),
        *(rb'"\x41"', b'"\n"', b'"unended', b'"' + b"x" * 100_000 + b'"', '"\u202e"'.encode()),
    ]
)

LEAVES = NUMBERS | TEXTS | st.sampled_from([b"null", b"true", b"false", b"[]", b"{}", b"", b"nul"])


def _listed(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _mapped(parts: list[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(name + b":" + value for name, value in parts) + b"}"


JSON = st.recursive(
    LEAVES | DEPTHS.map(nested) | DEPTHS.map(nested_objects),
    lambda inner: (
        st.lists(inner, max_size=3).map(_listed)
        | st.lists(st.tuples(TEXTS, inner), max_size=3).map(_mapped)
    ),
    max_leaves=4,
)
"""Bytes that are JSON, nearly are, or are far from it."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 1, 2, 2**31, 2**63, -(2**63), 10**400])
    | st.floats()
    | st.sampled_from(["", "BYTES", "INT64", "FP32", "text", "shouted", "\ud800", "x" * 5_000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "name", "b64", "\ud800"]), inner, max_size=2)
    ),
    max_leaves=4,
)
"""Plain values of the wrong kind for nearly every place."""


def said(value: Any) -> bytes:
    """Return JSON of plain values, NaN and halves of surrogate pairs included."""
    return json.dumps(value).encode()


HEADER_VALUES = st.sampled_from(
    [
        *(None, b"", b"0", b"1", b"2", b"-1", b"+1", b" 1", b"1.5", b"007", b"a", b"\xff\xfe"),
        *(b"9" * 18, b"9" * 19, b"9" * 400, b"9" * 5_000, "\u0663".encode(), b"1e3", b"NaN"),
        *(b"in-0-0", b"in-0-0/0", b"in-0-0/1/2", b"in-0-0/-1", b"in-0-0/x", b"in--1-0", b"a/b/c"),
        *(b"in/0/0", b"///", b"in-0-0/" + b"9" * 30, b"in-0-0" + b"/0" * 3_000, b"x" * 300_000),
        *(
            b"dropped",
            b"failed",
            b"empty",
            b"closed",
            b"result",
            b"join",
            b"gather",
            b"1/1",
            b"3/9",
        ),
        *(b"10000", b"10001", b"1/2/3/4/5/6", b"\x1b[31m", b"a\nb", b"a, b, a"),
    ]
) | st.binary(max_size=12)
