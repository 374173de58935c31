"""Days that a page names, read through a scanner's errors."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import product

YEARS = range(1915, 2030)
"""Years that charts speak of; others were misread."""

_D = r"[0-9lIi|OoQDSsBbGgqZzA]"
_M = r"[A-Za-z0][A-Za-z01(]{1,8}[A-Za-z(]"
_SIGN = r"(?: ?[/.\-~_]{1,2} ?|[1lI])"
_DASH = r" ?[\-~_]{1,2} ?"
_TRUE = r"(?=[A-Za-z|]{0,2}\d)"
_FULL = rf"{_TRUE}{_D}{{4,5}}"
_PART = rf"{_TRUE}(?:{_D}{{1,2}}|{_D} {_D}|{_D}{{3}})"

WRITTEN = re.compile(
    rf"(?<!\w)(?:"
    rf"(?P<y1>{_FULL}){_DASH}(?P<m1>{_PART}){_DASH}(?P<d1>{_PART})"
    rf"|(?P<m2>{_PART})(?P<s2>{_SIGN})(?P<d2>{_PART})(?P<t2>{_SIGN})(?P<y2>{_FULL}|{_D}{{2}})"
    rf"|(?P<d3>{_PART}){_DASH}(?P<m3>{_M}){_DASH}(?P<y3>{_FULL})"
    rf"|(?P<m4>{_M}) *(?P<d4>{_PART}) ?[,.]{{0,2}} *(?P<y4>{_FULL})"
    rf")(?!\w)"
)
"""Forms of a date, each with a year `y`, a month `m` and a day `d`."""

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
ALIKE = 0.6
"""How alike a misspelled month has to be, from 0 to 1."""

_DIGITS = str.maketrans("lIi|OoQDSsBbGgqZzA", "111100005586699224")
_MISREAD = {"7": "721", "8": "83", "4": "49", "1": "17", "0": "09", "9": "94"}
"""What stands on the page for a digit that the scanner's engine gave, likeliest first."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day named on a page.

    Attributes:
        line: Number of the line, from 0.
        start: Offset of its first character in the line.
        end: Offset after its last character.
        day: What it says.
        is_repaired: Whether digits had to be changed to make it a day.
    """

    line: int
    start: int
    end: int
    day: date
    is_repaired: bool


def days(lines: Sequence[str]) -> Iterator[Day]:
    """Yield the days that lines name, in reading order."""
    for number, line in enumerate(lines):
        for found in WRITTEN.finditer(line):
            read = _read(found)
            if read is not None:
                yield Day(number, found.start(), found.end(), *read)


def _read(found: re.Match[str]) -> tuple[date, bool] | None:
    form = next(each for each in "1234" if found["y" + each])
    year, month, day = (found[part + form].replace(" ", "") for part in "ymd")
    if form == "2" and not _is_joined(found["s2"].strip(), found["t2"].strip(), month, day):
        return None
    if form in "34":
        named = month_named(month)
        month = f"{named:02d}" if named else ""
    return _first(_digits(year, 4), _digits(month, 2), _digits(day, 2))


def _digits(text: str, most: int) -> str:
    """Return digits, without what was read twice; nothing if there are too many still."""
    digits = text.translate(_DIGITS)
    for at in range(len(digits) - 1, 0, -1):
        if len(digits) > most and digits[at] == digits[at - 1]:
            digits = digits[:at] + digits[at + 1 :]
    return digits if len(digits) <= most else ""


def _is_joined(first: str, second: str, month: str, day: str) -> bool:
    """Tell whether signs make a date of numbers, and not a pressure or a range."""
    if "/" not in first + second:
        return first == second and first in {".", "-"}
    return first[:1] == second[:1] or (len(month), len(day)) == (2, 2)


def _first(year: str, month: str, day: str) -> tuple[date, bool] | None:
    """Return the likeliest day, and whether it is not what was read."""
    if not (year.isdigit() and month.isdigit() and day.isdigit()):
        return None
    for number, (y, m, d) in enumerate(product(_years(year), _readings(month), _readings(day))):
        if y in YEARS and 1 <= m <= 12:
            try:
                return date(y, m, d), number > 0
            except ValueError:
                continue
    return None


def _years(year: str) -> Iterable[int]:
    return [2000 + each for each in _readings(year)] if len(year) == 2 else _readings(year)


@lru_cache(4096)
def _readings(digits: str) -> tuple[int, ...]:
    """Return what digits may stand for: what they say, then with fewest changes first."""
    options = ["".join(each) for each in product(*(_MISREAD.get(x, x) for x in digits))]
    options.sort(key=lambda option: sum(a != b for a, b in zip(option, digits, strict=True)))
    return tuple(int(option) for option in options if option.isdigit())


@lru_cache(4096)
def month_named(word: str) -> int:
    """Return the month that a word names or nearly names, from 1; 0 if it names none."""
    word = word.lower().replace("0", "o").replace("1", "l")
    for number, month in enumerate(MONTHS, start=1):
        if word == month or word == month[:3]:
            return number
    best, which = max(
        (SequenceMatcher(None, word, form).ratio(), number)
        for number, month in enumerate(MONTHS, start=1)
        for form in (month, month[:3])
    )
    return which if best >= ALIKE else 0
