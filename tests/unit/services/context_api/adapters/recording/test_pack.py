"""A snapshot as one file."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from services.context_api.adapters.recording import load_recording
from services.context_api.adapters.recording.pack import packed
from services.context_api.domain.errors import CannotKeep
from tests.support.kube import NOW, deployment, log, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")

API = deployment("api")
TAKEN = snapshot(API, logs=[log(pods_in(API)[0], "ready\n")])


def test_it_is_read_again_as_it_was(tmp_path: Path):
    place = tmp_path / "kept.tar.gz"
    place.write_bytes(packed(TAKEN, "kept", {"incident": "Deployment/shop/api"}))

    read = load_recording(place)

    assert read.captured_at == NOW
    assert {str(o) for o in read.objects} == {str(o) for o in TAKEN.objects}
    assert [(g.pod, g.text) for g in read.logs] == [(g.pod, g.text) for g in TAKEN.logs]


def test_the_same_evidence_makes_the_same_bytes_and_tells_nothing_of_who_packed_it(tmp_path: Path):
    one, other = (packed(TAKEN, "kept", {}) for _ in range(2))
    (tmp_path / "kept.tar.gz").write_bytes(one)

    with tarfile.open(tmp_path / "kept.tar.gz") as archive:
        entries = archive.getmembers()

    assert one == other
    assert {(e.uid, e.uname, e.mode) for e in entries} == {(0, "", 0o600)}
    assert all(e.name.startswith("kept/") for e in entries)


def test_where_there_is_no_room_the_file_systems_word_is_told():
    with pytest.raises(CannotKeep, match="name too long"):
        packed(TAKEN, "n" * 300, {})
