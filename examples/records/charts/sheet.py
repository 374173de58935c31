"""One page while it is written: labelled lines of pieces, then noise, offsets and truth."""

from collections.abc import Iterable
from random import Random

from turning import turned

from charts.ink import Ink, Piece, Template
from charts.noise import Noise

HYPHENS = {"clean": 0.01, "fair": 0.03, "poor": 0.06}
Line = list[Piece]


class Sheet:
    """Lines of a page in reading order, each with its section label.

    Plain text is wrapped at the page's width; tagged pieces (mentions, dates, names) never
    span lines. Templates that would exceed the page's condition mentions are left out.
    """

    def __init__(self, ink: Ink, quality: str) -> None:
        self.ink = ink
        self.quality = quality
        self._rng: Random = ink.rng
        self._width = ink.rng.randint(62, 96)
        self._lines: list[tuple[str, Line]] = []

    def __len__(self) -> int:
        return len(self._lines)

    def say(self, label: str, *templates: Template) -> None:
        """Each template on a line of its own (or several, when longer than the page is wide)."""
        for template in templates:
            if self.ink.fits(template):
                self._wrap(label, self.ink.fill(template))

    def prose(self, label: str, templates: Iterable[Template]) -> None:
        """The templates as sentences of one paragraph."""
        pieces: Line = []
        for template in templates:
            if self.ink.fits(template):
                if pieces:
                    pieces.append((" ", None))
                pieces.extend(self.ink.fill(template))
        if pieces:
            self._wrap(label, pieces)

    def gap(self) -> None:
        """An empty line, which belongs to no section."""
        self._lines.append(("other", []))

    def _wrap(self, label: str, pieces: Line) -> None:
        line: Line = []
        column = 0
        for text, tag in pieces:
            rest = text
            if tag is not None:
                if column and column + len(rest) > self._width:
                    self._lines.append((label, line))
                    line, column = [], 0
            else:
                while column + len(rest) > self._width:
                    head, rest, is_broken = self._cut(rest, self._width - column)
                    line.append((head, None))
                    column += len(head)
                    if not is_broken:
                        break
                    self._lines.append((label, line))
                    line, column = [], 0
            if rest:
                line.append((rest, tag))
                column += len(rest)
        if line:
            self._lines.append((label, line))

    def _cut(self, text: str, room: int) -> tuple[str, str, bool]:
        """What stays on the line, what goes to the next, and whether the line ends there."""
        at = text.rfind(" ", 0, room + 1)
        if at < 0:
            at = text.find(" ")
        if at < 0:
            return text, "", False
        head, rest = text[:at], text[at + 1 :]
        word = rest.split(" ", 1)[0]
        if len(word) > 7 and word.isalpha() and self._rng.random() < HYPHENS[self.quality] * 8:
            half = self._rng.randint(3, len(word) - 3)
            head, rest = f"{head} {rest[:half]}-", rest[half:]
        return head, rest, True

    def finish(self, *, is_turned: bool) -> tuple[str, dict]:
        """The page's text as recognised, and its sections, mentions, phi and dates.

        Offsets count characters within the lines of the upright text, after noise.
        """
        noise = Noise(self._rng, self.quality)
        texts: list[str] = []
        truth: dict = {"sections": [], "mentions": [], "phi": [], "dates": []}
        indent = self._rng.choice(("", "", "", "  ", "    "))
        for number, (label, line) in enumerate(self._lines):
            parts = [noise.mark() + indent] if line else [noise.mark().strip()]
            at = len(parts[0])
            for clean, tag in line:
                text = noise.spoil(clean)
                if tag is not None:
                    note(truth, (number, at, at + len(text)), text, tag)
                parts.append(text)
                at += len(text)
            texts.append("".join(parts))
            truth["sections"].append(label)
        upright = "\n".join(texts)
        return (turned(upright) if is_turned else upright), truth


def note(truth: dict, span: tuple[int, int, int], text: str, tag: dict) -> None:
    """Write down what a tagged piece is, at its (line, start, end)."""
    where = dict(zip(("line", "start", "end"), span, strict=True))
    if "mention" in tag:
        truth["mentions"].append({**where, "text": text, **tag["mention"]})
    if "phi" in tag:
        truth["phi"].append({**where, "kind": tag["phi"]})
    if "date" in tag:
        iso, role = tag["date"]
        truth["dates"].append({**where, "iso": iso, "role": role})
