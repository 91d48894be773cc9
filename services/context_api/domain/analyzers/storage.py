"""Storage classes and volumes that keep claims waiting: a class whose driver is gone, a volume that is still another's.

Sees StorageClasses with a provisioner Kubernetes no longer has (and whose CSI driver is not installed), several default
classes, PersistentVolumes that failed or that are Released while the claim they are meant for waits.
All but a failed volume are latent: they count for the claims they keep waiting, or for an alert about themselves.
Cannot see the storage behind a driver.

Rests on: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#phase (Released, Failed),
https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass (the newest default wins),
https://kubernetes.io/docs/concepts/storage/volumes/#csi-migration and #deprecated-and-removed-persistent-volume-types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import at, condition, listing, mapping, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import CLAIM, uses
from services.context_api.domain.wording import name_of, pods_by_top

NAME = "storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
MOVED = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}
"""Provisioners Kubernetes passes on to a CSI driver, which must be installed."""

REMOVED = frozenset(
    {
        "kubernetes.io/glusterfs",
        "kubernetes.io/rbd",
        "kubernetes.io/cephfs",
        "kubernetes.io/quobyte",
        "kubernetes.io/storageos",
        "kubernetes.io/flocker",
        "kubernetes.io/scaleio",
    }
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per class or volume."""
    waiting = [c for c in scene.graph.of_kind("PersistentVolumeClaim") if c.status.get("phase") == "Pending"]
    yield from _classes(scene, waiting)
    for volume in scene.graph.of_kind("PersistentVolume"):
        if volume.status.get("phase") == "Failed":
            message = cut(redact(text(volume.status.get("message"))), 240)
            words = f"{name_of(volume)} failed: its storage could not be reclaimed (`{message}`)"
            yield _observation(
                volume, "VolumeFailed", words, "status.phase", "Failed", 0.75, [], latent=False
            )
        elif volume.status.get("phase") == "Released":
            yield from _released(scene, volume, waiting)


def _classes(scene: Scene, waiting: Sequence[KubeObject]) -> Iterator[Observation]:
    classes = scene.graph.of_kind("StorageClass")
    drivers = {d.name for d in scene.graph.of_kind("CSIDriver")}
    for storage in classes:
        provisioner = text(storage.body.get("provisioner"))
        driver = MOVED.get(provisioner)
        if provisioner in REMOVED:
            why = "which Kubernetes has no longer"
        elif driver is not None and drivers and driver not in drivers:
            why = f"which Kubernetes passes on to CSI driver {driver}, and that is not installed"
        else:
            continue
        held = [c for c in waiting if text(c.spec.get("storageClassName")) == storage.name]
        words = f"{name_of(storage)} names provisioner `{provisioner}`, {why}"
        yield _observation(storage, "ProvisionerRemoved", words, "provisioner", provisioner, 0.88, held)
    defaults = [s for s in classes if s.annotations.get(DEFAULT) == "true"]
    if len(defaults) > 1:
        newest = max(defaults, key=lambda s: (s.created_at or datetime.min.replace(tzinfo=UTC), s.name))
        words = (
            f"{len(defaults)} StorageClasses are the default ({listing(sorted(s.name for s in defaults))}); "
            f"claims that name none get {newest.name}, the newest"
        )
        held = [c for c in waiting if c.spec.get("storageClassName") == newest.name and _younger(c, newest)]
        yield _observation(
            newest, "SeveralDefaultClasses", words, f"metadata.annotations[{DEFAULT}]", "true", 0.7, held
        )


def _younger(claim: KubeObject, storage: KubeObject) -> bool:
    """A claim that is older than the class did not get it by default."""
    return claim.created_at is None or storage.created_at is None or claim.created_at >= storage.created_at


def _released(scene: Scene, volume: KubeObject, waiting: Sequence[KubeObject]) -> Iterator[Observation]:
    """The claim it is kept for was made anew, and the volume still belongs to the one before."""
    reference = mapping(volume.spec.get("claimRef"))
    place = (text(reference.get("namespace")), text(reference.get("name")))
    held = [
        c
        for c in waiting
        if text(c.spec.get("volumeName")) == volume.name
        or ((c.namespace, c.name) == place and text(reference.get("uid")) not in ("", c.uid))
    ]
    policy = text(volume.spec.get("persistentVolumeReclaimPolicy")) or "Retain"
    words = f"{name_of(volume)} is Released: it still names an earlier claim {place[0]}/{place[1]} ({policy}), so no claim gets it"
    if held:
        held += [top for claim in held for top in _unplaced(scene, claim)]
        yield _observation(volume, "VolumeStillReleased", words, "spec.claimRef", dict(reference), 0.88, held)


def _unplaced(scene: Scene, claim: KubeObject) -> list[KubeObject]:
    """Whose pods no node takes for want of this claim's volume: they, not the claim, show that it waits."""

    def waits(pod: KubeObject) -> bool:
        placed = condition(pod, "PodScheduled")
        return (
            uses(pod, CLAIM, claim.name)
            and placed is not None
            and placed.status == "False"
            and "persistent" in placed.message
        )

    return [top for top, _ in pods_by_top(scene, filter(waits, scene.graph.pods_in(claim.namespace)))]


def _observation(
    obj: KubeObject,
    reason: str,
    words: str,
    path: str,
    value: object,
    certainty: float,
    held: Sequence[KubeObject],
    *,
    latent: bool = True,
) -> Observation:
    told = f"; {listing([name_of(c) for c in held])} waits for it" if held else ""
    capacity = text(at(obj.spec, "capacity", "storage"))
    return Observation(
        about=obj,
        reason=reason,
        text=words + told,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(obj, path, value, f"{words}{f' ({capacity})' if capacity else ''}"),),
        basis=("the object's own fields",),
        remediation=remedies.edit(
            obj,
            _REMEDY[reason],
            risk="A Released volume holds the earlier claim's data." if "Released" in reason else "",
        ),
        explains=tuple(Explains(c, 0.92, f"{obj.kind} {obj.name} keeps it waiting") for c in held),
        latent=latent,
    )


_REMEDY = {
    "VolumeFailed": "Free the storage by hand, then delete the volume.",
    "VolumeStillReleased": "Take claimRef (or its uid) off the volume, when its data may be given to the new claim.",
    "ProvisionerRemoved": "Install the CSI driver, or make a class with one that is installed and claims that name it.",
    "SeveralDefaultClasses": "Take the default annotation off all classes but one.",
}
