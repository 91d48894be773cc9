"""Who is heard on the alert's way, in which words, and about whom."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from services.context_api.domain.voices import Voice, voices
from tests.support.kube import crashing, deployment, event, kube, log, pods_in, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def heard(*objects: Any, about: Any = None, logs: Any = ()) -> list[Voice]:
    taken = snapshot(*objects, logs=logs)
    target = None
    if about is not None:
        wanted = kube(about)
        target = taken.get(wanted.kind, wanted.namespace, wanted.name)
    scene = Scene(taken, target=target)
    return voices(scene, observe(scene))


def failing(name: str, namespace: str = "shop") -> list[Any]:
    return deployment(name, namespace, statuses=[crashing()], unready_since=20)


def test_whoever_fails_is_heard_with_its_log_and_about_the_service_it_complains_of():
    api = failing("api")
    store = deployment("store")
    logs = [log(p, "error: dial tcp: connect to http://store:80: connection refused") for p in pods_in(api)]

    (found,) = [
        v for v in heard(api, store, service("store"), logs=logs, about=api[0]) if v.speaker.name == "api"
    ]

    assert "connection refused" in found.words
    assert "store" in {one.name for one in found.called}
    assert found.told


def test_a_warning_about_its_pods_counts_as_said():
    api = failing("api")
    warning = event(pods_in(api)[0], "FailedMount", "MountVolume.SetUp failed for volume 'cfg'")

    found = heard(api, warning)

    assert any("MountVolume.SetUp failed" in voice.words for voice in found)


def test_who_is_well_is_not_heard():
    assert heard(deployment("api")) == []


def test_a_failure_elsewhere_without_a_way_from_the_alert_is_not_heard():
    api = failing("api")
    other = failing("ledger", "depot")

    assert {voice.speaker.namespace for voice in heard(api, other, about=api[0])} == {"shop"}
