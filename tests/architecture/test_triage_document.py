"""docs/triage.md gives the weights the code uses, and nothing it does not."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection

import pytest

from services.context_api.domain.analyzers import EXPLAINERS, SYMPTOMS
from services.context_api.domain.edges import TABLE
from services.context_api.domain.ranking import WEIGHTS
from tests.incidents.test_weights import BLAMED, DEPTHS, FACTS, NOES, PAIRS
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-DOC-005", "API-BR-DOC-012")

TEXT = (ROOT / "docs" / "triage.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, float]:
    """First and second column of the table that begins with this heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return {
        name: float(value) for name, value in re.findall(r"^\| (\w+) \| (-?[\d.]+) \|", table, re.MULTILINE)
    }


def test_the_weights_of_the_score_are_those_of_the_code():
    assert rows("| fact | weight | why |") == WEIGHTS


def test_the_strengths_of_relations_are_those_of_the_code():
    assert rows("| relation | strength | why |") == TABLE


def named(heading: str) -> list[str]:
    """First column of the table that begins with this heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `?([\w-]+)`? \|", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "reached"),
    [
        ("| relation | strength | why |", PAIRS),
        ("| fact | weight | why |", FACTS),
        ("| depth | meaning | examples |", DEPTHS),
        ("| answer | when |", NOES),
    ],
    ids=["relations", "facts", "depths", "noes"],
)
def test_every_line_of_a_table_is_reached_by_a_test(heading: str, reached: Collection[str]):
    assert sorted(named(heading)) == sorted(reached)


def test_every_strength_of_blame_is_reached_by_a_test():
    sentence = TEXT.split("Blame has a strength of its own:", 1)[1].split("\n", 1)[0]

    assert sorted(map(float, re.findall(r"0\.\d+", sentence))) == sorted(strength for _, strength in BLAMED)


def test_every_analyzer_says_what_it_sees_what_it_cannot_and_what_it_rests_on():
    for analyzer in (*SYMPTOMS, *EXPLAINERS):
        text = sys.modules[analyzer.__module__].__doc__ or ""
        assert "Rests on:" in text, analyzer.__module__
        assert re.search(r"\bSees\b|\bSee\b", text), analyzer.__module__
        assert re.search(r"[Cc]annot", text), analyzer.__module__
