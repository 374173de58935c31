"""Turns the text of a page that was scanned upside down."""

_PAIRS = ("un", "pd", "bq", "mw", "69", "MW", ",'", "()", "[]", "<>", "{}", "L7", "ea", "tf")
_SWAPPED = str.maketrans({a: b for pair in _PAIRS for a, b in (pair, pair[::-1])})


def turned(text: str) -> str:
    """Return what a scanner's engine reads of a page turned by 180 degrees.

    Lines come last to first, each from its end, and characters become those that they look like
    upside down. Turning twice gives the same text again.
    """
    return text[::-1].translate(_SWAPPED)
