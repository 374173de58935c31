"""The conditions and drugs that pages mention, and the phrases each split may use."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

Split = Literal["train", "test"]

HERE = Path(__file__).parent
TEST_ONLY_SHARE = 0.22


@dataclass(frozen=True, slots=True)
class Condition:
    """One ICD-10-CM code and how notes say it; the first phrase is the canonical one."""

    code: str
    hcc: bool
    phrases: tuple[str, ...]
    test: tuple[str, ...]
    sex: str | None = None

    @property
    def is_symptom(self) -> bool:
        """A sign or symptom (chapter R), not a diagnosis."""
        return self.code.startswith("R")

    def phrase(self, rng: Random, split: Split) -> str:
        """A phrase for this code; about a fifth of the test split's never occur in training."""
        if split == "test" and self.test and rng.random() < TEST_ONLY_SHARE:
            return rng.choice(self.test)
        return rng.choice(self.phrases)


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug by its generic name, with a brand, its usual doses and how often it is taken."""

    name: str
    brand: str
    doses: tuple[str, ...]
    often: str


def _rows(file: str, table: str) -> list[dict]:
    return tomllib.loads((HERE / file).read_text(encoding="utf-8"))[table]


CONDITIONS = tuple(
    Condition(
        code=row["code"],
        hcc=row["hcc"],
        phrases=tuple(row["phrases"]),
        test=tuple(row["test"]),
        sex=row.get("sex"),
    )
    for row in _rows("conditions.toml", "condition")
)
DRUGS = tuple(
    Drug(name=row["name"], brand=row["brand"], doses=tuple(row["doses"]), often=row["often"])
    for row in _rows("drugs.toml", "drug")
)
SYMPTOMS = tuple(condition for condition in CONDITIONS if condition.is_symptom)
DIAGNOSES = tuple(condition for condition in CONDITIONS if not condition.is_symptom)
