"""Fills the slots of a template for one page, remembering what each piece of text is."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from random import Random

from charts import people
from charts.lexicon import CONDITIONS, DIAGNOSES, DRUGS, SYMPTOMS, Condition, Drug, Split
from charts.people import Person

Piece = tuple[str, dict | None]
Template = str

SLOT = re.compile(r"\{([A-Za-z_0-9]+)\}")
CONDITION_SLOTS = frozenset(["c", "C", "n", "N", "f", "fn", "h", "s", "S", "ns", "hs"])
MOST_CONDITIONS = 12
RELATIVES = [
    "mother",
    "father",
    "sister",
    "brother",
    "son",
    "daughter",
    "aunt",
    "uncle",
    "grandmother",
    "grandfather",
    "niece",
    "cousin",
]
TESTS = (
    ("Hemoglobin A1c", "A1c", 5.0, 10.5, 1, "%", "4.0-5.6"),
    ("Glucose", "glucose", 70, 260, 0, "mg/dL", "70-99"),
    ("Creatinine", "creatinine", 0.6, 3.1, 2, "mg/dL", "0.60-1.20"),
    ("eGFR", "eGFR", 18, 95, 0, "mL/min", ">60"),
    ("Sodium", "Na", 129, 146, 0, "mmol/L", "135-145"),
    ("Potassium", "K", 3.1, 5.6, 1, "mmol/L", "3.5-5.1"),
    ("Hemoglobin", "Hgb", 8.2, 16.4, 1, "g/dL", "12.0-16.0"),
    ("WBC", "WBC", 3.1, 14.8, 1, "K/uL", "4.0-11.0"),
    ("Platelets", "plt", 90, 420, 0, "K/uL", "150-400"),
    ("LDL Cholesterol", "LDL", 48, 190, 0, "mg/dL", "<100"),
    ("Triglycerides", "TG", 70, 380, 0, "mg/dL", "<150"),
    ("TSH", "TSH", 0.2, 8.9, 2, "mIU/L", "0.40-4.50"),
    ("BNP", "BNP", 20, 1400, 0, "pg/mL", "<100"),
    ("ALT", "ALT", 8, 120, 0, "U/L", "7-56"),
    ("INR", "INR", 0.9, 3.6, 1, "", "0.9-1.1"),
    ("Ferritin", "ferritin", 6, 320, 0, "ng/mL", "15-150"),
    ("Vitamin D, 25-OH", "vit D", 9, 70, 0, "ng/mL", "30-100"),
    ("Uric Acid", "uric acid", 3.0, 10.2, 1, "mg/dL", "3.5-7.2"),
)
DATE_FORMS = ("%m/%d/%Y", "%m/%d/%Y", "%m/%d/%y", "%Y-%m-%d", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y")
FOREIGN_FORMS = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y")


@cache
def parsed(template: Template) -> tuple[tuple[str, str], ...]:
    """(text before, slot) pairs of a template; the last slot may be empty."""
    parts = [*SLOT.split(template), ""]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


@cache
def needs(template: Template) -> int:
    """How many condition mentions a template makes."""
    return sum(slot in CONDITION_SLOTS for _, slot in parsed(template))


def flagged(value: float, reference: str) -> str:
    """H above the reference range (`4.0-5.6`, `<100`, `>60`), L below it, else nothing."""
    low, _, high = reference.replace("<", "-").replace(">", "").partition("-")
    if high and value > float(high):
        return "H"
    return "L" if low and value < float(low) else ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom a chart is about."""

    person: Person
    born: date
    mrn: str
    insurance: str
    address: str
    phone: str
    conditions: tuple[Condition, ...]
    drugs: tuple[Drug, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One encounter: its day, place and author, and whether its notes were signed."""

    number: int
    day: date
    author: Person
    facility: str
    is_signed: bool


@dataclass(slots=True)
class Ink:
    """Writes the slots of one page; `shown` turns true once the author's credential is written."""

    rng: Random
    split: Split
    patient: Patient
    visit: Visit
    title: str = ""
    page: int = 1
    pages: int = 1
    is_foreign: bool = False
    shown: bool = False
    mentions: int = 0
    limit: int = MOST_CONDITIONS
    asserted: list[Condition] = field(default_factory=list)
    drug: Drug = DRUGS[0]
    date_form: str = "%m/%d/%Y"
    count: int = 0

    def __post_init__(self) -> None:
        self.date_form = self.rng.choice(FOREIGN_FORMS if self.is_foreign else DATE_FORMS)

    def fits(self, template: Template) -> bool:
        """Whether there is room for the template's condition mentions."""
        return self.mentions + needs(template) <= self.limit

    def allow(self, more: int, most: int) -> None:
        """Let the next lines make `more` condition mentions, but not above `most` on the page."""
        self.limit = min(MOST_CONDITIONS, most, self.mentions + more)

    def fill(self, template: Template) -> list[Piece]:
        """The template's pieces: plain text, and tagged text that must not be broken."""
        out: list[Piece] = []
        for text, slot in parsed(template):
            if text:
                out.append((text, None))
            if slot:
                made = SLOTS[slot](self)
                out.extend(made if isinstance(made, list) else [made])
        return out

    def condition(self, kind: str) -> Piece:
        """A condition mention: c asserted, n negated, f of a relative, h hypothetical."""
        is_symptom, is_capital = kind.lower() in {"s", "ns", "hs"}, kind[0].isupper()
        kind = kind.lower()
        rng = self.rng
        if kind == "c":
            condition = rng.choice(self.patient.conditions)
            if condition in self.asserted:
                condition = rng.choice(self.patient.conditions)
            self.asserted.append(condition)
        elif is_symptom:
            condition = rng.choice(SYMPTOMS)
        else:
            condition = rng.choice(DIAGNOSES if kind in {"f", "fn"} else CONDITIONS)
            while kind[0] == "n" and condition in self.patient.conditions:
                condition = rng.choice(CONDITIONS)
        if kind == "s":
            self.asserted.append(condition)
        self.mentions += 1
        text = condition.phrase(rng, self.split)
        if is_capital:
            text = text[0].upper() + text[1:]
        if rng.random() < 0.06:
            text = text.upper() if rng.random() < 0.5 else text[0].upper() + text[1:]
        return text, {
            "mention": {
                "kind": "condition",
                "code": condition.code,
                "name": condition.phrases[0],
                "negated": kind in {"n", "ns", "fn"},
                "family": kind in {"f", "fn"},
                "hypothetical": kind in {"h", "hs"},
            }
        }

    def medicine(self, *, negated: bool = False, hypothetical: bool = False) -> Piece:
        """A drug mention; `{dose}` and `{freq}` after it are this drug's."""
        rng = self.rng
        own = not (negated or hypothetical)
        self.drug = rng.choice(self.patient.drugs if own else DRUGS)
        text = self.drug.brand if rng.random() < 0.25 else self.drug.name
        if rng.random() < 0.12:
            text = text.upper() if rng.random() < 0.5 else text[0].upper() + text[1:]
        return text, {
            "mention": {
                "kind": "drug",
                "name": self.drug.name,
                "negated": negated,
                "family": False,
                "hypothetical": hypothetical,
            }
        }

    def day(self, day: date, role: str) -> Piece:
        """A date as this page writes dates, mostly; months as words may lack their year's comma."""
        form = self.date_form
        if self.rng.random() < 0.08 and not self.is_foreign:
            form = self.rng.choice(DATE_FORMS)
        if form == "%m/%d/%y" and role == "birth":
            form = "%m/%d/%Y"
        return day.strftime(form), {"phi": "date", "date": (day.isoformat(), role)}

    def around(self, low: int, high: int, role: str) -> Piece:
        """A date between `low` and `high` days after the visit."""
        return self.day(self.visit.day + timedelta(days=self.rng.randint(low, high)), role)

    @property
    def age(self) -> int:
        """The patient's age in years on the visit's day."""
        return (self.visit.day - self.patient.born).days * 100 // 36525

    def credential(self) -> Piece:
        """The author's credential with its comma; nothing for an author without one."""
        licence = self.visit.author.licence
        self.shown = True
        if not licence:
            return "", None
        return (" " if self.rng.random() < 0.12 else ", ") + licence, None

    def doctor(self) -> list[Piece]:
        """Another physician than the author: a distractor for who signed."""
        other = people.provider(self.rng, self.split, self.rng.choice(("MD", "MD", "DO")))
        if self.rng.random() < 0.6:
            name = self.rng.choice((other.last, other.full))
            return [("Dr. ", None), (name, {"phi": "name"})]
        return [(other.full, {"phi": "name"}), (f", {other.licence}", None)]

    def nurse(self) -> list[Piece]:
        """A nurse who is not the author."""
        other = people.provider(self.rng, self.split, "RN")
        return [(other.full, {"phi": "name"}), (f", {other.licence}", None)]

    def full_name(self) -> Piece:
        """The patient's name in one of the ways charts write it."""
        who = self.patient.person
        roll = self.rng.random()
        if roll < 0.45:
            text = who.full
        elif roll < 0.65:
            text = f"{who.last}, {who.first} {who.middle}"
        elif roll < 0.8:
            text = f"{who.last.upper()}, {who.first.upper()}"
        else:
            text = f"{who.first} {who.middle}. {who.last}"
        return text, {"phi": "name"}

    def courtesy(self) -> list[Piece]:
        """Mr. or Mrs. and the last name."""
        who = self.patient.person
        word = "Mr. " if who.sex == "M" else self.rng.choice(("Mrs. ", "Ms. "))
        return [(word, None), (who.last, {"phi": "name"})]

    def word(self, woman: str, man: str) -> Piece:
        """A word that depends on the patient's sex."""
        return (woman if self.patient.person.sex == "F" else man), None

    def result(self) -> Piece:
        """A line of a lab report: test, value, unit, reference range and flag."""
        name, _, low, high, digits, unit, ref = self.rng.choice(TESTS)
        value = f"{self.rng.uniform(low, high):.{digits}f}"
        flag = flagged(float(value), ref)
        return f"{name:<20} {value:>7} {unit:<7} {ref:>10}  {flag}".rstrip(), None

    def value(self) -> Piece:
        """A lab value within a sentence."""
        _, short, low, high, digits, unit, _ = self.rng.choice(TESTS)
        return f"{short} {self.rng.uniform(low, high):.{digits}f} {unit}".rstrip(), None

    def item(self) -> Piece:
        """The number of the next item of a list."""
        self.count += 1
        return str(self.count), None

    def account(self) -> Piece:
        """An account or accession number."""
        form = self.rng.choice(("A{:07d}", "{:08d}", "25-{:06d}", "LAB{:06d}"))
        return form.format(self.rng.randint(1000, 999999)), {"phi": "id"}

    def code(self) -> Piece:
        """The code of the last asserted condition."""
        return (self.asserted[-1].code if self.asserted else "Z00.00"), None


def _between(low: float, high: float, digits: int = 0) -> Callable[[Ink], Piece]:
    return lambda ink: (f"{ink.rng.uniform(low, high):.{digits}f}", None)


def _short_author(ink: Ink) -> Piece:
    who = ink.visit.author
    return f"{who.first[0]}. {who.last}", {"phi": "name"}


def _relative_name(ink: Ink) -> Piece:
    return people.person(ink.rng, ink.split).full, {"phi": "name"}


def _pressure(ink: Ink) -> Piece:
    return f"{ink.rng.randint(98, 182)}/{ink.rng.randint(54, 104)}", None


def _time(ink: Ink) -> Piece:
    return f"{ink.rng.randint(7, 18):02d}:{ink.rng.randint(0, 59):02d}", None


SLOTS: dict[str, Callable[[Ink], Piece | list[Piece]]] = {
    **{slot: lambda ink, slot=slot: ink.condition(slot) for slot in CONDITION_SLOTS},
    "drug": Ink.medicine,
    "dn": lambda ink: ink.medicine(negated=True),
    "dh": lambda ink: ink.medicine(hypothetical=True),
    "dose": lambda ink: (ink.rng.choice(ink.drug.doses), None),
    "freq": lambda ink: (ink.drug.often, None),
    "patient": Ink.full_name,
    "mr": Ink.courtesy,
    "author": lambda ink: (ink.visit.author.full, {"phi": "name"}),
    "author_short": _short_author,
    "cred": Ink.credential,
    "code": Ink.code,
    "doc": Ink.doctor,
    "nurse": Ink.nurse,
    "relname": _relative_name,
    "rel": lambda ink: (ink.rng.choice(RELATIVES), None),
    "Rel": lambda ink: (ink.rng.choice(RELATIVES).capitalize(), None),
    "mrn": lambda ink: (ink.patient.mrn, {"phi": "id"}),
    "ins": lambda ink: (ink.patient.insurance, {"phi": "id"}),
    "acc": Ink.account,
    "phone": lambda ink: (people.phone(ink.rng), {"phi": "phone"}),
    "address": lambda ink: (ink.patient.address, {"phi": "address"}),
    "facility": lambda ink: (ink.visit.facility, None),
    "title": lambda ink: (ink.title, None),
    "dos": lambda ink: ink.day(ink.visit.day, "service"),
    "dob": lambda ink: ink.day(ink.patient.born, "birth"),
    "printed": lambda ink: ink.around(1, 200, "printed"),
    "faxed": lambda ink: ink.around(1, 200, "faxed"),
    "appt": lambda ink: ink.around(10, 120, "appointment"),
    "odate": lambda ink: ink.around(-2500, -20, "other"),
    "admit": lambda ink: ink.around(-9, -2, "other"),
    "signed": lambda ink: ink.around(0, 6, "other"),
    "age": lambda ink: (str(ink.age), None),
    "years": lambda ink: (str(ink.rng.randint(38, 88)), None),
    "sex": lambda ink: (ink.patient.person.sex, None),
    "sexw": lambda ink: ink.word("female", "male"),
    "He": lambda ink: ink.word("She", "He"),
    "he": lambda ink: ink.word("she", "he"),
    "His": lambda ink: ink.word("Her", "His"),
    "his": lambda ink: ink.word("her", "his"),
    "him": lambda ink: ink.word("her", "him"),
    "bp": _pressure,
    "time": _time,
    "hr": _between(54, 112),
    "temp": _between(97.1, 99.8, 1),
    "spo2": _between(88, 99),
    "rr": _between(12, 24),
    "wt": _between(102, 290),
    "bmi": _between(19, 44, 1),
    "lab": Ink.result,
    "labval": Ink.value,
    "item": Ink.item,
    "num": lambda ink: (str(ink.rng.randint(2, 9)), None),
    "page": lambda ink: (str(ink.page), None),
    "pages": lambda ink: (str(ink.pages), None),
}
