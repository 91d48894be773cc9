from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from libs.auth.errors import UnreadableKeys
from libs.auth.keys import KeyRing
from libs.auth.reload import KeysWatch
from tests.support.keyrings import hs256_entry, ring

pytestmark = pytest.mark.requirement("HAPI-107", "HAPI-149")

PATH = Path("keys.yaml")


class File:
    """A keys file that changes when told to, and counts how often it is read."""

    def __init__(self) -> None:
        self.stamp = (1, 1, 1)
        self.content: object = ring(jwt=[hs256_entry(kid="first")])
        self.reads = 0

    def change(self, content: object) -> None:
        self.stamp = (self.stamp[0] + 1, 1, 1)
        self.content = content

    def load(self, _: Path):
        self.reads += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


class Lines:
    def __init__(self) -> None:
        self.written: list[tuple[str, str, dict]] = []

    def info(self, event, **fields):
        self.written.append(("info", event, fields))

    def error(self, event, **fields):
        self.written.append(("error", event, fields))


def never(_: KeyRing) -> None:
    pytest.fail("no new keys were expected")


@pytest.fixture
def file() -> File:
    return File()


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def watch(file, log, monkeypatch) -> KeysWatch:
    watch = KeysWatch(PATH, stamp=lambda _: file.stamp, load=file.load, start=lambda work: work())
    monkeypatch.setattr(watch, "_log", log)
    return watch


def test_an_unchanged_file_is_not_read_again(file, watch):
    watch.look(never)
    watch.look(never)

    assert file.reads == 0


def test_a_changed_file_gives_its_new_keys_once(file, watch):
    published: list[KeyRing] = []
    file.change(ring(jwt=[hs256_entry(kid="second")]))

    watch.look(published.append)
    watch.look(published.append)

    assert [list(one.tokens) for one in published] == [["second"]]


def test_a_bad_new_file_keeps_the_old_keys_and_says_why_once(file, watch, log):
    file.change(UnreadableKeys(PATH, "jwt.0.alg: not allowed"))

    watch.look(never)
    watch.look(never)

    assert log.written == [
        (
            "error",
            "keys-file-refused",
            {"path": "keys.yaml", "reason": "jwt.0.alg: not allowed", "kept": "old keys"},
        )
    ]


def test_a_mended_file_is_taken_after_a_bad_one(file, watch):
    published: list[KeyRing] = []
    file.change(UnreadableKeys(PATH, "broken"))
    watch.look(published.append)
    file.change(ring(jwt=[hs256_entry(kid="mended")]))

    watch.look(published.append)

    assert [list(one.tokens) for one in published] == [["mended"]]


def test_reading_happens_beside_the_request_and_not_in_it(file):
    waiting: list[Callable[[], None]] = []
    watch = KeysWatch(PATH, stamp=lambda _: file.stamp, load=file.load, start=waiting.append)
    file.change(ring())

    watch.look(never)

    assert file.reads == 0
    assert len(waiting) == 1
