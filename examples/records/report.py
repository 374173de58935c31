"""How charts, failures and speed look in a terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from outcome import Document, Outcome
from rich.console import Group
from rich.table import Table
from rich.text import Text

from headrace.kafka.dead_letters import DeadLetter

_SHOWN_CODES = 8


def chosen(found: Outcome) -> Document:
    """Return a chart that shows much: with codes of several pages, and a hole if there is one."""
    return max(
        found.results.values(),
        key=lambda chart: (
            any("failed" in page for page in chart["pages"]) and bool(chart["codes"]),
            len(chart["codes"]),
        ),
    )


def chart(document: Document) -> Group:
    """Draw a chart: what was decided, its codes with their evidence, its pages."""
    period = document["period"]
    title = Text(
        f"chart {document['chart_id']}, {period['from']} to {period['to']}: "
        f"{document['decision']} ({document['certainty']:.0%} sure)",
        style="bold",
    )
    return Group(title, _codes(document), _pages(document))


def failures(found: Outcome) -> Table:
    """Draw what failed where, and why."""
    table = Table(title="what failed where", title_justify="left", expand=True)
    for heading, ratio in (("chart", 2), ("page", 1), ("step", 2), ("error", 3), ("reason", 8)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for letter in sorted(found.causes, key=lambda each: (each.step, each.id)):
        chart_id, page = _place(letter)
        table.add_row(chart_id, page, letter.step, letter.error, shortened(letter.message))
    follows = Counter(each.step for each in found.letters if each.because_of)
    table.caption = "because of them: " + ", ".join(
        f"{count} at {step}" for step, count in sorted(follows.items())
    )
    table.caption_justify = "left"
    return table


def speed(summary: Mapping[str, Any]) -> str:
    """Say how fast it was, and where the time went."""
    shares = ", ".join(f"{part} {share:.0%}" for part, share in summary["cpu_shares"].items())
    return (
        f"{summary['pages']:,} pages in {summary['seconds']:.0f} s, "
        f"{summary['pages_per_s']:.0f} pages/s; processor time: {shares}; derived topics carried "
        f"{summary['derived_bytes'] / 1e6:.1f} MB, {summary['of_whole_documents']:.0%} of whole "
        "documents"
    )


def shortened(text: str, width: int = 160) -> str:
    """Return text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _codes(document: Document) -> Table:
    table = Table(expand=True)
    for heading, ratio in (
        ("code", 2),
        ("category", 2),
        ("sure", 1),
        ("pages", 2),
        ("evidence", 9),
    ):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for code in document["codes"][:_SHOWN_CODES]:
        table.add_row(
            code["code"],
            code["hcc"] or "-",
            f"{code['confidence']:.2f}",
            ", ".join(map(str, code["pages"])),
            shortened(_evidence(document, code), 110),
        )
    return table


def _evidence(document: Document, code: Document) -> str:
    page = document["pages"][code["pages"][0]]
    said = [each for each in page["codes"] if each["code"] == code["code"]]
    return str(max(said, key=lambda each: each["confidence"])["evidence"])


def _pages(document: Document) -> Text:
    return Text("\n").join(
        Text(f"page {number:>2}  {' '.join(_about(page))}")
        for number, page in enumerate(document["pages"])
    )


def _about(page: Document) -> Iterator[str]:
    if "failed" in page:
        failed = page["failed"]
        yield f"FAILED at {failed['step']}: {shortened(failed['message'], 80)}"
    elif page["layout"] == "blank":
        yield "blank"
    elif page.get("language", "en") != "en":
        yield f"in {page['language']}"
    elif "quality" not in page:
        yield page["kind"].replace("_", " ")
    else:
        yield f"{page['kind'].replace('_', ' ')}, {page['quality']}"
        yield f"of {page['date_of_service'] or 'no date'},"
        yield "signed," if page["signed"] else "not signed,"
        yield f"{page['credential']}: {len(page.get('codes', ()))} findings"


def _place(letter: DeadLetter) -> tuple[str, str]:
    key = (letter.key or b"").decode(errors="replace")
    return key or letter.record, letter.id.partition("/")[2] or "-"
