"""Makes one chart and its truth from a seed, a split and a number."""

from random import Random

from charts import plan
from charts.ink import Ink, Patient
from charts.kinds import WRITERS, Writer
from charts.lexicon import Split
from charts.plan import CLINICAL, CODING, FROM, TO, Leaf
from charts.sheet import Sheet

LOOSE = ("cover_sheet", "blank", "foreign")


def make(number: int, *, seed: int, split: Split) -> tuple[dict, dict]:
    """A chart and what is true of it.

    The same arguments give the same chart, whatever was made before. All people and numbers
    are invented.

    Returns:
        The document as a scanning service would send it (`chart_id`, `patient`, `period`,
        `received`, `pages`), and the truth: per page `kind`, `layout`, `language`, `quality`,
        `encounter`, `sections` (a label per line), `mentions`, `phi`, `dates`,
        `date_of_service`, `signed`, `credential`; and for the chart `codes` and `decision`.
        Offsets are characters within a line of the upright text.
    """
    rng = Random(f"{seed}-{split}-{number}")  # noqa: S311 - synthetic data, not secrets
    who = plan.patient(rng, split)
    mood = plan.pick(rng, plan.MOODS)
    visits, flaw = plan.visits(rng, split, mood)
    leaves = plan.leaves(rng, visits, mood, flaw)
    chart_id = f"C-{number:06d}"
    pages, truths = [], []
    for at, leaf in enumerate(leaves):
        text, truth = _page(rng, split, who, leaf, (at + 1, len(leaves)))
        pages.append({"text": text, "scan": _scan(rng, chart_id, at)})
        truths.append(truth)
    document = {
        "chart_id": chart_id,
        "patient": _identity(who),
        "period": {"from": FROM.isoformat(), "to": TO.isoformat()},
        "received": _received(rng, chart_id, len(pages)),
        "pages": pages,
    }
    codes, decision = judge(truths)
    return document, {"chart_id": chart_id, "pages": truths, "codes": codes, "decision": decision}


def _page(
    rng: Random, split: Split, who: Patient, leaf: Leaf, place: tuple[int, int]
) -> tuple[str, dict]:
    page, pages = place
    is_foreign = leaf.kind == "foreign"
    ink = Ink(rng, split, who, leaf.visit, page=page, pages=pages, is_foreign=is_foreign)
    sheet = Sheet(ink, leaf.quality)
    writer = Writer(sheet, split, leaf.kind, leaf.part)
    if is_foreign:
        writer.letter(leaf.language)
    else:
        WRITERS[leaf.kind](writer)
    text, found = sheet.finish(is_turned=leaf.is_turned)
    layout = "blank" if leaf.kind == "blank" else "upside_down" if leaf.is_turned else "upright"
    served = next((each["iso"] for each in found["dates"] if each["role"] == "service"), None)
    return text, {
        "kind": leaf.kind,
        "layout": layout,
        "language": leaf.language,
        "quality": leaf.quality,
        "encounter": None if leaf.kind in LOOSE else leaf.visit.number,
        **found,
        "date_of_service": served,
        "signed": writer.is_signed,
        "credential": leaf.visit.author.credential if ink.shown else "none",
    }


def judge(pages: list[dict]) -> tuple[list[str], str]:
    """The chart's codes and decision, by the truth of its pages.

    A code counts when a clinical page asserts it of the patient, is signed by an MD, DO, NP or
    PA, and has its date of service within the period. Codes make a chart `submit`, or `review`
    when any clinical page with asserted conditions is unsigned, hardly legible, or by someone
    else; no codes make it `nothing`.
    """
    codes: set[str] = set()
    is_sound = True
    for page in pages:
        if page["kind"] not in CLINICAL:
            continue
        asserted = {
            mention["code"]
            for mention in page["mentions"]
            if mention["kind"] == "condition"
            and not (mention["negated"] or mention["family"] or mention["hypothetical"])
        }
        is_signed = page["signed"] and page["credential"] in CODING
        if asserted and (not is_signed or page["quality"] == "poor"):
            is_sound = False
        day = page["date_of_service"]
        if is_signed and day and FROM.isoformat() <= day <= TO.isoformat():
            codes |= asserted
    if not codes:
        return [], "nothing"
    return sorted(codes), "submit" if is_sound else "review"


def _identity(who: Patient) -> dict:
    return {
        "name": who.person.full,
        "dob": who.born.isoformat(),
        "sex": who.person.sex,
        "mrn": who.mrn,
        "address": who.address,
        "phone": who.phone,
        "insurance": {"plan": "Medicare Advantage (invented)", "member": who.insurance},
    }


def _scan(rng: Random, chart_id: str, at: int) -> dict:
    return {
        "file": f"{chart_id}/{at + 1:03d}.tif",
        "dpi": rng.choice((200, 300, 300, 400)),
        "width": 2480 + rng.randint(-40, 40),
        "height": 3508 + rng.randint(-60, 60),
        "checksum": f"sha256:{rng.getrandbits(256):064x}",
        "skew_degrees": round(rng.uniform(-1.5, 1.5), 2),
        "confidence": [round(rng.uniform(0.6, 1.0), 3) for _ in range(14)],
    }


def _received(rng: Random, chart_id: str, pages: int) -> dict:
    batch = f"B{rng.randint(2025001, 2025365)}-{rng.randint(1, 99):02d}"
    return {
        "scanner": f"Panorama SX-{rng.choice((620, 840, 900))} / {rng.getrandbits(32):08x}",
        "engine": f"pageread {rng.choice(('4.1.3', '4.2.0', '5.0.1'))}",
        "batch": batch,
        "operator": f"op-{rng.randint(1000, 9999)}",
        "station": f"intake-{rng.randint(1, 12):02d}",
        "site": rng.choice(("north-2", "harbor-1", "lake-4")),
        "at": f"2026-0{rng.randint(1, 6)}-{rng.randint(1, 28):02d}T{rng.randint(7, 18):02d}:15:00Z",
        "files": [f"/intake/{batch}/{chart_id}_{part:02d}.pdf" for part in range(1 + pages // 5)],
        "manifest": f"sha256:{rng.getrandbits(256):064x}",
        "request": {"reason": "risk adjustment", "id": f"{rng.getrandbits(128):032x}"},
        "retention_days": 2555,
    }
