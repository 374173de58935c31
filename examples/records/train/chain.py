"""The pipeline without Kafka: what models and functions say of charts, one after the other.

What comes late in the pipeline learns from what those before it really say. On templates that
they were trained on they hardly ever err, so it learns from a sample of charts of the test side's
templates, as one would label some pages of one's own; it is scored on other charts of these.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import charts
import rules
from charts.plan import CLINICAL
from corpus import MODELS
from heads.credentials import Credentials
from heads.dates import Dates
from heads.decision import Decision
from heads.doc_type import DocType
from heads.entities import Entities
from heads.family import Family
from heads.hcc import Hcc
from heads.icd10 import Icd10
from heads.language import Language
from heads.layout import Layout
from heads.negation import Negation
from heads.quality import Quality
from heads.sections import Sections
from heads.signature import Signature

SEEDS = {"sample": 3, "test": 2}
CHARTS = 300

Part = Literal["sample", "test"]

Document = dict[str, Any]


@cache
def coded(part: Part) -> list[tuple[Document, Document]]:
    """Return every chart of a part, its pages as the pipeline has them before `confidence`.

    A page of the result has `page`, `truth`, what the models said of it, and `signals`.
    """
    made = [charts.make(number, seed=SEEDS[part], split="test") for number in range(CHARTS)]
    everything = []
    for chart, truth in made:
        pages = [
            {"page": {"text": page["text"]}, "truth": known}
            for page, known in zip(chart["pages"], truth["pages"], strict=True)
        ]
        everything.append(({**chart, "pages": pages}, truth))
    _read([page for chart, _ in everything for page in chart["pages"]])
    return everything


def decide(charts_: Sequence[Document]) -> list[str]:
    """Return the decision about each chart whose pages have their confidence."""
    traits = [rules.summary(chart)["traits"] for chart in charts_]
    labels, _ = Decision(MODELS / "decision")(traits)
    return list(labels)


def _read(pages: Sequence[Document]) -> None:
    _ask(pages, Layout, "layout", ["page.text"], ["layout"])
    for page in pages:
        if page["layout"] == "upside_down":
            page.update(rules.turn(page))
    there = [page for page in pages if page["layout"] != "blank"]
    _ask(there, Language, "language", ["page.text"], ["language"])
    english = [page for page in there if page["language"] == "en"]
    _ask(english, DocType, "doc-type", ["page.text"], ["kind"])
    clinical = [page for page in english if page["kind"] in CLINICAL]
    _ask(clinical, Quality, "quality", ["page.text"], ["quality"])
    _ask(clinical, Dates, "dates", ["page.text"], ["date_of_service", "_"])
    _ask(clinical, Signature, "signature", ["page.text"], ["signed", "_"])
    _ask(clinical, Credentials, "credentials", ["page.text"], ["credential"])
    _ask(clinical, Sections, "sections", ["page.text"], ["sections"])
    _ask(clinical, Entities, "entities", ["page.text"], ["conditions", "drugs"])
    for page in clinical:
        page.update(rules.mentions(page))
    _ask(clinical, Negation, "negation", ["contexts"], ["assertions", "certain"])
    _ask(clinical, Family, "family", ["contexts"], ["family"])
    for page in clinical:
        page.update(rules.findings(page))
    found = [page for page in clinical if page["findings"]]
    _ask(found, Icd10, "icd10", ["terms"], ["icd10", "scores", "margins", "categories"])
    _ask(found, Hcc, "hcc", ["terms"], ["opinions"])
    for page in found:
        page.update(rules.signals(page))


def _ask(
    pages: Sequence[Document], kind: Any, model: str, inputs: list[str], outputs: list[str]
) -> None:
    columns = [[_at(page, path) for page in pages] for path in inputs]
    for name, column in zip(outputs, kind(MODELS / model)(*columns), strict=True):
        for page, value in zip(pages, column, strict=True):
            page[name] = value


def _at(page: Document, path: str) -> Any:
    value: Any = page
    for name in path.split("."):
        value = value[name]
    return value
