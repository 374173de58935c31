"""Which names are probably the same name, misspelt."""


def is_almost(name: str, other: str) -> bool:
    """Whether a name is so near to another that it was probably meant."""
    # Names of two or three letters are near to everything.
    return 2 * _distance(name, other) < min(5, max(len(name), len(other)))


def _distance(left: str, right: str) -> int:
    """Return the Levenshtein distance, or 3 for anything above 2."""
    if abs(len(left) - len(right)) > 2:
        return 3
    above = list(range(len(right) + 1))
    for row, char in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = above[column - 1] + (char != other)
            current.append(min(cost, above[column] + 1, current[-1] + 1))
        above = current
    return min(above[-1], 3)
