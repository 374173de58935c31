"""Decides what a chart holds before anything is written: visits, pages, qualities, flaws."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from charts import people
from charts.ink import Patient, Visit
from charts.lexicon import DIAGNOSES, DRUGS, Split

CLINICAL = ("progress_note", "discharge_summary", "referral")
CODING = ("MD", "DO", "NP", "PA")
MOODS = {"submit": 0.50, "review": 0.33, "nothing": 0.17}
KINDS = {
    "progress_note": 36,
    "discharge_summary": 10,
    "lab_report": 19,
    "medication_list": 10,
    "referral": 9,
    "cover_sheet": 4,
    "blank": 7,
    "foreign": 5,
}
SECOND_PAGE = {"progress_note": 0.35, "discharge_summary": 0.5, "lab_report": 0.2}
CREDENTIALS = {"MD": 50, "DO": 15, "NP": 20, "PA": 15}
FLAWS = ("unsigned", "unsigned", "uncredited", "poor")
EMPTY = ("outside", "outside", "unsigned", "uncredited", "silent")
TURNED_SHARE = 0.06
FROM, TO = date(2025, 1, 1), date(2025, 12, 31)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page to write: its kind, visit, place in its document, quality and layout."""

    kind: str
    visit: Visit
    part: int
    quality: str
    language: str
    is_turned: bool


def pick(rng: Random, weights: dict[str, float]) -> str:
    """One of the keys, by weight."""
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


def patient(rng: Random, split: Split) -> Patient:
    """Somebody with five to eleven conditions."""
    who = people.person(rng, split)
    fitting = [each for each in DIAGNOSES if each.sex in {None, who.sex}]
    return Patient(
        person=who,
        born=date(1932, 1, 1) + timedelta(days=rng.randint(0, 20000)),
        mrn=rng.choice(("{:07d}", "MR{:06d}", "{:08d}", "M-{:06d}")).format(
            rng.randint(10000, 999999)
        ),
        insurance=f"{rng.choice('HWXZ')}{rng.randint(10**8, 10**9 - 1)}",
        address=people.address(rng),
        phone=people.phone(rng),
        conditions=tuple(rng.sample(fitting, rng.randint(5, 11))),
        drugs=tuple(rng.sample(DRUGS, rng.randint(5, 11))),
    )


def visits(rng: Random, split: Split, mood: str) -> tuple[list[Visit], str]:
    """Two to six visits and the chart's flaw; a flawed chart's first visit is sound."""
    flaw = {"submit": "", "review": rng.choice(FLAWS), "nothing": rng.choice(EMPTY)}[mood]
    made = []
    for number in range(rng.randint(2, 6)):
        is_flawed = (mood == "review" and (number == 1 or (number and rng.random() < 0.4))) or (
            mood == "nothing"
        )
        outside = (flaw == "outside") or (number > 0 and rng.random() < 0.18)
        day = _day(rng, outside=outside)
        if is_flawed and flaw == "uncredited":
            credential = rng.choice(("RN", "RN", "none"))
        else:
            credential = pick(rng, CREDENTIALS)
        made.append(
            Visit(
                number=number + 1,
                day=day,
                author=people.provider(rng, split, credential),
                facility=people.place(rng, split),
                is_signed=not (is_flawed and flaw == "unsigned"),
            )
        )
    return made, flaw


def _day(rng: Random, *, outside: bool) -> date:
    if not outside:
        return FROM + timedelta(days=rng.randint(0, 364))
    back = rng.choice((-1, -1, 1))
    return (
        FROM - timedelta(days=rng.randint(1, 700))
        if back < 0
        else TO + timedelta(days=rng.randint(1, 90))
    )


def leaves(rng: Random, made: list[Visit], mood: str, flaw: str) -> list[Leaf]:
    """The chart's 4 to 30 pages in order."""
    wanted = min(30, max(4, round(rng.triangular(3.5, 30.5, 11))))
    pages: list[Leaf] = []
    first = ["cover_sheet"] if rng.random() < 0.7 else []
    first += ["progress_note", rng.choice(CLINICAL)] if flaw != "silent" else []
    seen = 0
    while len(pages) < wanted:
        kind = first.pop(0) if first else pick(rng, KINDS)
        if flaw == "silent" and kind in CLINICAL:
            kind = rng.choice(("lab_report", "medication_list", "foreign", "blank"))
        visit = made[min(seen, 1)] if kind in CLINICAL and seen < 2 else rng.choice(made)
        seen += kind in CLINICAL
        language = rng.choice(("es", "fr", "de")) if kind == "foreign" else "en"
        parts = 2 if rng.random() < SECOND_PAGE.get(kind, 0) else 1
        for part in range(min(parts, wanted - len(pages))):
            quality = _quality(rng, kind, visit, mood, flaw)
            is_turned = kind != "blank" and rng.random() < TURNED_SHARE
            pages.append(Leaf(kind, visit, part, quality, language, is_turned))
    return pages


def _quality(rng: Random, kind: str, visit: Visit, mood: str, flaw: str) -> str:
    """Sound charts keep their clinical pages legible; a chart with flaw `poor` does not."""
    if kind not in CLINICAL:
        poor = 0.18
    elif mood == "submit":
        poor = 0.0
    elif flaw == "poor":
        poor = 0.85 if visit.number > 1 else 0.2
    else:
        poor = 0.15
    if rng.random() < poor:
        return "poor"
    return "fair" if rng.random() < 0.36 else "clean"
