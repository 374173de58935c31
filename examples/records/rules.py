"""What the pipeline's functions do between its models."""

from collections.abc import Iterable, Sequence
from typing import Any

from contexts import context
from turning import turned

MENTIONS = 12
"""Width of the tensors that have an entry per mention; what is not used is empty."""

CLEARLY_SOMEBODY_ELSES = 0.5
SURE_ENOUGH = 0.5
CODED_BY = frozenset({"MD", "DO", "NP", "PA"})
"""Whose signature makes a page count."""


def turn(document: dict[str, Any]) -> dict[str, Any]:
    """Turn a page that was scanned upside down."""
    return {"page": {"text": turned(document["page"]["text"])}}


def mentions(document: dict[str, Any]) -> dict[str, Any]:
    """Put each condition into its context: what stands around it, and in which section."""
    lines = document["page"]["text"].split("\n")
    labels = document["sections"].split("\n")
    found, contexts = [], []
    for entry in filter(None, document["conditions"]):
        number, start, end, text = entry.split("|", 3)
        line = int(number)
        found.append({"text": text, "line": line, "section": labels[line]})
        contexts.append(context(lines, labels[line], line, int(start), int(end)))
    return {"mentions": found, "contexts": filled(contexts, "")}


def findings(document: dict[str, Any]) -> dict[str, Any]:
    """Keep what the patient has: not denied, not feared, not somebody else's."""
    kept = [
        {**mention, "certain": certain, "family": family}
        for mention, assertion, certain, family in zip(
            document["mentions"],
            document["assertions"],
            document["certain"],
            document["family"],
            strict=False,
        )
        if assertion == "present" and family < CLEARLY_SOMEBODY_ELSES
    ]
    return {"findings": kept, "terms": filled((each["text"] for each in kept), "")}


def signals(document: dict[str, Any]) -> dict[str, Any]:
    """Say in eight numbers how far each code can be trusted."""
    rows = [
        [
            score,
            margin,
            float(category == (opinion if opinion != "none" else "")),
            float(finding["section"] in {"assessment", "plan"}),
            float(finding["section"] in {"exam", "labs", "other"}),
            min(len(finding["text"]) / 40, 1.0),
            finding["certain"],
            finding["family"],
        ]
        for finding, score, margin, category, opinion in zip(
            document["findings"],
            document["scores"],
            document["margins"],
            document["categories"],
            document["opinions"],
            strict=False,
        )
    ]
    return {"signals": filled(rows, [0.0] * 8)}


def codes(document: dict[str, Any]) -> dict[str, Any]:
    """Put code, category and confidence beside each finding."""
    return {
        "codes": [
            {
                "code": code,
                "hcc": category,
                "confidence": confidence,
                "text": finding["text"],
                "line": finding["line"],
            }
            for finding, code, category, confidence in zip(
                document["findings"],
                document["icd10"],
                document["categories"],
                document["confidence"],
                strict=False,
            )
            if code
        ]
    }


def evidence(document: dict[str, Any]) -> dict[str, Any]:
    """Give each code the line it stands in, names and dates masked."""
    lines = document["masked"].split("\n")
    return {
        "codes": [
            {**each, "evidence": lines[each["line"]].strip()} for each in document.get("codes", ())
        ]
    }


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """List the chart's codes, surest first, with their pages, and say it all in numbers."""
    period, pages = document["period"], document["pages"]
    found: dict[str, dict[str, Any]] = {}
    for number, page in enumerate(pages):
        if not counts(page, period):
            continue
        for each in page["codes"]:
            if each["confidence"] < SURE_ENOUGH:
                continue
            code = found.setdefault(
                each["code"],
                {"code": each["code"], "hcc": each["hcc"], "confidence": 0.0, "pages": []},
            )
            code["confidence"] = max(code["confidence"], each["confidence"])
            if number not in code["pages"]:
                code["pages"].append(number)
    ranked = sorted(found.values(), key=lambda code: (-code["confidence"], code["code"]))
    return {"codes": ranked, "traits": traits(pages, period, ranked)}


def counts(page: dict[str, Any], period: dict[str, str]) -> bool:
    """Tell whether codes of a page count: signed, by who may, in the period."""
    return (
        bool(page.get("codes"))
        and page["signed"]
        and page["credential"] in CODED_BY
        and period["from"] <= page["date_of_service"] <= period["to"]
    )


def traits(
    pages: Sequence[dict[str, Any]], period: dict[str, str], ranked: Sequence[dict[str, Any]]
) -> list[float]:
    """Return twelve numbers about a chart, for the model that decides."""
    coded = [page for page in pages if page.get("codes")]
    counting = [page for page in coded if counts(page, period)]
    return [
        float(len(ranked)),
        float(sum(bool(code["hcc"]) for code in ranked)),
        max((code["confidence"] for code in ranked), default=0.0),
        min((code["confidence"] for code in ranked), default=0.0),
        float(len(coded)),
        float(len(counting)),
        float(sum(not page["signed"] for page in coded)),
        float(sum(page["credential"] not in CODED_BY for page in coded)),
        float(sum(page["quality"] == "poor" for page in coded)),
        float(sum(page["quality"] == "poor" for page in counting)),
        float(sum("failed" in page for page in pages)),
        float(len(pages)),
    ]


def filled(items: Iterable[Any], blank: Any) -> list[Any]:
    """Return exactly `MENTIONS` items, cut or filled up."""
    return [*items, *[blank] * MENTIONS][:MENTIONS]
