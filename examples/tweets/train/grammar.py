"""Writes English tweets with their Spanish translation, drawn from a hand-written grammar.

Both languages are drawn side by side from the words in lexicon.toml; inflected forms come from
apertium's generators (Debian package apertium-eng-spa, program lt-proc).
"""

import argparse
from pathlib import Path

from clauses import Clauses
from lexicon import Lexicon, Pair
from morphology import Morphology, UnsayableError
from phrases import Dice, Phrases, joined
from remarks import Remarks

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
_MAX_WORDS = 22


class Tweets:
    """Draws tweets; the same seed draws the same tweets."""

    def __init__(self, seed: int, lexicon: Lexicon) -> None:
        self._dice = Dice(seed)
        self._lexicon = lexicon
        phrases = Phrases(self._dice, lexicon, Morphology(lexicon))
        self._clauses = Clauses(phrases)
        self._remarks = Remarks(phrases, self._clauses)

    def tweet(self) -> Pair:
        """Draw one tweet in English and in Spanish."""
        english, spanish, asks = self._sentence()
        if not asks and self._dice.chance(0.18):
            english, spanish = self._continued(english, spanish)
        english, spanish = self._written(english, spanish, asks=asks)
        return self._decorated(english, spanish)

    def _sentence(self) -> tuple[str, str, bool]:
        """Draw until a sentence can be said; the last value is whether it is a question."""
        while True:
            kind = self._dice.random.random()
            asks = 0.63 <= kind < 0.74
            try:
                drawn = self._drawn(kind)
            except UnsayableError:
                continue
            english, spanish = joined(drawn[0]), joined(drawn[1])
            if len(english.split()) <= _MAX_WORDS:
                return english, spanish, asks

    def _drawn(self, kind: float) -> Pair:
        if kind < 0.36:
            return self._clauses.action()
        if kind < 0.53:
            return self._clauses.quality()
        if kind < 0.63:
            return self._clauses.liking()
        if kind < 0.74:
            return self._remarks.question()
        return self._remarks.headline() if kind < 0.80 else self._remarks.small_talk()

    def _continued(self, english: str, spanish: str) -> Pair:
        """Add a second statement, if one is drawn and both together are short enough."""
        more, spanish_more, asks = self._sentence()
        if asks or len((english + more).split()) >= 18:
            return english, spanish
        link = self._dice.pick(((" and ", " y "), (" but ", " pero "), (". ", ". "), (", ", ", ")))
        if link[0] == " and " and spanish_more.startswith("i"):
            link = (". ", ". ")  # "y" would have to become "e"
        if link[0] == ". ":
            more, spanish_more = _capital(more), _capital(spanish_more)
        return english + link[0] + more, spanish + link[1] + spanish_more

    def _written(self, english: str, spanish: str, *, asks: bool) -> Pair:
        """Add punctuation and choose upper and lower case."""
        capital = self._dice.random.random() < 0.72
        end = "?" if asks else self._dice.pick(("", "", ".", ".", ".", "!", "!!", "..."))
        if asks and self._dice.chance(0.12):
            end = self._dice.pick(("", "??"))
        if end.startswith("!"):
            spanish = f"¡{_capital(spanish) if capital else spanish}{end}"
        elif asks:
            spanish = f"¿{_capital(spanish) if capital else spanish}{end or '?'}"
        else:
            spanish += end
        english += end
        if capital:
            english, spanish = _capital(english), _capital(spanish)
        elif self._dice.chance(0.25):
            english = english.lower()
        if self._dice.chance(0.04):
            english, spanish = english.upper(), spanish.upper()
        return english, spanish

    def _decorated(self, english: str, spanish: str) -> Pair:
        """Add what tweets have around their text; it is the same in both languages."""
        dice, tags = self._dice, self._lexicon.tags
        before = after = ""
        if dice.chance(0.16):
            mention = self._mention()
            if dice.chance(0.75):
                before = f"{mention} "
            else:
                after = f" {mention}"
        if dice.chance(0.06):
            name = dice.pick(self._lexicon.names).lower() + dice.pick(("", "12", "_tv", "fan"))
            before = f"RT @{name}: {before}"
        if dice.chance(0.17):
            drawn = dice.random.sample(tags, dice.pick((1, 1, 2)))
            after += "".join(f" #{tag}" for tag in drawn)
        if dice.chance(0.18):
            after += " " + dice.pick(self._lexicon.emoji) * dice.pick((1, 1, 1, 2, 3))
        if dice.chance(0.08):
            scheme = dice.pick(("http", "https"))
            length = dice.pick((6, 8, 10))
            after += f" {scheme}://t.co/" + "".join(dice.pick(_LETTERS) for _ in range(length))
        return before + english + after, before + spanish + after

    def _mention(self) -> str:
        dice = self._dice
        if dice.chance(0.8):
            name = dice.pick(self._lexicon.names).lower()
            mention = f"@{name}" + dice.pick(("", "_", "1", "x", "99", "son"))
        else:
            mention = f"@{dice.pick(self._lexicon.tags).lower()}"
        if dice.chance(0.2):
            mention += f" @{dice.pick(self._lexicon.names)}"
        return mention


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def main() -> None:
    """Write a file of lines `English<TAB>Spanish`, each once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="tweets to draw; fewer are written")
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    tweets = Tweets(arguments.seed, Lexicon.load())
    drawn = dict.fromkeys(tweets.tweet() for _ in range(arguments.count))
    lines = (f"{english}\t{spanish}\n" for english, spanish in drawn)
    arguments.out.write_text("".join(lines), encoding="utf-8")
    print(f"{len(drawn)} different tweets")


if __name__ == "__main__":
    main()
