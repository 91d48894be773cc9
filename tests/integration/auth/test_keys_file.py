"""The keys file on a real disk: made, read, replaced, spoiled."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from libs.auth import Authenticator, AuthSettings, KeyRing, NotAuthenticated, UnreadableKeys, new_keys_file
from libs.auth.reload import KeysWatch, stamp_of
from tests.support.keyrings import api_key_entry, document

pytestmark = pytest.mark.requirement("HAPI-107", "HAPI-109", "HAPI-149")


def recognised(door: Authenticator, key: str) -> bool:
    try:
        door.authenticate({b"x-api-key": key.encode()}, None)
    except NotAuthenticated:
        return False
    return True


def test_only_its_owner_can_read_a_new_keys_file(tmp_path: Path):
    path = tmp_path / "keys.yaml"
    before = os.umask(0)
    try:
        new_keys_file(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.yaml"]


def test_a_service_starts_with_a_new_keys_file(tmp_path: Path):
    path = tmp_path / "keys.yaml"
    keys = new_keys_file(path)

    door = Authenticator.from_settings(AuthSettings(auth_keys_file=path))

    assert recognised(door, keys.operator_key)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch):
    path = tmp_path / "keys.yaml"
    new_keys_file(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        new_keys_file(path)

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.yaml"]


@pytest.mark.parametrize("what", ["missing", "folder", "huge", "broken"])
def test_a_file_that_cannot_be_used_is_named_with_its_reason(tmp_path: Path, what: str):
    path = tmp_path / "keys.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "huge":
        path.write_bytes(b"#" * 1_000_001)
    elif what == "broken":
        path.write_text("pepper: short")

    with pytest.raises(UnreadableKeys) as refused:
        KeyRing.load(path)

    assert str(path) in str(refused.value)
    assert refused.value.reason


def test_replaced_keys_are_taken_and_spoiled_ones_are_not(tmp_path: Path):
    path = tmp_path / "keys.yaml"
    path.write_bytes(document(api_keys=[api_key_entry("first")]))
    threads: list[threading.Thread] = []

    def start(work):
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    watch = KeysWatch(path, start=start)
    door = Authenticator(KeyRing.load(path), watch=watch)

    def replace(content: bytes) -> None:
        beside = tmp_path / "next"
        beside.write_bytes(content)
        os.replace(beside, path)
        watch.look(door.use)
        for thread in threads:
            thread.join(10)

    replace(document(api_keys=[api_key_entry("second")]))
    assert (recognised(door, "first"), recognised(door, "second")) == (False, True)

    replace(b"pepper: short")
    assert recognised(door, "second")

    path.unlink()
    watch.look(door.use)
    assert recognised(door, "second")

    replace(document(api_keys=[api_key_entry("third")]))
    assert recognised(door, "third")


def test_a_kubernetes_secret_swapped_by_its_link_is_noticed(tmp_path: Path):
    for name in ("..one", "..two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.yaml").write_bytes(document())
        os.utime(tmp_path / name / "keys.yaml", (1, 1))
    data = tmp_path / "..data"
    data.symlink_to("..one")
    path = tmp_path / "..data" / "keys.yaml"
    before = stamp_of(path)

    data.unlink()
    data.symlink_to("..two")

    assert stamp_of(path) != before
