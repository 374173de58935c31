"""What stands around a condition on a page: what the models `negation` and `family` read."""

from collections.abc import Sequence

OPENING, CLOSING = "\u27e6", "\u27e7"
_NEAR_START = 40


def context(lines: Sequence[str], section: str, line: int, start: int, end: int) -> str:
    """Return section, a tab, and the mention's line with the mention in brackets.

    A mention that begins within the first 40 characters of its line also has the line before in
    front of it: sentences run on over lines.

    Args:
        lines: The lines of the page.
        section: Label of the section that the line stands in.
        line: Number of the line, from 0.
        start: Where in the line the mention begins.
        end: Where it ends.
    """
    text = lines[line]
    before = f"{lines[line - 1].strip()} " if line and start < _NEAR_START else ""
    return f"{section}\t{before}{text[:start]}{OPENING}{text[start:end]}{CLOSING}{text[end:]}"
