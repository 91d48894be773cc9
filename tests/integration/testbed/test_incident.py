"""The bundled incident can be played again: other uids and pods, the same story and the same cause."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.source import ROOT
from tests.testbed.incidents.orders_database_config.evidence import AUTHORED, fingerprint
from tests.testbed.incidents.orders_database_config.record import edited_at, record

pytestmark = [
    pytest.mark.needs("testbed"),
    pytest.mark.requirement("INT-BR-TEST-005", "INT-BR-TEST-009", "API-BR-CAPI-001"),
]

BUNDLED = ROOT / "examples" / "incidents" / "orders-database-config"
CAPTURED = "2026-11-18T09:24:10Z"
CAUSE = ("ConfigMap", "data", "orders-db-config")
STAMP = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
MADE_UP = re.compile(r"(-[a-z0-9]{8,10})?-[a-z0-9]{5}$")
"""What controllers add to the names of ReplicaSets' pods, EndpointSlices and the like."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("incident") / "recording"
    record(out, say=lambda _: None)
    return out


def objects(recording: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(recording.glob("objects/*/*.json")):
        yield from json.loads(file.read_text("utf-8"))["items"]


def triage(recording: Path, *arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(ROOT / "kubernaut"), "triage", str(recording), *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def first(answer: dict[str, Any]) -> tuple[str, str, str]:
    best = answer["ranked"][0]
    return best["kind"], best["namespace"], best["name"]


def workloads(recording: Path) -> set[tuple[str, str, str]]:
    kinds = {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "CronJob",
        "Job",
        "Service",
        "ConfigMap",
        "Secret",
        "Node",
        "Namespace",
    }
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in objects(recording)
        if one["kind"] in kinds
    }


def test_the_edited_configmap_is_named_first_with_and_without_the_alert(played: Path):
    answer = triage(played, "--alert", played / "alert.json")

    assert first(answer) == CAUSE
    assert answer["target"].startswith("Pod/shop/checkout-")
    assert first(triage(played)) == CAUSE


def test_it_is_the_same_story_as_the_bundled_one(played: Path):
    assert workloads(played) == workloads(BUNDLED)
    assert triage(played)["ranked"][0]["reason"] == triage(BUNDLED)["ranked"][0]["reason"]


@pytest.mark.parametrize("which", ["played", "bundled"])
def test_nothing_is_dated_after_the_recording_was_taken(which: str, request: pytest.FixtureRequest):
    recording = request.getfixturevalue("played") if which == "played" else BUNDLED

    late = {
        f"{file.relative_to(recording)}: {stamp}"
        for file in recording.rglob("*")
        if file.is_file()
        for stamp in STAMP.findall(file.read_text("utf-8"))
        if stamp > CAPTURED[:-1]
    }

    assert late == set()
    assert edited_at(recording).startswith("2026-11-18T09:05:")


def test_controllers_and_kubectl_did_the_work_themselves(played: Path):
    managers = {
        (one["kind"], entry["manager"])
        for one in objects(played)
        for entry in one["metadata"].get("managedFields", [])
    }

    assert {
        ("ConfigMap", "kubectl-edit"),
        ("Deployment", "kubectl-client-side-apply"),
        ("Deployment", "kubectl-set"),
        ("ReplicaSet", "kube-controller-manager"),
        ("Pod", "kube-controller-manager"),
        ("Pod", "kubelet"),
        ("EndpointSlice", "kube-controller-manager"),
    } <= managers


def test_it_says_what_is_authored_and_the_page_explains_each(played: Path):
    facts = yaml.safe_load((played / "snapshot.yaml").read_text("utf-8"))
    page = (played / "README.md").read_text("utf-8")

    assert facts["captured_at"] == CAPTURED
    assert facts["authored"] == list(AUTHORED)
    assert [part for part in AUTHORED if f"| `{part}` |" not in page] == []
    assert "{" not in page


def test_nothing_of_this_machine_is_in_it(played: Path):
    text = "".join(file.read_text("utf-8") for file in played.rglob("*") if file.is_file())

    assert re.findall(r"BEGIN CERTIFICATE|127\.0\.0\.1:\d+|python-httpx|kwok", text) == []


def test_the_alert_has_the_fingerprint_that_alertmanager_gives_it():
    """Of a body that Alertmanager 0.34 sent."""
    bodies = sorted((ROOT / "tests" / "fixtures" / "alertmanager").rglob("*.json"))
    alerts = [alert for body in bodies for alert in json.loads(body.read_text("utf-8")).get("alerts", [])]

    assert alerts
    assert [alert["fingerprint"] for alert in alerts] == [fingerprint(alert["labels"]) for alert in alerts]
