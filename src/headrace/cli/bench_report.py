"""What `headrace bench` found out, for people and for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from textwrap import shorten
from typing import Any

import yaml

from headrace.cli.measuring import Report
from headrace.cli.shapes import columns
from headrace.core.models import Profile
from headrace.core.tuning import Measured

_HEADING = (
    "",
    "PROTOCOL",
    "ROWS",
    "SLOTS",
    "ROWS/s",
    "p50 ms",
    "p99 ms",
    "CPU us/row",
    "BYTES/row",
)

_REASON_WIDTH = 160


def as_object(reports: Sequence[Report]) -> str:
    """Return one JSON object: per model what was measured, refused and is recommended."""
    return json.dumps(
        {
            "models": [
                {
                    "model": each.step.model.name,
                    "measured": [asdict(one) for one in each.measured],
                    "refused": each.refused,
                    "recommended": asdict(each.recommended) if each.recommended else None,
                }
                for each in reports
            ]
        }
    )


def rendered(reports: Sequence[Report]) -> str:
    """Return a table per model, what it refused, and settings to paste."""
    return "\n\n".join(_one(each) for each in reports)


def _one(report: Report) -> str:
    best = report.recommended
    parts = [f"model {report.step.model.name}"]
    if report.measured:
        rows: list[tuple[str, ...]] = [_HEADING]
        rows += [("*" if each is best else "", *_row(each)) for each in report.measured]
        parts.append(columns(rows))
    parts += [
        f"{protocol} is of no use here: {shorten(why, _REASON_WIDTH, placeholder=' ...')}"
        for protocol, why in report.refused.items()
    ]
    if best is not None:
        parts.append(_advice(report, best))
    return "\n".join(parts)


def _row(each: Measured) -> tuple[str, ...]:
    return (
        each.protocol,
        str(each.rows),
        str(each.slots),
        f"{each.rate:,.0f}",
        f"{1e3 * each.p50_s:,.1f}",
        f"{1e3 * each.p99_s:,.1f}",
        f"{each.cpu_us:,.1f}",
        f"{each.row_bytes:,.0f}",
    )


def _advice(report: Report, best: Measured) -> str:
    """Return settings to paste."""
    way = report.ways[best.protocol]
    model: dict[str, Any] = {"url": way.model.urls[0]}
    if way.model.profile is not Profile.AUTO:
        model["profile"] = str(way.model.profile)
    model["max_in_flight"] = best.slots
    settings = {
        "models": {way.model.name: model},
        "steps": {way.name: {"batch": {"max_size": best.rows}}},
    }
    written = yaml.safe_dump(settings, sort_keys=False).rstrip()
    return f"* recommended, over {best.protocol}:\n\n{written}"
