"""Text of records and of servers, on its way to a terminal or a log."""

import re
from typing import Final

_STEERING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: str) -> str:
    """Return text without what steers a terminal or turns its writing round: as Python writes it.

    Tabs and ends of lines stay.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """Return plain text on one line."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")
