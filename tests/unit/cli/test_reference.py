import re
from pathlib import Path

from headrace.cli.main import VERBS
from headrace.cli.reference import PACKAGE, cli_page, events, events_page, metrics_page

DOCS = Path(__file__).parents[3] / "docs" / "reference"
REMEDY = "run `python -m headrace.cli.reference docs/reference`"


def test_the_page_of_the_command_line_is_current():
    assert (DOCS / "cli.md").read_text() == cli_page(), REMEDY


def test_the_page_of_events_is_current():
    assert (DOCS / "events.md").read_text() == events_page(), REMEDY


def test_the_page_of_metrics_is_current():
    assert (DOCS / "metrics.md").read_text() == metrics_page(), REMEDY


def test_every_verb_has_its_section():
    page = cli_page()

    assert all(f"\n## `headrace {verb}`\n" in page for verb in VERBS)


def test_every_event_in_the_code_is_found():
    written = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'"event": "(\w+)"', path.read_text())
    }

    assert written == {event.name for event in events()}


def test_every_event_says_something():
    assert all(event.message and event.level for event in events())
