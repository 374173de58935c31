"""The site builds without warnings, and everything in it is reached."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.snippets import ROOT, SITE, pages
from tools import ratios

CONFIG = ROOT / "zensical.toml"


def entries(nav: list) -> Iterator[str]:
    """Yield the pages of a navigation, sections opened."""
    for each in nav:
        for inner in each.values() if isinstance(each, dict) else [each]:
            yield from entries(inner) if isinstance(inner, list) else [inner]


def test_the_site_builds_without_warnings(tmp_path: Path):
    shutil.copy(CONFIG, tmp_path)
    shutil.copytree(SITE, tmp_path / "docs")

    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert built.returncode == 0, built.stderr + built.stdout


def test_the_navigation_holds_every_page_once():
    nav = sorted(entries(tomllib.loads(CONFIG.read_text())["project"]["nav"]))

    assert nav == sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page: Path):
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)|(?:src|href)=\"([^\"#]+)", text)

    names = ["".join(each) for each in targets]
    gone = [name for name in names if "://" not in name and not (page.parent / name).exists()]

    assert gone == []


def test_the_chart_shows_the_figures_of_the_benchmarks():
    found = list(ratios.ratios(ratios.FIGURES.read_text()))

    assert len(found) >= 4
    assert ratios.PICTURE.read_text() == ratios.drawn(found), "run `make pictures`"


@pytest.mark.parametrize("picture", sorted(SITE.glob("assets/*.svg")), ids=lambda path: path.name)
def test_pictures_are_whole_and_ask_nobody_for_anything(picture: Path):
    text = picture.read_text()

    ET.fromstring(text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert str(ROOT) not in text
