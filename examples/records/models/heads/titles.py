"""What the titles and headings of a page say about its kind, misread letters forgiven."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heads.misread import Lexicon

TOP = 10
"""Lines with a text in which a title may stand."""

_LONGEST_HEADING = 30

_WORDS = {
    "cover": ("cover", "transmittal", "transmission", "recipient", "enclosed"),
    "fax": ("fax", "facsimile"),
    "records": ("records",),
    "request": ("request", "requested"),
    "progress": ("progress", "soap", "wellness", "established"),
    "visit": ("visit", "encounter", "office", "clinic", "telehealth", "outpatient", "followup"),
    "note": ("note", "notes"),
    "discharge": ("discharge", "discharged"),
    "hospital": ("hospitalization", "hospital", "inpatient", "admission", "admitted", "stay"),
    "summary": ("summary", "course"),
    "lab": ("laboratory", "lab", "labs", "chemistry", "hematology", "pathology"),
    "result": ("results", "result", "report", "panel"),
    "specimen": ("specimen", "collected", "accession", "drawn"),
    "drug": ("medication", "medications", "drug", "meds", "prescription", "prescriptions"),
    "pharmacy": ("pharmacy", "dispensed", "refills"),
    "list": ("list", "profile", "reconciliation", "current", "active"),
    "refer": ("referral", "refer", "referring", "referred"),
    "consult": ("consultation", "consult", "consultant", "specialist", "colleague", "dear"),
}
_LEXICON = Lexicon(_WORDS)
_TITLES: tuple[tuple[str, frozenset[str]], ...] = (
    ("cover_sheet", frozenset({"cover"})),
    ("cover_sheet", frozenset({"records", "request"})),
    ("progress_note", frozenset({"progress"})),
    ("progress_note", frozenset({"visit", "note"})),
    ("discharge_summary", frozenset({"discharge", "summary"})),
    ("discharge_summary", frozenset({"discharge", "note"})),
    ("discharge_summary", frozenset({"discharge", "result"})),
    ("discharge_summary", frozenset({"hospital", "summary"})),
    ("lab_report", frozenset({"lab", "result"})),
    ("lab_report", frozenset({"specimen"})),
    ("medication_list", frozenset({"drug", "list"})),
    ("medication_list", frozenset({"drug", "summary"})),
    ("medication_list", frozenset({"pharmacy"})),
    ("referral", frozenset({"refer"})),
    ("referral", frozenset({"consult", "request"})),
)
_KINDS = tuple(dict.fromkeys(kind for kind, _ in _TITLES))
WIDTH = 2 * len(_WORDS) + len(_TITLES) + len(_KINDS) + 1


def title_signs(lines: Sequence[str]) -> NDArray[np.float32]:
    """Return which words and titles stand in the lines of a page, and which title first [WIDTH].

    Args:
        lines: The lines that have a text.
    """
    top = [frozenset(_LEXICON.meanings(line)) for line in lines[:TOP]]
    rest = [line for line in lines[TOP:] if len(line) < _LONGEST_HEADING]
    below = frozenset(meaning for line in rest for meaning in _LEXICON.meanings(line))
    said = frozenset(meaning for line in top for meaning in line)
    told = [any(title <= line for line in top) for _, title in _TITLES]
    first = next((kind for line in top for kind, title in _TITLES if title <= line), None)
    return np.array(
        [
            *(word in said for word in _WORDS),
            *(word in below for word in _WORDS),
            *told,
            *(first == kind for kind in _KINDS),
            first is None,
        ],
        dtype=np.float32,
    )
