"""The file of mutes: what it may say, and what is said about one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.context_api.adapters.mutes import LARGEST, UnreadableMutes, read_mutes
from services.context_api.domain.mutes import Mute

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")

GOOD = """
mutes:
- target: Deployment/shop/legacy-*
  reason: RestartedOften
  until: 2026-12-31T00:00:00Z
  comment: known
- {target: Node/_cluster/worker-1, reason: "*", until: "2027-01-01T00:00:00+01:00"}
"""


def written(folder: Path, text: str, name: str = "mutes.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_each_entry_becomes_a_mute(tmp_path: Path):
    assert list(read_mutes(written(tmp_path, GOOD))) == [
        Mute("Deployment", "shop", "legacy-*", "RestartedOften", datetime(2026, 12, 31, tzinfo=UTC), "known"),
        Mute("Node", "_cluster", "worker-1", "*", datetime(2026, 12, 31, 23, tzinfo=UTC)),
    ]


def test_json_is_read_as_well(tmp_path: Path):
    assert read_mutes(written(tmp_path, '{"mutes": []}', "mutes.json")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mutes: [{target: web, reason: '*', until: 2026-12-31T00:00:00Z}]", "mutes.0.target"),
        ("mutes: [{target: A/b/c, reason: '*'}]", "mutes.0.until"),
        ("mutes: [{target: A/b/c, reason: '*', until: never}]", "mutes.0.until"),
        ("mutes: [{target: A/b/c, reason: '*', until: 2026-12-31T00:00:00Z, untill: x}]", "mutes.0.untill"),
        ("mutes: {}", "mutes"),
        ("- just: text", "mutes"),
        ("mutes: [", "YAML"),
        ("x" * (LARGEST + 1), "KiB"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_in_it(tmp_path: Path, text: str, words: str):
    with pytest.raises(UnreadableMutes, match=words):
        read_mutes(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UnreadableMutes, match=r"absent\.yaml: no such file"):
        read_mutes(tmp_path / "absent.yaml")
