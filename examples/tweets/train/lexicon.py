"""The words of the grammar, read from lexicon.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pair = tuple[str, str]  # English, Spanish


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun; the gender `F` is feminine with the article `el` (el agua)."""

    english: str
    spanish: str
    gender: str


@dataclass(frozen=True, slots=True)
class TransitiveVerb:
    """A verb, and the classes of nouns that can be its object, separated by blanks."""

    english: str
    spanish: str
    objects: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every list in the order of the file, because a seed draws by position."""

    nouns: dict[str, list[Noun]]
    transitive: list[TransitiveVerb]
    intransitive: list[Pair]
    adjectives: dict[str, str]
    adjectives_before_noun: dict[str, list[str]]
    states: dict[str, str]
    possessed_states: dict[str, str]
    cities: list[Pair]
    names: list[str]
    female_names: list[str]
    languages: list[Pair]
    sports: list[Pair]
    present_times: list[Pair]
    past_times: list[Pair]
    future_times: list[Pair]
    small_questions: list[Pair]
    greetings: list[Pair]
    set_phrases: list[Pair]
    emoji: list[str]
    tags: list[str]

    @classmethod
    def load(cls) -> "Lexicon":
        """Read the file beside this module."""
        path = Path(__file__).with_name("lexicon.toml")
        words: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        nouns = {kind: [Noun(*noun) for noun in nouns] for kind, nouns in words["nouns"].items()}
        nouns["music1"] = [noun for noun in nouns["music"] if noun.english == "song"]
        nouns["appx"] = [noun for noun in nouns["thing"] if noun.english == "app"]
        verbs = [TransitiveVerb(*verb) for verb in words["transitive"]]
        return cls(**(words | {"nouns": nouns, "transitive": verbs}))
