"""Volumes that cannot be attached: errors of the CSI driver, a driver missing on a node.

Sees VolumeAttachments with errors, and drivers a CSINode does not list while pods there wait for one of their volumes.
Volumes that are still another claim's, and classes, are told by `storage`.
Pods that wait for a volume are told by `volume_mount`, unbound claims by `pvc_pending`. Cannot see the storage itself.

Rests on: kubernetes.io/docs, "Persistent Volumes" (reclaiming, phase), "Storage Classes" (default);
kubernetes-csi.github.io/docs, "CSINode Object"; kubernetes.io/docs/reference, "VolumeAttachment".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import (
    at,
    containers,
    entries,
    listing,
    mapping,
    pod_spec,
    strings,
    text,
)
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import users_of_claim
from services.context_api.domain.wording import name_of

NAME = "volume_attachment"
REGISTERING = timedelta(minutes=2)
"""A guess; a driver's pod has to be pulled and started before its node lists it."""

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per volume, node or class that is why a claim or a pod waits."""
    for attachment in scene.snapshot.of_kind("VolumeAttachment"):
        yield from _attachment(scene, attachment)
    yield from _drivers(scene)


def _attachment(scene: Scene, attachment: KubeObject) -> Iterator[Observation]:
    for field, doing in (("attachError", "attached to"), ("detachError", "detached from")):
        error = mapping(attachment.status.get(field))
        message = text(error.get("message"))
        volume = scene.graph.get(
            "PersistentVolume", None, text(at(attachment.spec, "source", "persistentVolumeName"))
        )
        if (
            not message
            or volume is None
            or (field == "attachError" and attachment.status.get("attached") is True)
        ):
            continue
        driver, node = text(attachment.spec.get("attacher")), text(attachment.spec.get("nodeName"))
        words = f"{name_of(volume)} cannot be {doing} node {node}: driver {driver} says `{cut(redact(message), 260)}`"
        yield _observation(
            volume,
            "VolumeAttachFailed" if field == "attachError" else "VolumeDetachFailed",
            words,
            0.85,
            evidence.field(
                attachment,
                f"status.{field}",
                {"message": redact(cut(message, 600)), "node": node},
                cut(words, 400),
            ),
            parse_time(error.get("time")),
            blames=tuple(Blame(d, 0.85, f"it is driver {driver}") for d in _serving(scene, driver)),
            explains=tuple(
                Explains(t, 0.92, f"its volume cannot be {doing} {node}") for t in _users(scene, volume)
            ),
        )


def _users(scene: Scene, volume: KubeObject) -> list[KubeObject]:
    """Top owners of pods that use the claim a volume is bound to."""
    claim = mapping(volume.spec.get("claimRef"))
    return users_of_claim(scene.graph, text(claim.get("namespace")), text(claim.get("name")))


def _serving(scene: Scene, driver: str) -> list[KubeObject]:
    """Workloads whose containers name the driver."""
    found: dict[int, KubeObject] = {}
    for workload in scene.graph.workloads if "." in driver else ():
        for container in containers(pod_spec(workload)):
            words = [
                *strings(container.get("args")),
                *strings(container.get("command")),
                *(text(e.get("value")) for e in entries(container.get("env"))),
            ]
            if any(driver in word for word in words):
                found[id(scene.graph.top(workload))] = scene.graph.top(workload)
    return list(found.values())


def _drivers(scene: Scene) -> Iterator[Observation]:
    """A driver that is not registered on a node where a pod waits for one of its volumes."""
    listed = {
        n.name: {text(d.get("name")) for d in entries(n.spec.get("drivers"))}
        for n in scene.snapshot.of_kind("CSINode")
    }
    told: set[tuple[str, str]] = set()
    for pod, volume in _waited_for(scene):
        node, driver = text(pod.spec.get("nodeName")), text(at(volume.spec, "csi", "driver"))
        if driver and node in listed and driver not in listed[node] and (driver, node) not in told:
            told.add((driver, node))
            others = sorted(n for n, d in listed.items() if driver in d)
            yield _missing_driver(scene, pod, volume, node, driver, others)


def _waited_for(scene: Scene) -> Iterator[tuple[KubeObject, KubeObject]]:
    """(pod, volume) of placed pods that have not started."""
    for pod in scene.graph.pods:
        if pod.status.get("phase") != "Pending" or _young(scene, pod):
            continue
        for reference in references(pod.spec):
            if reference.kind != "PersistentVolumeClaim":
                continue
            claim = scene.graph.get("PersistentVolumeClaim", pod.namespace, reference.name)
            name = text(claim.spec.get("volumeName")) if claim is not None else ""
            volume = scene.graph.get("PersistentVolume", None, name) if name else None
            if volume is not None:
                yield pod, volume


def _young(scene: Scene, pod: KubeObject) -> bool:
    """Drivers register on a new node in their first moments."""
    return pod.created_at is not None and scene.now - pod.created_at < REGISTERING


def _missing_driver(
    scene: Scene, pod: KubeObject, volume: KubeObject, node: str, driver: str, others: list[str]
) -> Observation:
    serving = _serving(scene, driver)
    serving = [w for w in serving if w.kind == "DaemonSet"] or serving
    here = scene.graph.get("Node", None, node)
    culprit = next(iter(serving), None) or (here if others and here is not None else volume)
    where = f"it is on {listing(others)}" if others else "it is on no node"
    words = f"CSI driver {driver} is not registered on node {node} ({where}), so pods there cannot mount its volumes"
    words += "" if serving else "; no workload that was recorded serves it"
    return _observation(
        culprit,
        "CsiDriverNotRegistered",
        words,
        0.86,
        evidence.field(
            here or pod, "CSINode spec.drivers", {"node": node, "driver": driver, "on": others[:10]}, words
        ),
        None,
        explains=(Explains(scene.graph.top(pod), 0.92, f"driver {driver} is not on node {node}"),),
    )


def _observation(
    about: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    fact: evidence.Fact,
    onset: datetime | None,
    *,
    blames: tuple[Blame, ...] = (),
    explains: tuple[Explains, ...] = (),
    latent: bool = False,
) -> Observation:
    return Observation(
        about=about,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical if explains else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(fact,),
        basis=("the storage objects' own status",),
        onset=onset,
        remediation=remedies.look(
            about, f"Look at {name_of(about)} before anything is deleted: a volume may hold the only copy."
        ),
        blames=blames,
        explains=explains,
        latent=latent,
    )
