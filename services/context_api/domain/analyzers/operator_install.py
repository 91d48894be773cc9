"""Operators that are not installed or not upgraded: groups, catalogues, approvals, requirements of OLM.

Sees, per namespace, OperatorGroups beside the ClusterServiceVersions there (OLM wants exactly one), Subscriptions
whose CatalogSource does not exist or does not answer, InstallPlans that wait for somebody's approval, and
requirements of a ClusterServiceVersion that are not there. Failed phases and conditions of all of these, and of OLM
v1's ClusterExtension and ClusterCatalog, are heard by `unhealthy_condition`.
Cannot see what a catalogue offers, nor why a bundle does not fit beyond OLM's own words.

Rests on: olm.operatorframework.io/docs, "OperatorGroups", "Subscriptions", "CatalogSource" and "ClusterServiceVersion";
docs.openshift.com, "Operator installation and upgrade" (approval).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import at, entries, listing, strings, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of

NAME = "operator_install"
GROUP = "operators.coreos.com"
_DEAF = frozenset({"TRANSIENT_FAILURE", "CONNECTING"})


def observe(scene: Scene) -> Iterator[Observation]:
    """Observations about groups, catalogues, plans and requirements."""
    if not any(o.group == GROUP for o in scene.snapshot.objects):
        return
    yield from _groups(scene)
    for subscription in _of(scene, "Subscription"):
        yield from _source(scene, subscription)
    for source in _of(scene, "CatalogSource"):
        yield from _catalogue(scene, source)
    for plan in _of(scene, "InstallPlan"):
        yield from _approval(scene, plan)
    for version in _of(scene, "ClusterServiceVersion"):
        yield from _requirements(version)


def _of(scene: Scene, kind: str) -> list[KubeObject]:
    return [
        o
        for o in scene.snapshot.of_kind(kind)
        if o.group == GROUP and not o.metadata.get("deletionTimestamp")
    ]


def _groups(scene: Scene) -> Iterator[Observation]:
    """Not exactly one group in a namespace in which something is to be installed."""
    groups: dict[str | None, list[KubeObject]] = {}
    for group in _of(scene, "OperatorGroup"):
        groups.setdefault(group.namespace, []).append(group)
    for space, members in groups.items():
        installs = [
            o
            for kind in ("Subscription", "ClusterServiceVersion")
            for o in _of(scene, kind)
            if o.namespace == space and not _copied(o)
        ]
        if len(members) < 2 or not installs:
            continue
        newest = max(members, key=lambda g: (g.created_at.timestamp() if g.created_at else 0.0, g.name))
        names = listing([g.name for g in sorted(members, key=lambda g: g.name)], 4)
        yield _observation(
            newest,
            "TooManyOperatorGroups",
            f"Namespace {space} has {len(members)} OperatorGroups ({names}; {newest.name} came last, at {clock(newest.created_at)}): "
            "OLM installs nothing there until exactly one is left",
            0.92,
            {"operatorGroups": sorted(g.name for g in members)},
            newest.created_at,
            explains=tuple(
                Explains(o, 0.93, f"namespace {space} has more than one OperatorGroup") for o in installs
            ),
        )
    for version in _of(scene, "ClusterServiceVersion"):
        if text(version.status.get("reason")) == "NoOperatorGroup" and version.namespace not in groups:
            yield _observation(
                version,
                "NoOperatorGroup",
                f"{name_of(version)} is not installed: namespace {version.namespace} has no OperatorGroup",
                0.9,
                {"reason": "NoOperatorGroup"},
                parse_time(version.status.get("lastTransitionTime")),
            )


def _copied(version: KubeObject) -> bool:
    """A shadow that OLM puts into the namespaces an operator watches."""
    return text(version.status.get("reason")) == "Copied" or "olm.copiedFrom" in version.labels


def _source(scene: Scene, subscription: KubeObject) -> Iterator[Observation]:
    space, name = text(subscription.spec.get("sourceNamespace")), text(subscription.spec.get("source"))
    known = [f"{c.namespace}/{c.name}" for c in _of(scene, "CatalogSource")]
    if name and known and f"{space}/{name}" not in known:
        yield _observation(
            subscription,
            "CatalogSourceNotFound",
            f"{name_of(subscription)} wants package `{text(subscription.spec.get('name'))}` from CatalogSource {space}/{name}, which does not exist; there are {listing(sorted(known), 4)}",
            0.92,
            {"source": name, "sourceNamespace": space},
            subscription.created_at,
        )


def _catalogue(scene: Scene, source: KubeObject) -> Iterator[Observation]:
    state = text(at(source.status, "connectionState", "lastObservedState"))
    if state not in _DEAF:
        return
    since = parse_time(at(source.status, "connectionState", "lastConnect"))
    users = [
        s for s in _of(scene, "Subscription") if any(link.to is source for link in scene.platforms.needs(s))
    ]
    pods = [
        p for p in scene.graph.pods_in(source.namespace) if p.labels.get("olm.catalogSource") == source.name
    ]
    image = text(source.spec.get("image"))
    yield _observation(
        source,
        "CatalogUnreachable",
        f"{name_of(source)} does not answer ({state})" + (f"; its index image is `{image}`" if image else ""),
        0.8,
        {"lastObservedState": state, "image": image},
        since,
        # A pod of a catalogue that does not start says more than the connection to it.
        blames=tuple(Blame(scene.graph.top(p), 0.9, "its pod serves the catalogue") for p in pods),
        explains=tuple(Explains(s, 0.88, f"CatalogSource {source.name} does not answer") for s in users),
    )


def _approval(scene: Scene, plan: KubeObject) -> Iterator[Observation]:
    if text(plan.status.get("phase")) != "RequiresApproval" or plan.spec.get("approved") is True:
        return
    wanted = strings(plan.spec.get("clusterServiceVersionNames"))
    waiting = [
        s
        for s in _of(scene, "Subscription")
        if s.namespace == plan.namespace and text(at(s.status, "installPlanRef", "name")) == plan.name
    ]
    # Waiting for a person is what Manual approval is for; it counts where nothing is installed at all.
    first = any(not text(s.status.get("installedCSV")) for s in waiting)
    yield _observation(
        plan,
        "InstallPlanNeedsApproval",
        f"{name_of(plan)} waits since {clock(plan.created_at)} for somebody to approve it; until then {listing(wanted, 3)} is not installed"
        + (f" ({listing([name_of(s) for s in waiting], 2)}: installPlanApproval Manual)" if waiting else ""),
        0.85,
        {"approved": False, "clusterServiceVersionNames": wanted},
        plan.created_at,
        explains=tuple(Explains(s, 0.9, "its install plan waits for approval") for s in waiting),
        latent=not first,
    )


def _requirements(version: KubeObject) -> Iterator[Observation]:
    if text(version.status.get("phase")) in ("Succeeded", ""):
        return
    lacking = [
        f"{text(r.get('kind'))} {text(r.get('name'))}: {text(r.get('status'))}" + (f" ({quote(text(r.get('message')))})" if text(r.get("message")) else "")
        for r in entries(version.status.get("requirementStatus"))
        if text(r.get("status")) not in ("Present", "Satisfied", "PresentSatisfied", "")
    ]  # fmt: skip
    if lacking:
        yield _observation(
            version,
            "RequirementsNotMet",
            f"{name_of(version)} lacks what it requires: {listing(lacking, 3)}",
            0.86,
            {"requirementStatus": lacking[:20]},
            parse_time(version.status.get("lastTransitionTime")),
        )


def _observation(
    about: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    shown: dict[str, object],
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
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(about, "spec and status", shown, words),),
        basis=("OLM's objects beside each other",),
        onset=onset,
        remediation=remedies.edit(about, f"Correct or remove {name_of(about)}.")
        if reason != "InstallPlanNeedsApproval"
        else remedies.edit(
            about, f"Read what {name_of(about)} would install, and set spec.approved to true."
        ),
        blames=blames,
        explains=explains,
        latent=latent,
    )
