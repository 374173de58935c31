"""Dead letters chosen by the command line, and how they look there."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import cel

from headrace.cli.shapes import columns, decoded, moment, readable
from headrace.core.plain_text import one_line
from headrace.core.topology import Topology
from headrace.errors import ConfigError
from headrace.kafka.dead_letters import DeadLetter, DeadLetters, Part
from headrace.kafka.replay import Replayed, by_record

VARIABLES = (
    "id",
    "record",
    "step",
    "because_of",
    "error",
    "message",
    "attempts",
    "source",
    "model",
    "partition",
    "offset",
    "timestamp",
    "first_ms",
    "last_ms",
    "key",
    "value",
    "headers",
)
"""What a condition may name."""

_MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_MESSAGE_WIDTH = 100


def chosen(
    topology: Topology, step: str | None, where: str | None, record_id: str | None = None
) -> list[DeadLetter]:
    """Return the open dead letters of a pipeline that the filters let through.

    Those of a source record stand together, what failed before what failed because of it.

    Args:
        topology: The pipeline.
        step: Only those of this step.
        where: Only those for which this condition holds.
        record_id: Only those of this record: of its children, too.

    Raises:
        ConfigError: The condition is not CEL, or does not fit a letter.
        BrokerError: Kafka refuses, or no broker answers.
    """
    holds = choice(step, where)
    letters = DeadLetters(topology).open()
    found = [each for each in letters if holds(each) and _is_of(each, record_id)]
    return [each for together in by_record(found) for each in sorted(together, key=_causes_first)]


def nothing_like(
    topology: Topology, step: str | None, where: str | None, record_id: str | None = None
) -> str:
    """Return words for nothing that the filters let through, and where to look instead."""
    steps = [step.name for step in topology.steps]
    said = "no open dead letter"
    if record_id is not None:
        said += f" of record {record_id!r}"
    if step is not None:
        said += f" of step {step!r}"
    if where is not None:
        said += " for which that holds"
    if step is not None and step not in steps:
        return f"{said}; the pipeline's steps are {', '.join(steps)}"
    return said if said == "no open dead letter" else f"{said}; `headrace dlq ls` lists all"


def choice(step: str | None, where: str | None) -> Callable[[DeadLetter], bool]:
    """Return what decides whether a letter is meant.

    Raises:
        ConfigError: The condition is not CEL; when called, it does not give true or false.
    """
    program = None
    if where is not None:
        try:
            program = cel.compile(where)
        except (ValueError, RuntimeError, TypeError) as error:
            raise ConfigError(f"--where is not CEL: {error}") from error
        _check_names(program)

    def holds(letter: DeadLetter) -> bool:
        if step is not None and letter.step != step:
            return False
        return program is None or _evaluated(program, letter)

    return holds


def variables(letter: DeadLetter) -> dict[str, Any]:
    """Return what a condition may name, and what `--json` prints."""
    return {
        "id": letter.id,
        "record": letter.record,
        "step": letter.step,
        "because_of": list(letter.because_of),
        "error": letter.error,
        "message": letter.message,
        "attempts": letter.attempts,
        "source": letter.source,
        "model": letter.model,
        "partition": letter.place.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "first_ms": letter.first_ms,
        "last_ms": letter.last_ms,
        "key": readable(letter.key),
        "value": decoded(letter.value),
        "headers": {name: readable(content) for name, content in letter.headers},
    }


def listing(letters: Sequence[DeadLetter], *, as_json: bool) -> str:
    """Return a line per letter; as JSON one object with the list `dead_letters`.

    What follows from another letter of its record is drawn below it, all steps of one id in one
    line. Keys have a column where there are any.
    """
    if as_json:
        rows = [variables(each) for each in letters]
        for row in rows:
            del row["value"], row["headers"]
        return json.dumps({"dead_letters": rows})
    table: list[tuple[str, ...]] = [
        ("ID", "KEY", "STEP", "ERROR", "ATTEMPTS", "TIME", "SOURCE", "MESSAGE")
    ]
    table += [_row(list(together)) for _, together in groupby(letters, _row_of)]
    if not any(key for _, key, *_ in table[1:]):
        table = [(id_, *rest) for id_, _, *rest in table]
    return columns(table)


def _row_of(letter: DeadLetter) -> object:
    """Return what letters of one row have in common: what follows of one id has one together."""
    return letter.id if letter.because_of else (letter.place, letter.offset)


def _row(letters: Sequence[DeadLetter]) -> tuple[str, ...]:
    first = letters[0]
    steps = ", ".join(each.step for each in letters)
    return (
        first.id,
        "" if first.key is None else _short(str(readable(first.key))),
        f"└ {_short(steps)}" if first.because_of else steps,
        first.error,
        str(first.attempts),
        _time(max(each.last_ms for each in letters)),
        first.source,
        _short(_consequence(letters) or first.message),
    )


def whole(letters: Sequence[DeadLetter], *, as_json: bool) -> str:
    """Return everything about each letter; as JSON one object with the list `dead_letters`."""
    if as_json:
        return json.dumps({"dead_letters": [variables(each) for each in letters]})
    return "\n\n".join(map(_page, letters))


def about(done: Replayed) -> Iterator[str]:
    """Yield what a person should know of a replay beside its number."""
    if done.along:
        yield (
            f"{done.along} of them were not chosen, but belong to a record of which another "
            "was: a join cannot go on without all its parts"
        )
    if done.without_value:
        yield f"{done.without_value} left alone: their value is not in the dead-letter topic"
    if done.left:
        yield f"{done.left} left alone: another dead letter of the same record has no value"


def _page(letter: DeadLetter) -> str:
    shown = variables(letter)
    value, headers = shown.pop("value"), shown.pop("headers")
    shown["because_of"] = ", ".join(letter.because_of)
    if shown["record"] == letter.id:
        del shown["record"]
    for name in ("timestamp", "first_ms", "last_ms"):
        shown[name.removesuffix("_ms")] = _time(shown.pop(name))
    said = [(f"{name:<10}", content) for name, content in shown.items() if content != ""]
    said += [("header    ", f"{name}: {content}") for name, content in headers.items()]
    lines = [f"{name} {one_line(str(content))}" for name, content in said]
    if letter.parts:
        lines += _parts(letter, value)
    else:
        lines.append(f"value      {one_line(json.dumps(value, ensure_ascii=False))}")
    return "\n".join(lines)


def _parts(letter: DeadLetter, value: Any) -> list[str]:
    """Return a line per part of a join or gather, and what each brought."""
    count = value.get("count")
    of = "" if count is None else f" of {count}"
    lines = [one_line(f"parts      {len(letter.parts)}{of} had come to the {letter.partial}")]
    table = [(f"  {_name(part)}", part.outcome, _content(part)) for part in letter.parts]
    return [*lines, columns(table)]


def _name(part: Part) -> str:
    return part.parent if part.index is None else f"{part.parent} {part.index}"


def _content(part: Part) -> str:
    if part.step:
        return f"at {part.step}: {part.error}: {_short(part.message)}"
    return "" if part.document is None else json.dumps(part.document, ensure_ascii=False)


def _consequence(letters: Sequence[DeadLetter]) -> str:
    steps = {each.step for each in letters}
    causes = dict.fromkeys(
        cause for each in letters for cause in each.because_of if cause not in steps
    )
    return f"because of {', '.join(causes)}" if causes else ""


def _is_of(letter: DeadLetter, record_id: str | None) -> bool:
    return record_id is None or f"{letter.id}/".startswith(f"{record_id}/")


def _causes_first(letter: DeadLetter) -> tuple[bool, int, str]:
    """Order letters of a record: causes as they came, then what follows, of children first."""
    if not letter.because_of:
        return False, 0, ""
    return True, -letter.id.count("/"), letter.id


def _evaluated(program: cel.Program, letter: DeadLetter) -> bool:
    try:
        found = program.execute(variables(letter))
    except (LookupError, ValueError, RuntimeError, TypeError, ArithmeticError):
        # A letter whose value lacks the field that is asked for is not meant.
        return False
    if not isinstance(found, bool):
        raise ConfigError(f"--where gives {found!r} for dead letter {letter.id}, not true or false")
    return found


def _check_names(program: cel.Program) -> None:
    unknown = set(program.variables()) - set(VARIABLES)
    # Names that a macro binds look like variables; only without one is a stranger a mistake.
    if unknown and not _MACROS & set(re.findall(r"\w+(?=\()", program.source)):
        raise ConfigError(
            f"--where names {', '.join(sorted(unknown))}; there is: {', '.join(VARIABLES)}"
        )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_WIDTH else line[: _MESSAGE_WIDTH - 1] + "…"


def _time(ms: int) -> str:
    return moment(ms, "seconds")
