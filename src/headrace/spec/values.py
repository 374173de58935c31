"""Single values of the pipeline file: durations, counts, names, URLs and short forms."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

_UNITS_US = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
}
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(us|ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_LONGEST_US = 100_000 * _UNITS_US["d"]
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,80}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FUNCTION = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_RESERVED_ENDINGS = (".retry", ".dead-letters", ".control")
_RESERVED_NAMES = frozenset({"retry", "dead-letters", "control", "dlq-replay"})
_RPC_SCHEMES = frozenset({"grpc", "grpcs"})
_WEB_SCHEMES = frozenset({"http", "https"})
_INT64 = 2**63


def refuse(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """Return the error for a value; braces in it must not be taken for a template."""
    return PydanticCustomError(
        "headrace", "{message}", {"code": code, "message": message, "hint": hint}
    )


def _parse_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise refuse("E012", "expects a duration with its unit", "write it like 5ms, 2s or 1m30s")
    parts = _DURATION_PART.findall(value)
    microseconds = sum(round(float(number) * _UNITS_US[unit]) for number, unit in parts)
    return timedelta(microseconds=min(microseconds, _LONGEST_US))


def show_duration(value: timedelta) -> str:
    """Return a duration in the file's notation, in the largest unit that is exact."""
    microseconds = value // timedelta(microseconds=1)
    units = (unit for unit, size in _UNITS_US.items() if microseconds % size == 0)
    unit = next(units) if microseconds else "s"
    return f"{microseconds // _UNITS_US[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class _Between:
    """Bounds of a duration, both included."""

    shortest: timedelta
    longest: timedelta

    def __call__(self, value: timedelta) -> timedelta:
        if not self.shortest <= value <= self.longest:
            bounds = f"{show_duration(self.shortest)} and {show_duration(self.longest)}"
            raise refuse("E013", f"must be between {bounds}")
        return value


_DURATION_SCHEMA = WithJsonSchema(
    {"type": "string", "title": "duration", "pattern": r"^(\d+(\.\d+)?(us|ms|s|m|h|d))+$"}
)
_DURATION_TEXT = PlainSerializer(show_duration, return_type=str)
_FIRST_MS = timedelta(milliseconds=1)

Wait: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    AfterValidator(_Between(timedelta(0), timedelta(minutes=1))),
    _DURATION_TEXT,
    _DURATION_SCHEMA,
]
"""A duration from 0s to 1m."""

Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    AfterValidator(_Between(_FIRST_MS, timedelta(hours=1))),
    _DURATION_TEXT,
    _DURATION_SCHEMA,
]
"""A duration from 1ms to 1h."""

Window: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    AfterValidator(_Between(timedelta(0), timedelta(days=3650))),
    _DURATION_TEXT,
    _DURATION_SCHEMA,
]
"""A duration from 0s to ten years."""

Span: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    AfterValidator(_Between(_FIRST_MS, timedelta(days=3650))),
    _DURATION_TEXT,
    _DURATION_SCHEMA,
]
"""A duration from 1ms to ten years."""

_SIZES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "GB": 10**9, "MB": 10**6, "kB": 1000, "B": 1}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(GiB|MiB|KiB|GB|MB|kB|B)", re.ASCII)
_SMALLEST, _LARGEST = 2**10, 2**30


