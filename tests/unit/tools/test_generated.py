from __future__ import annotations

from pathlib import Path

import pytest

from tools import generated
from tools.generated import publish

pytestmark = pytest.mark.requirement("API-BR-DOC-005")


@pytest.fixture
def document(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    return tmp_path / "docs" / "x.md"


def test_a_stale_document_is_named_with_its_remedy_and_left_alone(document, capsys):
    assert publish({document: "new"}, check=True, remedy="make x") == 1

    assert capsys.readouterr().err == "docs/x.md is stale; run: make x\n"
    assert not document.exists()


def test_writing_makes_it_fresh(document):
    publish({document: "new"}, check=False, remedy="make x")

    assert publish({document: "new"}, check=True, remedy="make x") == 0
    assert document.read_text() == "new"
