"""A recording on a file system: whole or not at all, nothing outside its directory, and read again as it was."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from services.context_api.adapters.recording import CannotWrite, load_recording, write, write_recording
from services.context_api.domain.snapshot import ContainerLog, KubeObject, MetricAnswer, Snapshot
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

SNAPSHOT = kube.snapshot(kube.pod("a"), kube.pod("b", "metrics"), kube.node("n"))


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_each_kind_has_its_file_in_its_namespace(tmp_path: Path):
    write_recording(SNAPSHOT, tmp_path / "r", {})

    assert files(tmp_path / "r") == [
        "objects/_cluster/node.json",
        "objects/metrics/pod.json",
        "objects/shop/pod.json",
        "snapshot.yaml",
    ]
    assert len(load_recording(tmp_path / "r").objects) == 3


def test_only_its_owner_may_read_it(tmp_path: Path):
    write_recording(SNAPSHOT, tmp_path / "r", {})

    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o700


def test_an_empty_directory_is_filled_and_a_parent_is_made(tmp_path: Path):
    (tmp_path / "empty").mkdir()

    write_recording(SNAPSHOT, tmp_path / "empty", {})
    write_recording(SNAPSHOT, tmp_path / "deep" / "down" / "r", {})

    assert files(tmp_path / "empty") == files(tmp_path / "deep" / "down" / "r")


def test_what_is_there_is_never_mixed_with(tmp_path: Path):
    (tmp_path / "mine").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for place, words in (
        (tmp_path, "not empty"),
        (tmp_path / "mine", "no directory"),
        (tmp_path / "link", "no directory"),
    ):
        with pytest.raises(CannotWrite, match=words):
            write_recording(SNAPSHOT, place, {})
    assert files(tmp_path) == ["mine"]


def test_a_recording_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "about", full)

    with pytest.raises(CannotWrite, match="no space left on device"):
        write_recording(SNAPSHOT, tmp_path / "r", {})
    assert list(tmp_path.iterdir()) == []


def hostile(name: str) -> Snapshot:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": name}}
    return replace(
        SNAPSHOT,
        objects=[KubeObject("v1", name, name, name, "", body)],
        logs=[ContainerLog(name, name, name, False, "x"), ContainerLog("shop", "a", name, False, "x")],
        metrics=[MetricAnswer("up", "instant", None, {"resultType": "vector", "result": []}, origin=name)]
        * 2,
    )


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..", "a/b", ".hidden", "a\nb", "x" * 400])
def test_no_name_of_a_hostile_cluster_leaves_the_directory(tmp_path: Path, name: str):
    missed = write_recording(hostile(name), tmp_path / "in" / "r", {"cluster": name})

    assert [str(path.name) for path in tmp_path.iterdir()] == ["in"]
    assert [str(path.name) for path in (tmp_path / "in").iterdir()] == ["r"]
    assert len(files(tmp_path / "in" / "r")) == 1 + 2 + 1
    assert all("its name is none a path may have" in gap.why for gap in missed)
    assert len(missed) == 2


def test_a_kind_with_many_objects_is_split_into_files_the_reader_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(write, "FILE_BYTES", 4_000)
    many = kube.snapshot(*(kube.pod(f"p-{n}") for n in range(20)))

    write_recording(many, tmp_path / "r", {})

    assert "objects/shop/pod-2.json" in files(tmp_path / "r")
    assert len(load_recording(tmp_path / "r").objects) == 20


def test_a_large_recording_is_not_indented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_recording(SNAPSHOT, tmp_path / "small", {})
    monkeypatch.setattr(write, "READABLE_BYTES", 10)
    write_recording(SNAPSHOT, tmp_path / "large", {})

    small, large = (
        len((tmp_path / name / "objects/shop/pod.json").read_bytes()) for name in ("small", "large")
    )
    assert large < small / 1.5
    assert (
        load_recording(tmp_path / "large").objects[0].body
        == load_recording(tmp_path / "small").objects[0].body
    )


def test_a_gap_that_cannot_be_meant_is_named_and_the_rest_is_read(tmp_path: Path):
    write_recording(SNAPSHOT, tmp_path / "r", {})
    (tmp_path / "r" / "snapshot.yaml").write_text('captured_at: "2026-11-18T09:30:00Z"\nnot_read: [7]\n')

    read = load_recording(tmp_path / "r")

    assert read.captured_at == kube.NOW
    assert [str(gap) for gap in read.not_read] == [
        "snapshot.yaml: has a not_read that is no list of {what, why}"
    ]
