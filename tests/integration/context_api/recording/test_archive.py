"""Archives, honest and not."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from pathlib import Path

import pytest

from services.context_api.adapters.recording import UnreadableRecording, load_recording
from services.context_api.adapters.recording.limits import MIB, Limits

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "HAPI-099", "API-BR-CAPI-006")

POD = (
    b"apiVersion: v1\nkind: Pod\nmetadata: {name: api-0, namespace: shop,"
    b" creationTimestamp: 2026-01-01T10:00:00Z}\n"
)
LOG = b"".join(b"line %06d\n" % n for n in range(50_000))


def archive(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "mode"), [("mg.tar", "w"), ("mg.tar.gz", "w:gz"), ("mg.tgz", "w:gz")])
def test_a_must_gather_is_read_from_its_archive(tmp_path: Path, name: str, mode: str):
    path = archive(
        tmp_path / name,
        {
            "mg/quay/namespaces/shop/pods/api-0/web/web/logs/current.log": LOG,
            "mg/quay/namespaces/shop/core/pods.yaml": POD,
            "mg/.git/x.yaml": b"kind: Hidden",
        },
        mode,
    )

    snapshot = load_recording(path)

    assert [str(item) for item in snapshot.objects] == ["Pod/shop/api-0"]
    assert snapshot.logs[0].text.endswith("line 049999\n")
    assert snapshot.logs[0].truncated
    assert snapshot.not_read == ()


def test_nothing_is_written_wherever_a_name_points(tmp_path: Path):
    path = archive(tmp_path / "a.tar", {"../../evil.yaml": POD, "/etc/evil.yaml": POD}, "w")

    before = sorted(tmp_path.parent.iterdir())
    snapshot = load_recording(path)

    assert snapshot.objects[0].origin == "/etc/evil.yaml"
    assert sorted(tmp_path.parent.iterdir()) == before
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_devices_in_an_archive_are_passed_over(tmp_path: Path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for kind, name in (
            (tarfile.SYMTYPE, "link.yaml"),
            (tarfile.LNKTYPE, "hard.yaml"),
            (tarfile.CHRTYPE, "dev.yaml"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("pods.yaml")
        info.size = len(POD)
        tar.addfile(info, io.BytesIO(POD))

    assert [item.name for item in load_recording(path).objects] == ["api-0"]


def test_a_bomb_is_stopped_at_its_ratio(tmp_path: Path):
    path = tmp_path / "bomb.tar.gz"
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        info = tarfile.TarInfo("zeros.bin")
        info.size = 64 * MIB
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    path.write_bytes(gzip.compress(inner.getvalue()))
    start = time.process_time()

    with pytest.raises(UnreadableRecording):
        load_recording(path)

    assert time.process_time() - start < 1


def test_an_archive_over_the_limit_is_read_up_to_it(tmp_path: Path):
    path = archive(tmp_path / "a.tar", {"pods.yaml": POD, "big.bin": bytes(3 * MIB), "late.yaml": POD}, "w")

    snapshot = load_recording(path, Limits(archive_bytes=2 * MIB))

    assert len(snapshot.objects) == 1
    assert any(
        "over the limit of 2 MiB: 2 files of it were looked at" in note.why for note in snapshot.not_read
    )


def test_a_header_that_claims_gigabytes_is_not_believed(tmp_path: Path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1024 * MIB
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf() + bytes(10240))

    with pytest.raises(UnreadableRecording, match="megabytes"):
        load_recording(path)


def test_the_number_of_files_of_an_archive_is_bounded(tmp_path: Path):
    path = archive(tmp_path / "a.tar", {f"{n}.yaml": POD for n in range(9)}, "w")

    snapshot = load_recording(path, Limits(files=5))

    assert any("more than 5 files" in note.why for note in snapshot.not_read)


@pytest.mark.parametrize(
    "content", [b"", b"no archive at all" * 100, gzip.compress(b"no tar" * 200), b"\x1f\x8b\x08broken"]
)
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, name: str):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnreadableRecording):
        load_recording(path)


def test_an_archive_cut_in_the_middle_gives_what_it_has(tmp_path: Path):
    whole = archive(tmp_path / "a.tar", {"pods.yaml": POD, "big.yaml": POD * 1000}, "w")
    whole.write_bytes(whole.read_bytes()[:4096])

    snapshot = load_recording(whole)

    assert len(snapshot.objects) == 1
    assert snapshot.not_read
