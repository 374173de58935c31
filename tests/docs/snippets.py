"""The fenced blocks of the documentation, with where they stand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs"

_OPENING = re.compile(r"(?P<indent> *)```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]+)\")?$")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block.

    Attributes:
        page: The file it stands in, relative to the repository.
        line: Line of its opening fence, from 1.
        language: What the fence says it is, empty for nothing.
        title: The fence's title: a file to write, or a terminal.
        text: What stands between the fences.
    """

    page: str
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return every page a user reads: the site's, and what stands beside the code."""
    outside = ["README.md", "CONTRIBUTING.md", "DESIGN.md", "CHANGELOG.md", "benchmarks/README.md"]
    outside.append("src/headrace/cli/template/README.md")
    examples = sorted((ROOT / "examples").glob("*/README.md"))
    return [*sorted(SITE.rglob("*.md")), *(ROOT / name for name in outside), *examples]


def snippets(page: Path) -> Iterator[Snippet]:
    """Yield the fenced blocks of a page."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        opened = _OPENING.fullmatch(line)
        if opened is None:
            continue
        indent = len(opened["indent"])
        inside = []
        for _, each in lines:
            if each.strip() == "```":
                break
            inside.append(each[indent:])
        text = "".join(f"{each}\n" for each in inside)
        where = str(page.relative_to(ROOT))
        yield Snippet(where, number, opened["language"], opened["title"] or "", text)


def every_snippet(*languages: str) -> list[Snippet]:
    """Return the blocks of all pages that are in one of these languages."""
    found = (snippet for page in pages() for snippet in snippets(page))
    return [snippet for snippet in found if snippet.language in languages]


def merged(whole: dict, part: dict) -> dict:
    """Return a file with a part of one put into it, mapping by mapping."""
    both = {key: merged(whole[key], part[key]) for key in part if _are_mappings(whole, part, key)}
    return whole | part | both


def _are_mappings(whole: dict, part: dict, key: str) -> bool:
    return isinstance(whole.get(key), dict) and isinstance(part[key], dict)
