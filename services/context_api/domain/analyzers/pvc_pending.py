"""Volume claims that do not bind: no such storage class, a provisioner that errs or is absent, no volume that fits.

Sees the claim's phase, its class, the provisioner's events and the volumes on offer; blames what it is filled from, too.
A claim of a WaitForFirstConsumer class without a scheduled consumer waits as designed and is no fault.
Cannot see the storage behind the provisioner.

Rests on: kubernetes.io/docs, "Persistent Volumes" (binding), "Storage Classes" (volumeBindingMode).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.events import Event
from services.context_api.domain.kube import (
    at,
    containers,
    entries,
    listing,
    pod_spec,
    quantity,
    strings,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of, size

NAME = "pvc_pending"
PROVISIONING = timedelta(minutes=3)
"""How long an external provisioner may take before its silence is a finding. A guess, above what clouds need."""

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per claim that is stuck or lost."""
    for claim in scene.graph.of_kind("PersistentVolumeClaim"):
        if claim.metadata.get("deletionTimestamp"):
            continue
        phase = text(claim.status.get("phase"))
        if phase == "Lost":
            yield _lost(scene, claim)
        elif phase == "Pending":
            yield from _pending(scene, claim)


def _lost(scene: Scene, claim: KubeObject) -> Observation:
    volume = text(claim.spec.get("volumeName"))
    return _observation(
        scene,
        claim,
        "VolumeLost",
        f"{name_of(claim)} lost its volume: PersistentVolume {volume} is gone",
        0.9,
        None,
        "phase Lost",
    )


def _pending(scene: Scene, claim: KubeObject) -> Iterator[Observation]:
    wanted = text(claim.spec.get("storageClassName"))
    storage = scene.graph.get("StorageClass", None, wanted) if wanted else None
    events = scene.graph.events_about(claim)
    failed = next(
        (
            e
            for e in reversed(events)
            if e.reason in ("ProvisioningFailed", "FailedBinding", "VolumeMismatch")
        ),
        None,
    )
    classes = sorted(s.name for s in scene.graph.of_kind("StorageClass"))
    known = f"; classes there are: {listing(classes, 6)}" if classes else ""
    if wanted and storage is None and (classes or (failed and "not found" in failed.message)):
        yield _observation(
            scene,
            claim,
            "StorageClassNotFound",
            f"{name_of(claim)} stays Pending: it asks for StorageClass `{wanted}`, which does not exist{known}",
            0.93,
            failed,
            f"StorageClass {wanted} is not among those recorded",
        )
    elif failed is not None and failed.reason == "ProvisioningFailed":
        yield _provisioner_failed(scene, claim, storage, failed)
    elif _waits_for_consumer(scene, claim, storage):
        return
    elif (
        not wanted
        and "storageClassName" not in claim.spec
        and classes
        and not any(s.annotations.get(_DEFAULT) == "true" for s in scene.graph.of_kind("StorageClass"))
    ):
        yield _observation(
            scene,
            claim,
            "NoDefaultStorageClass",
            f"{name_of(claim)} stays Pending: it names no StorageClass and none is the default{known}",
            0.88,
            failed,
            "no StorageClass carries the default annotation",
        )
    elif failed is not None:
        yield _observation(
            scene,
            claim,
            "NoMatchingVolume",
            f"{name_of(claim)} stays Pending: {quote(failed.message)}{_offers(scene, claim)}",
            0.85,
            failed,
            "the binder's event",
        )
    else:
        created = claim.created_at
        waiting = next((e for e in reversed(events) if e.reason == "ExternalProvisioning"), None)
        # Without an event only the class tells: one that binds at once should have bound by now.
        immediate = storage is not None and text(storage.body.get("volumeBindingMode")) in ("", "Immediate")
        if created is not None and scene.now - created > PROVISIONING and (waiting is not None or immediate):
            yield _silent_provisioner(scene, claim, storage, waiting)


def _waits_for_consumer(scene: Scene, claim: KubeObject, storage: KubeObject | None) -> bool:
    """Binding waits for a pod to be placed; the scheduler's trouble, if any, is told elsewhere."""
    mode = text(storage.body.get("volumeBindingMode")) if storage is not None else ""
    newest = scene.graph.events_about(claim)
    last = newest[-1].reason if newest else ""
    return mode == "WaitForFirstConsumer" or last in ("WaitForFirstConsumer", "WaitForPodScheduled")


