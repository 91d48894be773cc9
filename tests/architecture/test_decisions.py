"""docs/decisions: every page has its four parts and stands in the index; every mention leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.source import ROOT, modules

pytestmark = pytest.mark.requirement("API-BR-DOC-005", "API-BR-DOC-012")

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
PARTS = ["## Context", "## Decision", "## Not chosen"]


def test_pages_are_numbered_without_gaps():
    assert [page.name[:4] for page in PAGES] == [f"{number:04d}" for number in range(1, len(PAGES) + 1)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_forced_it_what_was_chosen_and_what_was_not(page: Path):
    text = page.read_text("utf-8")

    assert [part for part in PARTS if f"\n{part}" not in text] == []
    assert text.startswith(f"# {page.name[:4]}: ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_stands_in_the_index(page: Path):
    assert f"({page.name})" in (FOLDER / "README.md").read_text("utf-8")


def test_every_mention_of_a_decision_leads_to_its_page():
    named = re.compile(r"decisions/(\d{4}[a-z0-9-]*\.md)")
    texts = {module.path: module.text for module in modules("libs", "services", "cli", "tools")}
    texts |= {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in [ROOT / "pyproject.toml", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    }

    lost = [
        f"{where}: {name}"
        for where, text in texts.items()
        for name in named.findall(text)
        if not (FOLDER / name).is_file()
    ]

    assert lost == []
