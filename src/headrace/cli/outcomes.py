"""What a trial gave, on the screen: documents, what changed in them, or how they differ."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from headrace.cli.exits import Exit
from headrace.cli.lines import json_lines
from headrace.cli.rehearsing import Trial
from headrace.cli.settings import say
from headrace.core.differences import ABSENT, Difference, aligned, differences
from headrace.testing.rehearsal import Letter, Rehearsed, Result


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be shown of a trial.

    Attributes:
        changes: What the steps changed in each document.
        expected: File of the documents that were to come.
        as_json: Objects for a machine.
    """

    changes: bool = False
    expected: Path | None = None
    as_json: bool = False


def show(rehearsed: Rehearsed, trial: Trial, shown: Shown) -> int:
    """Print what became of a trial and return the exit code."""
    different = 0
    if shown.expected is not None:
        different = _show_differences(rehearsed, shown.expected, as_json=shown.as_json)
    elif shown.as_json:
        _show_objects(rehearsed, trial, with_changes=shown.changes)
    elif shown.changes:
        _show_changes(rehearsed, trial)
    else:
        sys.stdout.buffer.writelines((each.value or b"null") + b"\n" for each in rehearsed.results)
        sys.stdout.flush()
    summary = {
        "read": len(trial.values),
        "written": len(rehearsed.results),
        "dead_lettered": len(rehearsed.letters),
        "seconds": round(rehearsed.seconds, 3),
    }
    if shown.as_json:
        print(msgspec.json.encode({"summary": summary}).decode())
    _say_what_failed(rehearsed)
    say(
        f"{summary['read']:,} read, {summary['written']:,} written,"
        f" {summary['dead_lettered']:,} dead letters in {summary['seconds']} s"
    )
    return Exit.FAILURE if different or rehearsed.halted else Exit.OK


def _show_objects(rehearsed: Rehearsed, trial: Trial, *, with_changes: bool) -> None:
    objects = [(each.number, _result(each, trial, with_changes)) for each in rehearsed.results]
    objects += [(each.number, _letter(each)) for each in rehearsed.letters]
    for _, each in sorted(objects, key=lambda pair: pair[0]):
        print(msgspec.json.encode(each).decode())


def _show_changes(rehearsed: Rehearsed, trial: Trial) -> None:
    console = _console()
    for result in rehearsed.results:
        console.print(Text(f"line {result.number} -> {result.topic}", style="bold"))
        for change in _changes(result, trial):
            console.print(_change(change, "  "))


def _show_differences(rehearsed: Rehearsed, file: Path, *, as_json: bool) -> int:
    """Print how the documents differ from those in a file; return how many do."""
    with file.open("rb") as lines:
        expected = [msgspec.json.decode(value) for value, _ in json_lines(lines, None)]
    got = [_document(each) for each in rehearsed.results]
    console, different = _console(), 0
    for left, right in aligned([_key(each) for each in expected], [_key(each) for each in got]):
        before = ABSENT if left is None else expected[left]
        after = ABSENT if right is None else got[right]
        found = differences(before, after)
        different += bool(found)
        if not found:
            continue
        line = None if right is None else rehearsed.results[right].number
        if as_json:
            told = {"expected_line": None if left is None else left + 1, "line": line}
            changes = [_as_data(each) for each in found]
            print(msgspec.json.encode({**told, "changes": changes}).decode())
        else:
            where = f"line {line}" if left is None else f"{file}:{left + 1}"
            console.print(Text(where, style="bold"))
            for each in found:
                console.print(_change(each, "  "))
    say(f"{different:,} of {max(len(expected), len(got)):,} documents differ from {file}")
    return different


def _say_what_failed(rehearsed: Rehearsed) -> None:
    for letter in rehearsed.letters:
        where = f"line {letter.number}" + (f", child {letter.place}" if letter.child else "")
        say(f"{where}: dead letter at {letter.step}: {letter.error}: {letter.message}")
    for number in rehearsed.halted:
        say(f"line {number}: never ended, its lane stands still because a step is strict")


def _result(result: Result, trial: Trial, with_changes: bool) -> dict[str, Any]:
    told = {"line": result.number, "topic": result.topic, "document": _document(result)}
    if result.child:
        told["child"] = result.child
    if with_changes:
        told["changes"] = [_as_data(each) for each in _changes(result, trial)]
    return told


def _letter(letter: Letter) -> dict[str, Any]:
    told = asdict(letter)
    if not letter.child:
        del told["child"]
    return {"line": told.pop("number"), "dead_letter": told}


def _changes(result: Result, trial: Trial) -> Sequence[Difference]:
    before = msgspec.json.decode(trial.values[result.number - 1])
    return differences(before, _document(result))


def _document(result: Result) -> Any:
    return None if result.value is None else msgspec.json.decode(result.value)


def _key(document: Any) -> bytes:
    return msgspec.json.encode(document, order="sorted")


def _as_data(change: Difference) -> dict[str, Any]:
    told = {"path": change.path, "before": change.before, "after": change.after}
    return {name: value for name, value in told.items() if value is not ABSENT}


def _change(change: Difference, indent: str) -> Text:
    place = f"{change.path}: " if change.path else ""
    if change.before is ABSENT:
        return Text(f"{indent}+ {place}{_shown(change.after)}", style="green")
    if change.after is ABSENT:
        return Text(f"{indent}- {place}{_shown(change.before)}", style="red")
    both = f"{_shown(change.before)} -> {_shown(change.after)}"
    return Text(f"{indent}~ {place}{both}", style="yellow")


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _console() -> Console:
    # One line each, however narrow the terminal: lines are there to be searched, too.
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
