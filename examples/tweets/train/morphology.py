"""Inflected English and Spanish words, looked up with apertium's generators."""

import subprocess
from collections.abc import Iterable
from itertools import product

from lexicon import Lexicon

DATA = "/usr/share/apertium/apertium-eng-spa"
PERSONS = (("p1", "sg"), ("p2", "sg"), ("p3", "sg"), ("p1", "pl"), ("p3", "pl"))

_VERB_KINDS = ("vblex", "vbser", "vbhaver", "vbmod")
_ENGLISH_FORMS = {
    "past": "<past>",
    "third": "<pri><p3><sg>",
    "gerund": "<ger>",
    "participle": "<pp>",
}
_IRREGULAR_PLURALS = {"wife": "wives", "puppy": "puppies", "movie": "movies", "tweet": "tweets"}
_MORE_ENGLISH_VERBS = {"go", "come"}
_MORE_SPANISH_VERBS = {"ir", "venir", "tener", "estar", "poder", "dejar", "acabar"}


class UnsayableError(Exception):
    """A sentence needs a form that the generators do not have; it is drawn anew."""


def generate(dictionary: str, forms: Iterable[str]) -> dict[str, str]:
    """Ask `lt-proc -g` for many forms at once; an unknown form comes back with a leading `#`."""
    asked = sorted(forms)
    done = subprocess.run(
        ["lt-proc", "-g", f"{DATA}/{dictionary}"],
        input="".join(f"^{form}$\n" for form in asked),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(asked, done.stdout.split("\n"), strict=False))


class Morphology:
    """Every form of the lexicon's words that the grammar may need."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._english = generate("spa-eng.autogen.bin", _english_forms(lexicon))
        self._spanish = generate("eng-spa.autogen.bin", _spanish_forms(lexicon))

    def english_verb(self, verb: str, form: str) -> str:
        """Inflect a verb: `past`, `third` (person), `gerund` or `participle`."""
        return _known(self._english, [f"{verb}<vblex>{_ENGLISH_FORMS[form]}"])

    def english_plural(self, noun: str) -> str:
        """Give the plural of a noun."""
        if noun in _IRREGULAR_PLURALS:
            return _IRREGULAR_PLURALS[noun]
        try:
            return _known(self._english, [f"{noun}<n><pl>"])
        except UnsayableError:
            return noun + "s"

    def spanish_verb(self, verb: str, *tags: str) -> str:
        """Inflect the first word of a verb: `("pri", "p1", "sg")` is the present, first person."""
        head, _, rest = verb.partition(" ")
        form = _known(self._spanish, [f"{head}<{kind}>{_tagged(tags)}" for kind in _VERB_KINDS])
        return f"{form} {rest}" if rest else form

    def spanish_plural(self, noun: str, gender: str) -> str:
        """Give the plural of the first word of a noun, the rest as it is."""
        head, _, rest = noun.partition(" ")
        try:
            plural = _known(self._spanish, [f"{head}<n><{each}><pl>" for each in (gender, "mf")])
        except UnsayableError:
            plural = head if head.endswith("s") else head + ("s" if head[-1] in "aeioué" else "es")
        return f"{plural} {rest}" if rest else plural

    def adjective(self, word: str, gender: str, number: str) -> str:
        """Make an adjective agree; one that the generator does not know is made by rule."""
        choices = ((gender, number), ("mf", number), (gender, "sp"), ("mf", "sp"))
        try:
            return _known(self._spanish, [f"{word}<adj>{_tagged(tags)}" for tags in choices])
        except UnsayableError:
            return _adjective_by_rule(word, gender, number)


def _adjective_by_rule(word: str, gender: str, number: str) -> str:
    if word.endswith("o"):
        word = word[:-1] + ("o" if gender == "m" else "a")
    elif word.endswith("or") and gender == "f":
        word += "a"
    if number == "sg":
        return word
    return word + ("s" if word[-1] in "aeoé" else "es")


def _tagged(tags: Iterable[str]) -> str:
    return "".join(f"<{tag}>" for tag in tags)


def _known(forms: dict[str, str], keys: Iterable[str]) -> str:
    for key in keys:
        form = forms.get(key, "#").split("/")[0]
        if form and not form.startswith("#"):
            return form
    raise UnsayableError(", ".join(keys))


def _english_forms(lexicon: Lexicon) -> set[str]:
    verbs = {verb.english for verb in lexicon.transitive} | _MORE_ENGLISH_VERBS
    verbs |= {english for english, _ in lexicon.intransitive}
    plurals = {f"{noun.english}<n><pl>" for nouns in lexicon.nouns.values() for noun in nouns}
    return plurals | {f"{verb}<vblex>{form}" for verb in verbs for form in _ENGLISH_FORMS.values()}


def _spanish_forms(lexicon: Lexicon) -> set[str]:
    verbs = {verb.spanish.split()[0] for verb in lexicon.transitive} | _MORE_SPANISH_VERBS
    verbs |= {spanish for _, spanish in lexicon.intransitive}
    tenses = {("ger",), ("inf",), ("pp", "m", "sg")}
    tenses |= {(tense, *person) for tense in ("pri", "ifi", "fti", "pii") for person in PERSONS}
    nouns = {noun.spanish.split()[0] for nouns in lexicon.nouns.values() for noun in nouns}
    adjectives = {*lexicon.adjectives.values(), *lexicon.states.values()}
    return {
        *(
            f"{verb}<{kind}>{_tagged(tags)}"
            for verb, kind, tags in product(verbs, _VERB_KINDS, tenses)
        ),
        *(f"{noun}<n><{gender}><pl>" for noun, gender in product(nouns, ("m", "f", "mf"))),
        *(
            f"{word}<adj><{gender}><{number}>"
            for word, gender, number in product(adjectives, ("m", "f", "mf"), ("sg", "pl", "sp"))
        ),
    }
