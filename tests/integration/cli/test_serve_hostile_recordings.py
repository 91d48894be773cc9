"""Recordings that mean harm or are broken, served: every kind is listed whole, in every form, and nothing falls over."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cli.serve_recording.answers import Desk, Request
from cli.serve_recording.index import index_of
from services.context_api.adapters.recording import UnreadableRecording, load_recording
from services.context_api.domain.snapshot import Snapshot
from tests.incidents.hostile import WOUNDS, draft
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

BASE = ROOT / "examples" / "incidents" / "orders-database-config"
SOUND = sorted((ROOT / "tests" / "incidents" / "recordings").iterdir())
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def ask(desk: Desk, path: str, query: str = "", accept: str = "") -> Any:
    return json.loads(b"".join(desk.answer(Request("GET", path.encode(), query.encode(), accept)).chunks))


def look_everywhere(taken: Snapshot) -> int:
    """How many objects the API gives out; each list in every form, and the first object of each by its name."""
    index = index_of(taken)
    desk, count = Desk(index, "127.0.0.1:1"), 0
    for one in index.resources:
        path = (
            f"/apis/{one.group}/{one.version}/{one.plural}"
            if one.group
            else f"/api/{one.version}/{one.plural}"
        )
        items = ask(desk, path)["items"]
        count += len(items)
        assert len(ask(desk, path, accept=TABLE)["rows"]) == len(items)
        if items:
            meta = items[0]["metadata"]
            place = (
                path.replace(one.plural, f"namespaces/{meta['namespace']}/{one.plural}")
                if one.namespaced and meta.get("namespace")
                else path
            )
            if not one.namespaced or meta.get("namespace"):
                assert ask(desk, f"{place}/{quote(meta['name'], safe='')}") == items[0]
    for root in ("/", "/version", "/api", "/apis", "/api/v1"):
        ask(desk, root)
    return count


@pytest.mark.parametrize("wound", WOUNDS)
def test_a_wounded_recording_is_served_whole(wound: str, tmp_path: Path):
    taken = load_recording(BASE)
    for seed in range(2):
        dice, made = random.Random(seed), draft(taken)
        WOUNDS[wound](dice, made)
        folder = tmp_path / str(seed)
        folder.mkdir()
        made.write(folder, dice)
        try:
            read = load_recording(folder)
        except UnreadableRecording:
            continue

        core_twins = sum(1 for event in read.events if event.group)
        named = {item.namespace for item in (*read.objects, *read.events) if item.namespace} | {
            log.namespace for log in read.logs
        }
        told_of = len(named - {item.name for item in read.of_kind("Namespace") if not item.group})
        assert look_everywhere(read) == len(read.objects) + len(read.events) + core_twins + told_of


@pytest.mark.parametrize("folder", SOUND[::8], ids=lambda folder: folder.name)
def test_recordings_of_the_corpus_are_served_whole(folder: Path):
    read = load_recording(folder)
    named = {item.namespace for item in (*read.objects, *read.events) if item.namespace} | {
        log.namespace for log in read.logs
    }
    told_of = len(named - {item.name for item in read.of_kind("Namespace")})

    assert look_everywhere(read) == len(read.objects) + len(read.events) + told_of
