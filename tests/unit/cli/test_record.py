from __future__ import annotations

from pathlib import Path

import pytest

from cli import record
from cli.live import NotRead, Wanted
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.snapshot import NotRead as Gap
from services.context_api.domain.snapshot import Snapshot
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

SNAPSHOT = kube.snapshot(kube.pod("a"), not_read=[Gap("secrets", "not allowed")])


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """Answers every reading with one snapshot; what was wanted is written down."""
    asked: list[Wanted] = []

    def read(wanted: Wanted) -> tuple[Snapshot, str]:
        asked.append(wanted)
        return SNAPSHOT, "https://cluster.example"

    monkeypatch.setattr(record, "read", read)
    return asked


def test_a_partial_recording_is_written_and_says_what_is_missing(
    reading: list[Wanted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code = record.main(tmp_path / "r", Wanted(), name=None)

    told = capsys.readouterr().out
    assert code == 0
    assert "1 objects, 0 events, 0 logs and 0 metric answers as of 2026-11-18 09:30:00 UTC" in told
    assert "secrets: not allowed" in told
    assert 'cluster: "https://cluster.example"' in (tmp_path / "r" / "snapshot.yaml").read_text()
    assert [str(gap) for gap in load_recording(tmp_path / "r").not_read] == ["secrets: not allowed"]


@pytest.mark.parametrize(
    ("wanted", "name", "cluster"),
    [(Wanted(context="eu"), None, "eu"), (Wanted(context="eu"), "prod", "prod")],
)
def test_the_cluster_is_called_as_the_one_who_records_calls_it(
    reading: list[Wanted], tmp_path: Path, wanted: Wanted, name: str | None, cluster: str
):
    record.main(tmp_path / "r", wanted, name=name)

    assert f'cluster: "{cluster}"' in (tmp_path / "r" / "snapshot.yaml").read_text()


def test_a_directory_with_something_in_it_is_refused_before_the_cluster_is_asked(
    reading: list[Wanted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "mine").write_text("x")

    code = record.main(tmp_path, Wanted(), name=None)

    assert (code, reading) == (2, [])
    assert "is not empty" in capsys.readouterr().err


def test_without_a_cluster_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def refuse(wanted: Wanted) -> tuple[Snapshot, str]:
        raise NotRead("https://cluster.example: connection refused")

    monkeypatch.setattr(record, "read", refuse)

    assert record.main(tmp_path / "r", Wanted(), name=None) == 2
    assert "connection refused" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
