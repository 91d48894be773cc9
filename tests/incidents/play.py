"""Plays incidents of the corpus on the test bed and writes their recordings anew.

The objects are read by the product's own `./kubernaut record`. Left out is what every cluster has and no incident is
about: the API server's own roles, flow control and leases, and this machine's certificate.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.incidents.chronicle import write_extras
from tests.incidents.corpus import Entry
from tests.incidents.incident import RECORDINGS
from tests.incidents.stage import CONTROLLERS, Stage
from tests.testbed.cluster import Cluster, ClusterFailed
from tests.testbed.incidents.orders_database_config.evidence import fingerprint
from tests.testbed.incidents.orders_database_config.record import NOT_IN_THE_STORY, read

Body = dict[str, Any]
Say = Callable[[str], None]

COMMON = ("flowschema.", "prioritylevelconfiguration.", "lease.", "servicecidr.", "ipaddress.")
"""Files of kinds that are the same in every cluster."""

_POD = re.compile(r"\{pod:([^/}]+)/([^}]*)\}")


def perform(entry: Entry, *, say: Say = print, out: Path | None = None) -> Path:
    """Play one incident and put its recording in place of the one that is there.

    Raises:
        ClusterFailed: the control plane or the play came to no end.
    """
    began = time.monotonic()
    place = out or entry.recording
    RECORDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{entry.name}-", dir=place.parent) as workshop:
        fresh = Path(workshop) / "recording"
        with Cluster(controllers=CONTROLLERS, advertise="10.20.0.10") as cluster:
            stage = Stage(cluster)
            try:
                entry.play(stage)
                if stage.fired is None:
                    raise ClusterFailed(f"{entry.name}: no alert was fired")
                stage.rest()
                captured = stage.now.replace(microsecond=0)
                # Set back to the story's date, everything would seem overdue to a controller.
                cluster.halt()
                stage.clock.settle_on_calendar()
            finally:
                stage.clock.close()
            read(cluster, fresh)
        _finish(entry, stage, fresh, captured.strftime("%Y-%m-%dT%H:%M:%SZ"))
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    say(f"{entry.name}: {time.monotonic() - began:.0f} s")
    return place


def _finish(entry: Entry, stage: Stage, recording: Path, captured_at: str) -> None:
    for file in recording.rglob("*"):
        # The recorder keeps a cluster to its owner's eyes; this one belongs to everybody.
        file.chmod(0o755 if file.is_dir() else 0o644)
    recording.chmod(0o755)
    _leave_out_what_all_have(recording)
    write_extras(stage, recording)
    about = recording / "snapshot.yaml"
    facts: Body = yaml.safe_load(about.read_text("utf-8"))
    # The logs that no kubelet had are authored, where the story has any.
    gaps = [gap for gap in facts.pop("not_read") if "log" not in gap["what"].split(" of ")[0]]
    authored = ["elapsed-time", "kubelet-status", "kubelet-events", *entry.incident.authored]
    authored += [name for name, there in (("logs", stage.logs), ("metrics", stage.metrics)) if there]
    facts |= {
        "captured_at": captured_at,
        "played_by": f"python -m tests.incidents play {entry.name}",
        "authored": [*authored, "alert"],
        "not_read": gaps,
    }
    about.write_text(yaml.safe_dump(facts, sort_keys=False), "utf-8")
    assert stage.fired is not None
    alert = _alert(entry, names_of(recording), stage.fired.strftime("%Y-%m-%dT%H:%M:%SZ"))
    (recording / "alert.json").write_text(json.dumps(alert, indent=2) + "\n", "utf-8")


def _leave_out_what_all_have(recording: Path) -> None:
    for file in sorted(recording.glob("objects/*/*.json")):
        document = json.loads(file.read_text("utf-8"))
        kept = [] if file.name.startswith(COMMON) else [o for o in document["items"] if not _common(o)]
        for item in kept:
            if "ca.crt" in (item.get("data") or {}):
                item["data"]["ca.crt"] = NOT_IN_THE_STORY
        if kept:
            file.write_text(
                json.dumps({**document, "items": kept}, ensure_ascii=False, indent=1) + "\n", "utf-8"
            )
        else:
            file.unlink()


def _common(item: Body) -> bool:
    meta = item["metadata"]
    if item["kind"] == "APIService":
        return "service" not in item["spec"]  # the API server's own groups
    bootstrapped = meta.get("labels", {}).get("kubernetes.io/bootstrapping") == "rbac-defaults"
    machinery = meta.get("namespace") in ("kube-node-lease", "kube-public") or meta["name"] in (
        "extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking",
    )  # fmt: skip
    controllers = item["kind"] == "ServiceAccount" and meta.get("namespace") == "kube-system"
    return bootstrapped or machinery or (controllers and meta["name"].endswith("-controller"))


def names_of(recording: Path) -> Mapping[str, list[str]]:
    """Namespace -> names of its pods, in order."""
    found: dict[str, list[str]] = {}
    for file in recording.glob("objects/*/pod.json"):
        for item in json.loads(file.read_text("utf-8"))["items"]:
            found.setdefault(item["metadata"]["namespace"], []).append(item["metadata"]["name"])
    return {namespace: sorted(names) for namespace, names in found.items()}


def filled(text: str, pods: Mapping[str, list[str]]) -> str:
    """Put pods' names in for `{pod:NAMESPACE/PREFIX}`."""

    def name(found: re.Match[str]) -> str:
        return next(name for name in pods.get(found[1], []) if name.startswith(found[2]))

    return _POD.sub(name, text)


def _alert(entry: Entry, pods: Mapping[str, list[str]], starts_at: str) -> Body:
    """The webhook body of Alertmanager 0.34."""
    labels = {name: filled(value, pods) for name, value in entry.incident.labels.items()}
    labels = {"severity": "critical", "prometheus": "monitoring/k8s", **labels}
    annotations = {k: filled(v, pods) for k, v in (entry.incident.annotations or {}).items()}
    return {
        "receiver": "kubernaut",
        "status": "firing",
        "alerts": [
            {
                "status": "firing", "labels": labels, "annotations": annotations, "startsAt": starts_at,
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus.example:9090/graph",
                "fingerprint": fingerprint(labels),
            }
        ],
        "notification_reason": "first notification", "groupLabels": {"alertname": labels["alertname"]},
        "commonLabels": labels, "commonAnnotations": annotations, "routeLabels": {},
        "externalURL": "http://alertmanager.example:9093", "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0,
    }  # fmt: skip
