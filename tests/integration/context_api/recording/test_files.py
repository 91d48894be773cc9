"""What a directory may do to whoever walks it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.files import files_in, open_regular, printable
from services.context_api.adapters.recording.limits import Limits
from services.context_api.adapters.recording.notes import Notes

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "HAPI-099")


def walk(root: Path, limits: Limits | None = None) -> tuple[list[str], dict[str, str]]:
    notes = Notes(100)
    paths = [found.path for found in files_in(root, limits or Limits(), notes)]
    return paths, {note.what: note.why for note in notes.entries()}


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_come_in_the_order_of_their_names(tmp_path: Path):
    for name in ("b/2.yaml", "a.yaml", "b/1.yaml", "c/d/e.yaml"):
        write(tmp_path / name)

    assert walk(tmp_path) == (["a.yaml", "b/1.yaml", "b/2.yaml", "c/d/e.yaml"], {})


def test_hidden_files_are_left_out(tmp_path: Path):
    write(tmp_path / ".git" / "config.yaml")
    write(tmp_path / ".a.yaml")

    assert walk(tmp_path) == ([], {})


def test_a_link_out_of_the_recording_is_named_and_not_followed(tmp_path: Path):
    outside = write(tmp_path / "outside" / "secret.yaml")
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "file.yaml").symlink_to(outside)
    (recording / "folder").symlink_to(outside.parent)
    (recording / "root").symlink_to("/")

    paths, notes = walk(recording)

    assert paths == []
    assert notes == dict.fromkeys(("file.yaml", "folder", "root"), "is a link that leaves the recording")


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path):
    outside = write(tmp_path / "recording-2" / "secret.yaml")
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "a.yaml").symlink_to(outside)

    assert walk(recording)[0] == []


def test_a_loop_of_links_ends(tmp_path: Path):
    write(tmp_path / "a" / "pods.yaml")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "x.yaml").symlink_to("y.yaml")
    (tmp_path / "y.yaml").symlink_to("x.yaml")

    paths, notes = walk(tmp_path)

    assert paths == ["a/pods.yaml"]
    assert set(notes) == {"x.yaml", "y.yaml"}


def test_a_mounted_config_map_is_read_through_its_links(tmp_path: Path):
    write(tmp_path / "..2026_01_01" / "pods.yaml")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "pods.yaml").symlink_to("..data/pods.yaml")

    assert walk(tmp_path) == (["pods.yaml"], {})


def test_a_recording_may_itself_be_reached_by_a_link(tmp_path: Path):
    write(tmp_path / "real" / "pods.yaml")
    (tmp_path / "link").symlink_to("real")

    assert walk(tmp_path / "link") == (["pods.yaml"], {})


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pods.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.yaml"))

        paths, notes = walk(tmp_path)

    assert paths == []
    assert set(notes) == {"pods.yaml", "s.yaml"}


def test_a_file_exchanged_for_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pods.yaml")

    with pytest.raises(NotUsable):
        open_regular(str(tmp_path / "pods.yaml"))


def test_a_file_exchanged_for_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "pods.yaml").symlink_to(write(tmp_path / "other"))

    with pytest.raises(OSError):
        open_regular(str(tmp_path / "pods.yaml"))


def test_the_number_of_files_is_bounded(tmp_path: Path):
    for number in range(7):
        write(tmp_path / f"{number}.yaml")

    paths, notes = walk(tmp_path, Limits(files=5))

    assert len(paths) == 5
    assert any("more than 5 files" in reason for reason in notes.values())


def test_the_depth_of_directories_is_bounded(tmp_path: Path):
    write(tmp_path / "a/b/c/d/e/pods.yaml")

    paths, notes = walk(tmp_path, Limits(directory_depth=3))

    assert paths == []
    assert notes == {"a/b/c/d": "lies deeper than 3 directories"}


def test_names_are_made_printable(tmp_path: Path):
    directory = os.fsencode(tmp_path)
    for name in (b"\x1b[31mred.yaml", b"\xff\xfe.yaml"):
        with open(os.path.join(directory, name), "wb"):
            pass

    paths, _ = walk(tmp_path)

    assert sorted(paths) == sorted(["\ufffd[31mred.yaml", "??.yaml"])
    assert printable("a/\u202ekey.yaml\n") == "a/\ufffdkey.yaml\ufffd"
