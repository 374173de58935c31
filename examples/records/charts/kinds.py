"""Writes each kind of page from its split's templates."""

from collections.abc import Callable, Sequence
from random import Random

from charts import letters_test, letters_train, templates_test, templates_train
from charts.ink import MOST_CONDITIONS
from charts.lexicon import Split
from charts.sheet import Sheet

WORDINGS = {"train": templates_train, "test": templates_test}
LETTERS = {"train": letters_train.LETTERS, "test": letters_test.LETTERS}
UNDATED_SHARE = 0.25
ROOM = {"history": 6, "family": 3, "exam": 2, "medications": 1, "assessment": 4, "plan": 3}
BEFORE_ASSESSMENT, AFTER_ASSESSMENT = 8, 11


class Writer:
    """Writes one page of a document: `part` 0 opens it, `part` 1 is its second page."""

    def __init__(self, sheet: Sheet, split: Split, kind: str, part: int) -> None:
        self.sheet = sheet
        self.split = split
        self.kind = kind
        self.part = part
        self.is_signed = False
        self.most = BEFORE_ASSESSMENT
        self.rng: Random = sheet.ink.rng
        self.words = WORDINGS[split]

    def some(self, templates: Sequence[str], low: int, high: int) -> list[str]:
        """Between `low` and `high` different templates, in random order."""
        return self.rng.sample(templates, min(self.rng.randint(low, high), len(templates)))

    def top(self, heads: Sequence[tuple[str, ...]] | None = None) -> None:
        """The header lines; a second page has fewer, and now and then no date of service."""
        sheet, rng, words = self.sheet, self.rng, self.words
        sheet.ink.title = rng.choice(words.TITLES[self.kind])
        if rng.random() < 0.25:
            sheet.say("header", rng.choice(words.FOOTERS))
        if self.part:
            forms = words.UNDATED if rng.random() < UNDATED_SHARE else words.CONTINUED
        else:
            forms = heads or words.LETTERHEADS
        sheet.say("header", *rng.choice(forms))
        sheet.gap()

    def bottom(self) -> None:
        """The footer, on most pages."""
        if self.rng.random() < 0.6:
            self.sheet.gap()
            self.sheet.say("other", self.rng.choice(self.words.FOOTERS))

    def signature(self) -> None:
        """How the author signed, or what stands where a signature should."""
        self.sheet.gap()
        self.is_signed = self.sheet.ink.visit.is_signed
        forms = self.words.SIGNED if self.is_signed else self.words.UNSIGNED
        self.sheet.say("signature", *self.rng.choice(forms))

    def section(self, name: str) -> None:
        """A heading and what is under it."""
        sheet, rng = self.sheet, self.rng
        if name in {"assessment", "plan"}:
            self.most = AFTER_ASSESSMENT if name == "assessment" else MOST_CONDITIONS
        sheet.ink.allow(ROOM.get(name, 0), self.most + 2 * (name == "family"))
        sheet.ink.count = 0
        heading = rng.choice(self.words.HEADINGS[name])
        body = [text for text in self.body(name) if sheet.ink.fits(text)]
        if not body:
            return
        if rng.random() < 0.25 and name not in {"medications", "labs"}:
            sheet.prose(name, [heading, *body])
        else:
            sheet.say(name, heading)
            if name in {"medications", "labs"} or rng.random() < 0.45:
                sheet.say(name, *body)
            else:
                sheet.prose(name, body)
        if rng.random() < 0.55:
            sheet.gap()

    def body(self, name: str) -> list[str]:
        """The sentences of a section, mixed with negations, traps and the like."""
        words, some, rng = self.words, self.some, self.rng
        match name:
            case "history":
                body = self.story()
            case "exam":
                body = some(words.EXAM, 5, 9) + some(words.NEGATED, 0, 2)
                rng.shuffle(body)
            case "family":
                body = some(words.FAMILY, 1, 3) + some(words.NOT_FAMILY, 0, 1)
            case "labs":
                body = rng.choices(words.LABS, k=rng.randint(3, 7))
            case "medications":
                body = [rng.choice(words.MEDS)] * rng.randint(2, 6)
                body += rng.choices(words.MEDS, k=rng.randint(0, 2))
            case "assessment":
                body = [rng.choice(words.ASSESSMENT)] * rng.randint(1, 3)
                body += some(words.ASSESSMENT, 1, 3) + some(words.TRAPS, 0, 1)
            case "plan":
                body = some(words.HYPOTHETICAL, 0, 3) + some(words.PLAN, 4, 7)
                rng.shuffle(body)
            case _:
                body = some(words.OTHER, 2, 4)
        return body

    def story(self) -> list[str]:
        """The history: what happened, what did not, and now and then the relatives'."""
        words, some = self.words, self.some
        main = words.HOSPITAL if self.kind == "discharge_summary" else words.HISTORY
        body = some(main, 4, 7) + some(words.GENERAL, 2, 6) + some(words.TRAPS, 0, 1)
        body += some(words.NEGATED, 2, 4)
        if self.rng.random() < 0.15:
            body += some(words.FAMILY, 1, 1)
        if self.rng.random() < 0.2:
            body += some(words.NOT_FAMILY, 1, 1)
        self.rng.shuffle(body)
        return body

    def clinical(self) -> None:
        """A progress note or a discharge summary."""
        self.top()
        names = self.rng.choice(self.words.ORDERS[self.kind]).split()
        if self.part:
            names = names[len(names) // 2 :] + self.some(("other", "labs", "medications"), 1, 2)
        for name in dict.fromkeys(names):
            self.section(name)
        self.signature()
        self.bottom()

    def referral(self) -> None:
        """A letter or form that sends the patient to another physician."""
        self.top()
        words = self.words
        opening, body = words.REFERRAL[0], self.some(words.REFERRAL[1:], 7, 10)
        self.sheet.ink.allow(6, self.most)
        self.sheet.say("history", opening)
        if self.rng.random() < 0.5:
            self.sheet.prose("history", body)
        else:
            self.sheet.say("history", *body)
        self.sheet.prose("history", self.some(words.GENERAL, 2, 5))
        self.sheet.gap()
        for name in self.rng.choice(words.ORDERS["referral"]).split():
            self.section(name)
        self.signature()
        self.bottom()

    def labs(self) -> None:
        """A table of results, with remarks around it."""
        self.top(self.words.LAB_HEADS)
        for _ in range(self.rng.randint(1, 3)):
            self.sheet.say("labs", *["{lab}"] * self.rng.randint(5, 12))
            self.sheet.gap()
        self.sheet.say("other", *self.some(self.words.LAB_NOTES, 2, 5))
        if self.rng.random() < 0.4:
            self.signature()
        self.bottom()

    def drugs(self) -> None:
        """A list of drugs, each on a line."""
        self.top(self.words.MED_HEADS)
        forms = self.some(self.words.MEDS, 1, 3)
        for _ in range(self.rng.randint(16, 30)):
            self.sheet.say("medications", self.rng.choice(forms))
        self.sheet.gap()
        self.sheet.say("other", *self.some(self.words.OTHER, 2, 5))
        if self.rng.random() < 0.3:
            self.signature()
        self.bottom()

    def cover(self) -> None:
        """A fax cover or the first sheet of a set of records."""
        words = self.words
        self.sheet.say("header", *self.rng.choice(words.COVERS))
        self.sheet.gap()
        notes = self.some(words.COVER_NOTES, 3, 6)
        if self.rng.random() < 0.5:
            self.sheet.prose("other", notes)
        else:
            self.sheet.say("other", *notes)
        self.bottom()

    def blank(self) -> None:
        """Nothing, specks, or words that say so."""
        self.sheet.say("other", *self.some(self.words.BLANKS, 1, 2))
        if not len(self.sheet):
            self.sheet.gap()

    def letter(self, language: str) -> None:
        """A clinical letter that is not in English; its conditions are not annotated."""
        parts = LETTERS[self.split][language]
        sheet, rng = self.sheet, self.rng
        sheet.say("header", *parts["header"])
        for label, low in (("history", 5), ("exam", 2), ("plan", 2)):
            sheet.gap()
            body = self.some(parts[label], low, 8)
            if rng.random() < 0.6:
                sheet.prose(label, body)
            else:
                sheet.say(label, *body)
        sheet.gap()
        self.is_signed = sheet.ink.visit.is_signed
        forms = parts["signed" if self.is_signed else "unsigned"]
        sheet.say("signature", rng.choice(forms))


WRITERS: dict[str, Callable[[Writer], None]] = {
    "progress_note": Writer.clinical,
    "discharge_summary": Writer.clinical,
    "referral": Writer.referral,
    "lab_report": Writer.labs,
    "medication_list": Writer.drugs,
    "cover_sheet": Writer.cover,
    "blank": Writer.blank,
}