def _provisioner_failed(
    scene: Scene, claim: KubeObject, storage: KubeObject | None, failed: Event
) -> Observation:
    provisioner = text(storage.body.get("provisioner")) if storage is not None else ""
    words = f"{name_of(claim)} stays Pending: provisioning fails"
    if storage is not None:
        words += f" (StorageClass {storage.name}, provisioner {provisioner})"
    words += f": `{quote(failed.message)}`"
    seen = _observation(
        scene, claim, "ProvisioningFailed", words, 0.88, failed, "the provisioner's own error", storage
    )
    return replace(seen, blames=(*seen.blames, *_drivers(scene, provisioner)))


def _silent_provisioner(
    scene: Scene, claim: KubeObject, storage: KubeObject | None, waiting: Event | None
) -> Observation:
    provisioner = text(storage.body.get("provisioner")) if storage is not None else "the external provisioner"
    driver = storage is not None and scene.graph.get("CSIDriver", None, provisioner)
    words = f"{name_of(claim)} stays Pending: nothing answers for provisioner `{provisioner}`"
    if not driver and any(True for _ in scene.snapshot.of_kind("CSIDriver")):
        words += ", and no CSIDriver of that name is installed"
    seen = _observation(
        scene,
        claim,
        "ProvisionerSilent",
        words,
        0.75,
        waiting,
        "the claim waits for an external provisioner",
        storage,
    )
    return replace(seen, blames=(*seen.blames, *_drivers(scene, provisioner)))


def _drivers(scene: Scene, provisioner: str) -> Iterator[Blame]:
    """Workloads whose containers name the provisioner."""
    for workload in scene.graph.workloads if "." in provisioner else ():
        for container in containers(pod_spec(workload)):
            words = [
                *strings(container.get("args")),
                *strings(container.get("command")),
                *(text(e.get("value")) for e in entries(container.get("env"))),
            ]
            if any(provisioner in word for word in words):
                yield Blame(
                    scene.graph.top(workload),
                    0.9,
                    f"its container {text(container.get('name'))} serves provisioner {provisioner}",
                )
                break


def _offers(scene: Scene, claim: KubeObject) -> str:
    """The free volumes, and why they do not fit."""
    free = [v for v in scene.graph.of_kind("PersistentVolume") if v.status.get("phase") == "Available"]
    if not free:
        return ""
    asked = text(at(claim.spec, "resources", "requests", "storage"))
    modes = ",".join(strings(claim.spec.get("accessModes")))
    shown = [
        f"{v.name} ({size(quantity(at(v.spec, 'capacity', 'storage')))}, {','.join(strings(v.spec.get('accessModes')))}, class `{text(v.spec.get('storageClassName'))}`)"
        for v in free[:3]
    ]
    return f"; it asks for {asked} {modes}, on offer: {', '.join(shown)}"


def _observation(
    scene: Scene,
    claim: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    event: Event | None,
    ground: str,
    storage: KubeObject | None = None,
) -> Observation:
    facts = [
        evidence.field(
            claim,
            "spec",
            {
                k: claim.spec.get(k)
                for k in ("storageClassName", "accessModes", "resources", "volumeName")
                if k in claim.spec
            },
            f"{name_of(claim)} is {text(claim.status.get('phase'))}",
        )
    ]
    if event is not None:
        facts.append(evidence.event(claim, event))
    source = scene.platforms.source_of(claim)
    return Observation(
        about=claim,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=tuple(facts),
        basis=(ground,),
        # A claim is Pending since it was made; an event of it is at most an hour old.
        onset=claim.created_at if reason != "VolumeLost" else None,
        remediation=remedies.edit(storage, f"Correct StorageClass {storage.name} or its provisioner.")
        if storage is not None
        else remedies.look(
            claim,
            "Give the claim a class and a volume it can have (a bound claim's class cannot be changed: make it anew).",
        ),
        blames=(
            *((Blame(storage, 0.85, "the claim asks for that class"),) if storage is not None else ()),
            *((Blame(source, 0.92, "the claim is filled from it"),) if source is not None else ()),
        ),
    )
