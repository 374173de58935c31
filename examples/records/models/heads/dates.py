"""On which day a page says that the patient was seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.base import NUMBER, TEXT, Head, per_row
from heads.days import Day, days
from heads.onnx_model import OnnxModel

THRESHOLD = 0.2
"""Probability below which no day of a page is taken for the day of service."""

STEMS = (
    *(
        ("service", "dos", "d.o.s"),
        ("visit", "encounter"),
        ("seen", "saw", "exam"),
        ("date", "day"),
    ),
    *(("birth", "dob", "d.o.b", "born"), ("print",), ("fax", "received", "sent")),
    *(("appointment", "appt", "next", "follow", "rtc"), ("last", "prior", "previous", "since")),
    *(("sign", "dictated", "authenticated", "transcribed"), ("admi",), ("discharge",)),
    *(("diagnos", "started", "stopped", "discontinued"), ("page", "continued", "cont"), (" on",)),
)
"""Beginnings of words that tell what a day is, the words of a group meaning much the same."""

NEAR = 14
"""Characters before a day that count as just before it."""

FAR = 3650
"""Days apart that count as very far."""


class Dates(Head):
    """Gradient boosting over the days that a page names; `date_of_service` is empty for none.

    `score` is the probability of the likeliest day, also of one that is too unlikely to be taken.
    """

    inputs = {"text": TEXT}
    outputs = {"date_of_service": TEXT, "score": NUMBER}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._model = OnnxModel(folder / "model.onnx")

    def __call__(self, *columns: Sequence[str]) -> tuple[list[str], list[float]]:
        """Return day and score of each text."""
        (texts,) = columns
        pages = per_row(texts, _named)
        rows = [row for _, found in pages for row in found]
        chances = self._model(np.array(rows, dtype=np.float32))[1][:, 1] if rows else np.zeros(0)
        taken, scores, at = [], [], 0
        for named, _ in pages:
            own = chances[at : at + len(named)]
            at += len(named)
            best = round(float(own.max()), 3) if len(own) else 0.0
            is_sure = best >= THRESHOLD
            taken.append(named[int(own.argmax())].day.isoformat() if is_sure else "")
            scores.append(best)
        return taken, scores


def _named(text: str) -> tuple[list[Day], NDArray[np.float32]]:
    lines = text.split("\n")
    named = list(days(lines))
    return named, features(lines, named)


def features(lines: Sequence[str], named: Sequence[Day]) -> NDArray[np.float32]:
    """Return what the model sees of each day, [days, width].

    Args:
        lines: Lines of the page.
        named: The days that they name, in reading order.
    """
    ordinals = np.array([each.day.toordinal() for each in named])
    gaps = [number for number, line in enumerate(lines) if not line.strip()]
    rows = []
    for at, each in enumerate(named):
        line = lines[each.line]
        is_next = at > 0 and named[at - 1].line == each.line
        before = line[named[at - 1].end if is_next else 0 : each.start].lower()
        after = line[each.end :].lower()
        rows.append(
            [
                *_place(each, lines, gaps),
                *(float(at), float(len(named) - at), float(is_next), float(each.is_repaired)),
                *_beside(ordinals, at),
                *_said(before),
                *_said(before[-NEAR:]),
                *_said(line.lower())[:12],
                float(not before.strip(" |-/")),
                float(len(after.strip())),
            ]
        )
    return np.array(rows, dtype=np.float32)


def _place(each: Day, lines: Sequence[str], gaps: Sequence[int]) -> list[float]:
    line = lines[each.line]
    return [
        float(each.line),
        float(len(lines) - each.line),
        float(each.start),
        float(len(line)),
        float(sum(gap < each.line for gap in gaps)),
        float(sum(map(str.islower, line)) / max(len(line), 1)),
    ]


def _beside(ordinals: NDArray[np.int64], at: int) -> list[float]:
    apart = ordinals - ordinals[at]
    later, earlier = apart[apart > 0], -apart[apart < 0]
    return [
        float((apart == 0).sum()),
        float(len(later)),
        float(len(earlier)),
        float(apart.max()),
        float(later.min()) if len(later) else FAR,
        float(earlier.min()) if len(earlier) else FAR,
        float(((apart >= 0) & (apart <= 7)).sum()),
    ]


def _said(text: str) -> list[float]:
    return [float(any(stem in text for stem in stems)) for stems in STEMS]
