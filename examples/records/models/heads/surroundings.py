"""What stands before and behind a mention, as words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from heads.phrases import folded

OPENING, CLOSING = "\u27e6", "\u27e7"
_WORD = re.compile(r"[^\W_]+(?:['/][^\W_]+)*|[.;:,()?-]")
STOPS = frozenset(".;")
_CLASSES = {
    "@relative": (
        "aunt aunts brother brothers child children cousin cousins dad daughter daughters father"
        " grandchild grandfather grandmother grandparent grandparents grandson husband mom mother"
        " nephew niece parent parents sibling siblings sister sisters son sons spouse uncle uncles"
        " wife"
    ),
    "@family": "family families fam fhx familial maternal paternal hereditary",
    "@denial": (
        "no not without negative neg absent absence denied denies denying declined declines never"
        " cannot free resolved unlikely excluded exclude ruled lack lacked lacking fails rather"
        " unremarkable doubt"
    ),
    "@fear": (
        "if return should come back possible poss probably likely r/o ro rule concern concerned"
        " concerning suspicious suggestive worrisome worried evaluate test monitor monitored may"
        " might versus prophylaxis risk screen watch consider call signs prevent develops"
    ),
    "@contrast": "but however nevertheless still except though although yet aside apart",
    "@doubt": "only change longer increase further extend cause necessarily certain difficulty",
    "@has": "has have had with known history diagnosed treated stable continue on chronic",
}
"""Words of the train side's templates, and the triggers of ConText and NegEx as published.

None may come from the test side's templates: they stand for hospitals never seen.
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A context, taken apart.

    Attributes:
        section: Label of the section.
        before: Words before the mention, the nearest first; signs are words, too.
        mention: Words of the mention.
        behind: Words behind it, the nearest first.
    """

    section: str
    before: list[str]
    mention: list[str]
    behind: list[str]

    @property
    def classes(self) -> Iterator[tuple[str, str]]:
        """Yield side and distance of words near the mention, and the class of each that has one."""
        for where, word in self.near(24):
            if word in CLASS_OF:
                yield where, CLASS_OF[word]

    @classmethod
    def of(cls, context: str) -> "Surroundings":
        """Take apart what the pipeline's `contexts.context` made."""
        section, _, line = context.partition("\t")
        left, _, rest = line.partition(OPENING)
        mention, _, right = rest.partition(CLOSING)
        return cls(section, words(left)[::-1], words(mention), words(right))

    def near(self, reach: int) -> Iterator[tuple[str, str]]:
        """Yield side and distance of words near the mention, and each word.

        Distances are 1, 2, 3, 4 to 6, or further; behind a stop a word counts as another
        sentence's.
        """
        for side, told in (("<", self.before), (">", self.behind)):
            beyond = ""
            for distance, word in enumerate(told[:reach], 1):
                yield f"{side}{beyond}{bucket(distance)}", word
                if word in STOPS:
                    beyond = "/"


def words(text: str) -> list[str]:
    """Return words and signs, letters that scanners confuse made one."""
    return [folded(word) for word in _WORD.findall(text)]


def bucket(distance: int) -> str:
    """Return how far that is, roughly."""
    return str(distance) if distance < 4 else "4" if distance < 7 else "7"


def slot(feature: str, width: int) -> int:
    """Return the place of a feature among so many."""
    return crc32(feature.encode()) % width


CLASS_OF = {folded(word): name for name, some in _CLASSES.items() for word in some.split()}
"""Words that mean much the same here: what is learnt of one holds for all."""
