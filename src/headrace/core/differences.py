"""Where two documents, or two lists of them, differ."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()
"""What stands where a document has no such field."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which two documents differ.

    Attributes:
        path: Dotted path, empty for the whole document.
        before: What the first has there, or `ABSENT`.
        after: What the second has there, or `ABSENT`.
    """

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, *, is_partial: bool = False) -> list[Difference]:
    """Return every place in which two decoded JSON values differ, in the order of the first.

    Lists of the same length are compared element by element, others as a whole. A number is equal
    to itself with a fraction of zero, and never to true or false.

    Args:
        before: The first value.
        after: The second value.
        is_partial: Whether fields that only the second has are no difference.
    """
    found: list[Difference] = []
    _compare("", before, after, is_partial, found)
    return found


def aligned(
    before: Sequence[Hashable], after: Sequence[Hashable]
) -> list[tuple[int | None, int | None]]:
    """Return which element of the one list stands for which of the other, None for no one.

    Equal elements are kept together; between them the others are paired in order.
    """
    pairs: list[tuple[int | None, int | None]] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for _, start, stop, other_start, other_stop in matcher.get_opcodes():
        for offset in range(max(stop - start, other_stop - other_start)):
            left, right = start + offset, other_start + offset
            pairs.append((left if left < stop else None, right if right < other_stop else None))
    return pairs


def _compare(path: str, before: Any, after: Any, is_partial: bool, found: list[Difference]) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = before if is_partial else {**before, **after}
        for name in names:
            place = f"{path}.{name}" if path else str(name)
            one, other = before.get(name, ABSENT), after.get(name, ABSENT)
            _compare(place, one, other, is_partial, found)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            _compare(f"{path}.{index}" if path else str(index), one, other, is_partial, found)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        found.append(Difference(path, before, after))
