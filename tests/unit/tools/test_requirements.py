from __future__ import annotations

import pytest

from tools.requirements import Claim, UnreadableMarker, claims_in, known_ids, render, unknown

pytestmark = pytest.mark.requirement("API-BR-DOC-014")

IDS = {
    "INT-BR-WH-001": "2.1.1 Webhooks",
    "INT-BR-WH-002": "2.1.1 Webhooks",
    "INT-BR-WH-003": "2.1.2 Requests",
}


def claims(source: str) -> set[tuple[str, str]]:
    return {(claim.id, claim.test) for claim in claims_in(source, "tests/t.py")}


def test_a_marker_on_a_test_is_that_tests_claim():
    source = '@pytest.mark.requirement("A", "B")\nasync def test_x(): ...\ndef test_y(): ...\n'

    assert claims(source) == {("A", "tests/t.py::test_x"), ("B", "tests/t.py::test_x")}


@pytest.mark.parametrize(
    "value",
    ['pytest.mark.requirement("A")', '[pytest.mark.needs("x"), pytest.mark.requirement("A")]'],
)
def test_a_modules_marker_is_the_claim_of_the_whole_file(value):
    assert claims(f"pytestmark = {value}\ndef test_x(): ...\n") == {("A", "tests/t.py")}


def test_markers_on_a_class_and_inside_it_name_the_class():
    source = '@pytest.mark.requirement("A")\nclass TestX:\n    @pytest.mark.requirement("B")\n    def test_y(self): ...\n'

    assert claims(source) == {("A", "tests/t.py::TestX"), ("B", "tests/t.py::TestX::test_y")}


def test_a_marker_on_one_case_of_many_counts_for_the_test():
    source = '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.requirement("A"))])\ndef test_x(x): ...\n'

    assert claims(source) == {("A", "tests/t.py::test_x")}


def test_an_id_that_cannot_be_read_without_running_the_test_is_refused_with_its_line():
    with pytest.raises(UnreadableMarker, match=r"tests/t\.py:2"):
        claims("IDS = 'A'\n@pytest.mark.requirement(IDS)\ndef test_x(): ...\n")


def test_comments_of_the_id_list_are_no_ids():
    assert known_ids("# head\n\nINT-BR-WH-001\t2.1.1 Webhooks\n") == {"INT-BR-WH-001": "2.1.1 Webhooks"}


def test_a_claim_on_an_id_that_no_document_has_is_found():
    claim = Claim("INT-BR-WH-999", "tests/t.py::test_x")

    assert unknown([claim, Claim("INT-BR-WH-001", "tests/t.py")], IDS) == [claim]


def test_the_document_lists_tests_by_id_and_names_what_has_none():
    text = render([Claim("INT-BR-WH-001", "tests/unit/t.py::test_x")], IDS)

    assert "| INT-BR-WH-001 | 2.1.1 Webhooks | [unit/t.py::test_x](../tests/unit/t.py) |" in text
    assert "| Integration layer | 3 | 1 |" in text
    assert "Without a test yet (2): INT-BR-WH-002…003." in text
