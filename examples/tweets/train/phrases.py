"""Noun phrases, subjects and predicates, each in English and Spanish at once."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from lexicon import Lexicon, Noun, Pair
from morphology import Morphology

T = TypeVar("T")

PRONOUNS = ("I", "you", "we", "they", "he", "she")
MOTION = ("ir", "venir")

_SINGULAR_ONLY = {
    *("news", "series", "hair", "economy", "police", "radio"),
    *("breakfast", "lunch", "dinner", "future", "life", "world"),
}
_SUPERLATIVES = {"best", "worst", "first", "last", "next"}
_DETERMINERS = ("the", "the", "a", "a", "this", "my", "my", "that", "your", "our", "his", "her")
_ARTICLES = {  # masculine, feminine, masculine plural, feminine plural
    "": ("", "", "", ""),
    "the": ("el", "la", "los", "las"),
    "a": ("un", "una", "unos", "unas"),
    "some": ("algo de", "algo de", "unos", "unas"),
    "this": ("este", "esta", "estos", "estas"),
    "that": ("ese", "esa", "esos", "esas"),
    "my": ("mi", "mi", "mis", "mis"),
    "your": ("tu", "tu", "tus", "tus"),
    "his": ("su", "su", "sus", "sus"),
    "her": ("su", "su", "sus", "sus"),
    "our": ("nuestro", "nuestra", "nuestros", "nuestras"),
}
_TAKES_AN = re.compile(r"[aeio]|umb|hour|ugly|update|uncle|u(?!s|n)")
_SUBJECTS = (
    *[("I", "", ("p1", "sg"))] * 4,
    ("you", "", ("p2", "sg")),
    *[("we", "", ("p1", "pl"))] * 2,
    ("they", "", ("p3", "pl")),
    ("he", "él", ("p3", "sg")),
    ("she", "ella", ("p3", "sg")),
    *[None] * 3,  # a noun phrase
    ("NAME", "NAME", ("p3", "sg")),
)


class NounPhrase(NamedTuple):
    """A noun with its determiner and adjective; number is `sg` or `pl`, gender `m` or `f`."""

    english: str
    spanish: str
    gender: str
    number: str


class Adjective(NamedTuple):
    """An adjective that agrees with its noun; Spanish puts most of them after it."""

    english: str
    spanish: str
    is_before: bool

    def beside(self, noun: str) -> str:
        """Give the Spanish noun with the adjective."""
        words = (self.spanish, noun) if self.is_before else (noun, self.spanish)
        return _worded(*words)


_NO_ADJECTIVE = Adjective("", "", is_before=False)


class Subject(NamedTuple):
    """Who does it; `spanish` is empty where Spanish leaves the pronoun out."""

    english: str
    spanish: str
    person: tuple[str, str]
    gender: str

    @property
    def is_third(self) -> bool:
        """Whether the English verb takes its third person."""
        return self.person == ("p3", "sg")


class Predicate(NamedTuple):
    """A verb in its base form, and what follows it."""

    verb: str
    spanish_verb: str
    rest: str
    spanish_rest: str


class Dice:
    """The draws of one seed, always in the same order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  it makes sentences, not secrets

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of the choices."""
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        """Draw a yes with this probability."""
        return self.random.random() < probability


def fused(spanish: str) -> str:
    """Contract `de el` and `a el`."""
    return re.sub(r"\ba el\b", "al", re.sub(r"\bde el\b", "del", spanish))


def joined(*parts: str) -> str:
    """Join what is not empty with single blanks, contracted."""
    return fused(re.sub(r"\s+", " ", " ".join(part for part in parts if part)).strip())


def be(english: str, person: tuple[str, str], *, past: bool = False) -> str:
    """Give the form of `to be` for a subject."""
    if past:
        return "was" if person in (("p1", "sg"), ("p3", "sg")) else "were"
    return "am" if english == "I" else "is" if person == ("p3", "sg") else "are"


@dataclass(frozen=True, slots=True)
class Phrases:
    """Draws phrases from the lexicon."""

    dice: Dice
    lexicon: Lexicon
    forms: Morphology

    def noun(
        self,
        kinds: str | Sequence[str],
        determiner: str | None = None,
        *,
        plural: bool | None = None,
        adjective: float = 0.3,
        as_subject: bool = False,
    ) -> NounPhrase:
        """Draw a noun phrase.

        Args:
            kinds: Classes of the lexicon, one of which is drawn.
            determiner: An English determiner; drawn if not given.
            plural: Whether it is plural; drawn if not given.
            adjective: The probability of an adjective.
            as_subject: Spanish subjects take an article where English has none.
        """
        kind = self.dice.pick(kinds.split() if isinstance(kinds, str) else kinds)
        if kind == "lang":
            return NounPhrase(*self.dice.pick(self.lexicon.languages), "m", "sg")
        noun = self.dice.pick(self.lexicon.nouns[kind])
        uncountable = kind.endswith("u")
        if plural is None:
            plural = not uncountable and self.dice.chance(0.22)
        plural = plural and noun.english not in _SINGULAR_ONLY
        if determiner is None:
            determiner = self._determiner(kind, uncountable=uncountable)
        if determiner in {"a", "some"} and not uncountable:
            determiner = "some" if plural else "a"
        gender, number = noun.gender.lower(), "pl" if plural else "sg"
        described = _NO_ADJECTIVE
        if self.dice.chance(adjective) and noun.english != "news":
            described = self._adjective(gender, number)
        if described.english in _SUPERLATIVES and determiner in {"a", "some", ""}:
            determiner = "the"
        english = _worded(described.english, self._english(noun, plural=plural))
        spanish = described.beside(self._spanish(noun, plural=plural))
        if as_subject and uncountable and determiner in {"", "some"}:
            article = "la" if noun.gender == "f" else "el"
            return NounPhrase(f"the {english}", f"{article} {spanish}", gender, number)
        article = _ARTICLES[determiner][2 * plural + (gender == "f")]
        if noun.gender == "F" and not described.is_before:
            article = {"la": "el", "una": "un"}.get(article, article)
        determiner = _english_determiner(determiner, english, plural=plural)
        return NounPhrase(_worded(determiner, english), _worded(article, spanish), gender, number)

    def _determiner(self, kind: str, *, uncountable: bool) -> str:
        if kind in {"person", "team"}:
            return self.dice.pick(("my", "my", "my", "the", "our", "your", "his", "her"))
        if uncountable:
            return self.dice.pick(("", "", "the", "some"))
        if kind == "place":
            return self.dice.pick(("the", "the", "the", "a", "this", "my", "our"))
        return self.dice.pick(_DETERMINERS)

    def _adjective(self, gender: str, number: str) -> Adjective:
        if self.dice.chance(0.35):
            english = self.dice.pick(list(self.lexicon.adjectives_before_noun))
            forms = self.lexicon.adjectives_before_noun[english]
            form = forms[2 * (number == "pl") + (gender == "f")]
            return Adjective(english, form, is_before=True)
        english = self.dice.pick(list(self.lexicon.adjectives))
        english = "new" if english == "free" else english  # "gratis" does not stand with a noun
        spanish = self.forms.adjective(self.lexicon.adjectives[english], gender, number)
        return Adjective(english, spanish, is_before=False)

    def _english(self, noun: Noun, *, plural: bool) -> str:
        return self.forms.english_plural(noun.english) if plural else noun.english

    def _spanish(self, noun: Noun, *, plural: bool) -> str:
        gender = noun.gender.lower()
        return self.forms.spanish_plural(noun.spanish, gender) if plural else noun.spanish

    def object(self, kinds: str) -> Pair:
        """Draw a direct object; Spanish puts `a` before persons."""
        kind = self.dice.pick(kinds.split())
        phrase = self.noun(kind)
        return phrase.english, f"a {phrase.spanish}" if kind == "person" else phrase.spanish

    def subject(self) -> Subject:
        """Draw who does it."""
        drawn = self.dice.pick(_SUBJECTS)
        if drawn is None:
            kinds = self.dice.pick(("person", "person", "person animal", "team"))
            phrase = self.noun(kinds, adjective=0.1)
            return Subject(phrase.english, phrase.spanish, ("p3", phrase.number), phrase.gender)
        english, spanish, person = drawn
        if english == "NAME":
            name = self.dice.pick(self.lexicon.names)
            return Subject(name, name, person, "f" if name in self.lexicon.female_names else "m")
        return Subject(english, spanish, person, "f" if english == "she" else "m")

    def with_be(self, subject: Subject) -> str:
        """Give a subject with its present form of `to be`, contracted more often than not."""
        form = be(subject.english, subject.person)
        if subject.english in PRONOUNS and self.dice.chance(0.65):
            return subject.english + {"am": "'m", "is": "'s", "are": "'re"}[form]
        return f"{subject.english} {form}"

    def predicate(self) -> Predicate:
        """Draw what is done."""
        dice = self.dice
        if dice.chance(0.12):
            sport = dice.pick(self.lexicon.sports)
            return Predicate("play", "jugar", sport[0], f"al {sport[1]}")
        if dice.chance(0.16):
            return self._motion()
        if dice.chance(0.08):
            music = self.noun("music")
            # The generators are not asked for this verb, so no such sentence is ever said: the
            # text of a seed stays the text that the model was trained on.
            return Predicate("listen", "escuchar", f"to {music.english}", music.spanish)
        if dice.chance(0.06):
            english, spanish = self.object("person")
            return Predicate("wait", "esperar", f"for {english}", spanish)
        if dice.chance(0.06):
            person = self.noun("person")
            return Predicate(
                "talk", "hablar", f"to {person.english}", fused(f"con {person.spanish}")
            )
        return self._intransitive() if dice.chance(0.22) else self._transitive()

    def _motion(self) -> Predicate:
        place = self.noun("place", "the", plural=False, adjective=0.08)
        verb = self.dice.pick(
            (("go", "ir"), ("go", "ir"), ("run", "correr"), ("walk", "caminar"), ("come", "venir"))
        )
        if self.dice.chance(0.3):
            city = self.dice.pick(self.lexicon.cities)
            verb = self.dice.pick((("go", "ir"), ("travel", "viajar"), ("come", "venir")))
            return Predicate(*verb, f"to {city[0]}", f"a {city[1]}")
        return Predicate(*verb, f"to {place.english}", fused(f"a {place.spanish}"))

    def _intransitive(self) -> Predicate:
        verb = self.dice.pick(self.lexicon.intransitive)
        match self.dice.pick(("", "", "", "a lot", "with", "in a place", "in a city")):
            case "a lot":
                return Predicate(*verb, "a lot", "mucho")
            case "with":
                person = self.noun("person", adjective=0.1)
                return Predicate(*verb, f"with {person.english}", f"con {person.spanish}")
            case "in a place":
                determiner = self.dice.pick(("the", "my", "this"))
                place = self.noun("place", determiner, plural=False, adjective=0.15)
                return Predicate(*verb, f"in {place.english}", f"en {place.spanish}")
            case "in a city":
                city = self.dice.pick(self.lexicon.cities)
                return Predicate(*verb, f"in {city[0]}", f"en {city[1]}")
        return Predicate(*verb, "", "")

    def _transitive(self) -> Predicate:
        verb = self.dice.pick(self.lexicon.transitive)
        english, spanish = self.object(verb.objects)
        if self.dice.chance(0.12):
            person = self.noun("person", adjective=0)
            english, spanish = f"{english} with {person.english}", f"{spanish} con {person.spanish}"
        return Predicate(verb.english, verb.spanish, english, spanish)


def _english_determiner(determiner: str, english: str, *, plural: bool) -> str:
    if plural:
        return {"this": "these", "that": "those"}.get(determiner, determiner)
    return "an" if determiner == "a" and _TAKES_AN.match(english) else determiner


def _worded(*words: str) -> str:
    return " ".join(word for word in words if word)
