"""Turns YAML text into plain data and remembers on which line everything stands."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headrace.spec.lint import Lines, Path, Report
from headrace.spec.variables import Variables

# An alias costs one character and may stand for the whole file so far.
_MOST_NODES = 20_000
_TAG = "tag:yaml.org,2002:"


class _Reader(yaml.SafeLoader):
    """Reads scalars as JSON and YAML 1.2 do: `no` is a text, `1:30` is a text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own protocol


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Reader.add_implicit_resolver(_TAG + kind, re.compile(pattern), list(first))


_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Reader.add_implicit_resolver(_TAG + "null", re.compile(r"^$"), [""])
_resolve("int", r"^[-+]?(?:0|[1-9][0-9]{0,4000})$", "-+0123456789")
_resolve("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789")
_resolve("float", r"^[-+]?[0-9]+[eE][-+]?[0-9]+$", "-+0123456789")


class _TooLargeError(Exception):
    """The file grows beyond all measure when its aliases are followed."""


class _Composer:
    """Walks the nodes of one file."""

    def __init__(self, lines: Lines, report: Report, variables: Variables) -> None:
        self._lines = lines
        self._report = report
        self._variables = variables
        self._nodes = 0

    def build(self, node: Node, path: Path) -> Any:
        """Return the plain value of a node."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _TooLargeError
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, ScalarNode):
                self._report.add_at(line, "E006", path, "a key must be a single text")
                continue
            key = self._variables.fill(key_node.value, (*path, key_node.value), line)
            place = (*path, key)
            if key in built:
                first = self._lines.keys[place]
                self._report.add_at(
                    line, "E002", place, f"'{key}' stands twice", f"see line {first}"
                )
                continue
            self._lines.keys[place] = line
            built[key] = self.build(value_node, place)
        return built

    def _sequence(self, node: SequenceNode, path: Path) -> list[Any]:
        built = []
        for index, item in enumerate(node.value):
            place = (*path, index)
            self._lines.keys[place] = _line(item)
            built.append(self.build(item, place))
        return built

    def _scalar(self, node: Node, path: Path) -> Any:
        self._lines.values[path] = _line(node)
        match node.tag.removeprefix(_TAG):
            case "str":
                return self._variables.fill(node.value, path, _line(node))
            case "bool":
                return node.value.lower() == "true"
            case "null":
                return None
            case "int" | "float" as kind:
                return self._number(node, path, int if kind == "int" else float)
        self._report.add_at(_line(node), "E006", path, f"the tag '{node.tag}' is not used here")
        return None

    def _number(self, node: Node, path: Path, kind: type[int] | type[float]) -> Any:
        try:
            return kind(node.value)
        except ValueError:
            self._report.add_at(_line(node), "E012", path, "is not a number")
            return None


def compose(text: str, environ: Mapping[str, str], lines: Lines, report: Report) -> Any:
    """Return the data of a YAML text, with variables filled in; fill `lines` and `report`.

    None stands for a text that cannot be read at all; the report says why.
    """
    lines.keys[()] = 1
    composer = _Composer(lines, report, Variables(environ, report))
    try:
        node = yaml.compose(text, Loader=_Reader)
        return None if node is None else composer.build(node, ())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = exc.problem or exc.context or "broken"
        report.add_at(mark.line + 1 if mark else 1, "E001", (), f"not YAML: {reason}")
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        report.add_at(line, "E001", (), f"not YAML: {exc.reason}")
    except RecursionError:
        report.add_at(1, "E006", (), "nested too deep")
    except _TooLargeError:
        report.add_at(1, "E006", (), "too large when its aliases are followed")
    return None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
