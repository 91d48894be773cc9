"""Plays the incident and writes it down as a recording, to replace the one in `examples/incidents`.

The objects are what kubectl prints; this adds the authored parts and what the recording says about itself.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.cluster import Cluster
from tests.testbed.incidents.orders_database_config import evidence
from tests.testbed.incidents.orders_database_config.play import CAPTURED, CONTROLLERS, HERE, Play, Played

Body = dict[str, Any]
Say = Callable[[str], None]

KINDS = (
    "namespaces",
    "nodes",
    "persistentvolumes",
    "storageclasses.storage.k8s.io",
    "configmaps",
    "controllerrevisions.apps",
    "cronjobs.batch",
    "daemonsets.apps",
    "deployments.apps",
    "endpointslices.discovery.k8s.io",
    "events",
    "jobs.batch",
    "persistentvolumeclaims",
    "poddisruptionbudgets.policy",
    "pods",
    "replicasets.apps",
    "secrets",
    "serviceaccounts",
    "services",
    "statefulsets.apps",
)
"""What somebody collects who looks for a cause; roles and leases are left out."""

NOT_IN_THE_STORY = "(removed from this recording)"
"""In place of the test bed's own certificate, which means nothing elsewhere."""


def record(out: Path, *, say: Say = print) -> None:
    """Play it on a control plane of its own and put the recording in place of what is at `out`.

    Raises:
        ClusterFailed: the control plane or the play came to no end.
    """
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        fresh = Path(place) / "recording"
        with Cluster(controllers=CONTROLLERS) as cluster:
            say(f"Playing on {cluster.url} …")
            played = Play(cluster, say=say).run()
            read(cluster, fresh)
        finish(played, fresh)
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
    say(f"{out} is written: {time.monotonic() - began:.0f} s")


def read(cluster: Cluster, out: Path) -> None:
    """As `kubectl get -o yaml --show-managed-fields` prints it: one List a kind and namespace."""
    for kind in KINDS:
        found = yaml.load(
            cluster.kubectl("get", kind, "-A", "-o", "yaml", "--show-managed-fields"), yaml.CSafeLoader
        )
        for namespace, items in _by_namespace(found["items"]):
            folder = out / "objects" / namespace
            folder.mkdir(parents=True, exist_ok=True)
            document = {**found, "items": items}
            (folder / f"{kind.partition('.')[0]}.yaml").write_text(
                yaml.dump(document, Dumper=yaml.CSafeDumper), "utf-8"
            )


def _by_namespace(items: Sequence[Body]) -> Iterator[tuple[str, Sequence[Body]]]:
    namespaces = {item["metadata"].get("namespace", "_cluster") for item in items}
    for namespace in sorted(namespaces):
        yield (
            namespace,
            [item for item in items if item["metadata"].get("namespace", "_cluster") == namespace],
        )


def finish(played: Played, recording: Path) -> None:
    """Everything but the objects."""
    for file in recording.rglob("*"):
        # The recorder keeps a cluster to its owner's eyes; this one belongs to everybody.
        file.chmod(0o755 if file.is_dir() else 0o644)
    recording.chmod(0o755)
    _leave_out_the_certificate(recording)
    evidence.add(played, recording)
    facts = {
        "captured_at": CAPTURED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "played_by": "python -m tests.testbed incident",
        "authored": list(evidence.AUTHORED),
    }
    (recording / "snapshot.yaml").write_text(yaml.safe_dump(facts, sort_keys=False), "utf-8")
    text = (HERE / "README.md").read_text("utf-8").replace("{edited}", edited_at(recording)[11:19])
    (recording / "README.md").write_text(text, "utf-8")


def edited_at(recording: Path) -> str:
    """When the API server saw the edit, as it wrote it down. kubectl takes a moment."""
    items = yaml.load(
        (recording / "objects" / "data" / "configmaps.yaml").read_text("utf-8"), yaml.CSafeLoader
    )["items"]
    (config,) = (item for item in items if item["metadata"]["name"] == "orders-db-config")
    return next(
        str(f["time"]) for f in config["metadata"]["managedFields"] if f["manager"] == "kubectl-patch"
    )


def _leave_out_the_certificate(recording: Path) -> None:
    for file in recording.glob("objects/*/configmap*"):
        document = yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)
        for item in document["items"]:
            if "ca.crt" in item.get("data", {}):
                item["data"]["ca.crt"] = NOT_IN_THE_STORY
        file.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper), "utf-8")