def _parse_size(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refuse("E012", "expects a size with its unit", "write it like 512KiB or 16MiB")
    size = round(float(match[1]) * _SIZES[match[2]])
    if not _SMALLEST <= size <= _LARGEST:
        bounds = f"{show_size(_SMALLEST)} and {show_size(_LARGEST)}"
        raise refuse("E013", f"must be between {bounds}")
    return size


def show_size(value: int) -> str:
    """Return a size in the file's notation, in the largest unit that is exact."""
    unit = next(unit for unit, size in _SIZES.items() if value % size == 0)
    return f"{value // _SIZES[unit]}{unit}"


Size: TypeAlias = Annotated[
    int,
    BeforeValidator(_parse_size),
    PlainSerializer(show_size, return_type=str),
    WithJsonSchema(
        {"type": "string", "title": "size", "pattern": r"^\d+(\.\d+)?(GiB|MiB|KiB|GB|MB|kB|B)$"}
    ),
]
"""A size from 1KiB to 1GiB, in bytes."""


def _parse_start(value: object) -> str | int:
    if isinstance(value, str) and value in {"earliest", "latest", "error"}:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _INT64:
        return value
    hint = (
        "use earliest, latest, error, milliseconds since 1970, or a time like 2026-01-31T00:00:00Z"
    )
    if not isinstance(value, str):
        raise refuse("E012", "is not a start", hint)
    try:
        moment = datetime.fromisoformat(value)
        milliseconds = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise refuse("E013", f"'{value}' is not a start", hint) from None
    if moment.tzinfo is None or milliseconds < 0:
        raise refuse("E013", f"'{value}' has no offset from UTC or is before 1970", hint)
    return milliseconds


Start: TypeAlias = Annotated[str | int, BeforeValidator(_parse_start)]
"""Where reading starts: a word, or milliseconds since 1970."""


def _check_topic(value: str) -> str:
    if not _TOPIC.fullmatch(value) or value in {".", ".."}:
        allowed = "letters, digits, '.', '_' and '-', at most 249"
        raise refuse("E040", f"'{value}' cannot be a topic: {allowed}")
    if value.endswith(_RESERVED_ENDINGS):
        raise refuse(
            "E041", f"'{value}' ends like a topic of headrace's own", "choose another name"
        )
    return value


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        allowed = "letters, digits, '_' and '-', at most 80"
        raise refuse("E040", f"'{value}' cannot be a name: {allowed}")
    if value in _RESERVED_NAMES:
        raise refuse("E041", f"the name '{value}' is kept for headrace", "choose another name")
    return value


def _check_prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        allowed = "letters, digits, '.', '_' and '-', at most 80"
        raise refuse("E040", f"'{value}' cannot begin a topic: {allowed}")
    return value


def _check_path(value: str) -> str:
    if not all(value.split(".")):
        raise refuse("E013", f"'{value}' is not a path in a document", "write it like page.text")
    return value


def _check_function(value: str) -> str:
    if not _FUNCTION.fullmatch(value):
        hint = "write it like rules:drop_impossible, a function of rules.py beside this file"
        if "<" in value:
            hint = "workers import it: give a lambda or an inner function a name in its module"
        raise refuse("E060", f"'{value}' is not module:callable", hint)
    return value


def _check_url(value: str) -> str:
    hint = "write it like grpc://localhost:8081 or http://localhost:8080"
    scheme = value.partition("://")[0].lower()
    if scheme not in _RPC_SCHEMES | _WEB_SCHEMES:
        raise refuse("E044", f"has the scheme '{scheme}', not grpc, grpcs, http or https", hint)
    parts = _split(value, hint)
    if scheme in _RPC_SCHEMES and not parts.port:
        raise refuse("E044", "needs a host and a port", hint)
    if scheme in _RPC_SCHEMES and parts.path.strip("/"):
        raise refuse("E044", "has more than a scheme, a host and a port", hint)
    return value


def _check_web_url(value: str) -> str:
    hint = "write it like https://login.example.com/token"
    if value.partition("://")[0].lower() not in _WEB_SCHEMES:
        raise refuse("E044", "is not an http:// or https:// URL", hint)
    _split(value, hint)
    return value


def _split(value: str, hint: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        complete = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        raise refuse("E044", "is not a URL", hint) from None
    if not complete:
        raise refuse("E044", "needs a host", hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise refuse("E044", "has a user, a query or a fragment", hint)
    return parts


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _no_truth(value: object) -> object:
    # pydantic takes true for the number 1.
    if isinstance(value, bool):
        raise refuse("E012", "expects a whole number")
    return value


def _digits(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_scalar(value: object) -> object:
    if not isinstance(value, str | int):
        raise refuse("E012", "expects text, a whole number, true or false")
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise refuse("E013", "does not fit 64 bits")
    return value


Whole = BeforeValidator(_no_truth)
Text: TypeAlias = Annotated[str, Field(min_length=1)]
SecretText: TypeAlias = Annotated[SecretStr, Field(min_length=1)]
Dimension: TypeAlias = Annotated[int, Field(ge=-1, lt=_INT64), Whole]
Version: TypeAlias = Annotated[
    str,
    BeforeValidator(_digits),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "integer"]}),
]
Scalar: TypeAlias = Annotated[str | int | bool, BeforeValidator(_check_scalar)]
Topic: TypeAlias = Annotated[str, AfterValidator(_check_topic)]
Name: TypeAlias = Annotated[str, AfterValidator(_check_name)]
Prefix: TypeAlias = Annotated[str, AfterValidator(_check_prefix)]
FunctionName: TypeAlias = Annotated[str, AfterValidator(_check_function)]
DocumentPath: TypeAlias = Annotated[str, AfterValidator(_check_path)]
Url: TypeAlias = Annotated[str, AfterValidator(_check_url)]
WebUrl: TypeAlias = Annotated[str, AfterValidator(_check_web_url)]
Lower = BeforeValidator(_lower)


@dataclass(frozen=True, slots=True)
class Short:
    """Lets a mapping be written as nothing but the value of one of its fields.

    Attributes:
        field: The field.
        or_list: Whether a list stands for the field as well.
    """

    field: str
    or_list: bool = False

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        short: list[JsonSchemaValue] = [{"type": "string"}]
        if self.or_list:
            short.append({"type": "array", "items": {"type": "string"}})
        return {"anyOf": [*short, handler(schema)]}

    def _expand(self, value: object) -> object:
        is_short = isinstance(value, str | list if self.or_list else str)
        return {self.field: value} if is_short else value


@dataclass(frozen=True, slots=True)
class OneOrMany:
    """Lets a list of one be written without the list."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_before_validator_function(self._expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}

    @staticmethod
    def _expand(value: object) -> object:
        return [value] if isinstance(value, str) else value
