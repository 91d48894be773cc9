"""GitOps controllers that cannot apply what a repository holds, that are suspended, or that put back what a person did.

Sees, of Argo CD applications, the last operation (failed resources by name; none that was put right since), the
conditions that end in Error, and differences nobody is going to apply (not while a sync window of its project, by the
application's name, denies that); of Flux, what is suspended (no cause of an alert about itself where whoever did it wrote
why). For workloads in trouble it reads who wrote them or their configuration last: a GitOps controller's write after a
person's means that the repository won (self-heal).
Not ready Flux objects and degraded applications say so in their conditions (`unhealthy_condition`).
Cannot see the repository, nor what was reverted where the person's write left no trace of its own.

Rests on: argo-cd.readthedocs.io, "Automated Sync Policy" (self-heal), "Sync Windows" and "Resource Tracking"; fluxcd.io/flux,
"Kustomization" (suspend, drift) and "Helm Releases"; kubernetes.io/docs, "Server-Side Apply" (managedFields).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import SETTLING, field_paths
from services.context_api.domain.durations import parse_duration
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import (
    at,
    countable,
    entries,
    flat,
    listing,
    mapping,
    number,
    pod_spec,
    strings,
    text,
)
from services.context_api.domain.logs import cut, is_narrative, quote
from services.context_api.domain.notes import MEANT, is_noted
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.platforms import GITOPS
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.schedule import fired_within
from services.context_api.domain.snapshot import Body, KubeObject, parse_time
from services.context_api.domain.trouble import troubles
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "gitops"
_CONTROLLERS = frozenset(
    {"argocd-controller", "argocd-application-controller", "kustomize-controller", "helm-controller"}
)
_SYSTEM = frozenset(
    {"kubelet", "kube-scheduler", "kube-controller-manager", "cloud-controller-manager", "cluster-autoscaler"}
)
_SUSPENDABLE = (".toolkit.fluxcd.io",)
WINDOW = timedelta(hours=2)
"""A person's write this long before the controller's may be what was put back. A guess: Argo CD looks every 3 minutes,
Flux by default every 10, and intervals of an hour are common."""


def observe(scene: Scene) -> Iterator[Observation]:
    """Observations per application and per suspended object."""
    for app in scene.snapshot.of_kind("Application"):
        if app.group == "argoproj.io":
            yield from _application(scene, app)
    for obj in scene.snapshot.objects:
        if obj.group.endswith(_SUSPENDABLE) and obj.spec.get("suspend") is True:
            yield _suspended(scene, obj)


def _application(scene: Scene, app: KubeObject) -> Iterator[Observation]:
    operation = mapping(app.status.get("operationState"))
    if text(operation.get("phase")) in ("Failed", "Error") and not _made_up_for(app, operation):
        yield _sync_failed(scene, app)
        return
    error = next(
        (c for c in entries(app.status.get("conditions")) if text(c.get("type")).endswith("Error")), None
    )
    if error is not None:
        message = _said(error.get("message"))
        yield _observation(
            app,
            text(error.get("type")),
            f"{name_of(app)} reports {text(error.get('type'))}: `{message}`",
            0.85,
            evidence.field(app, "status.conditions", dict(error), f"{name_of(app)}: {message}"),
            parse_time(error.get("lastTransitionTime")),
            blames=_spoken(scene, app, message),
            explains=_lacking(scene, app, every=True),
        )
    elif text(at(app.status, "sync", "status")) == "OutOfSync" and not _kept_from_syncing(scene, app):
        yield _out_of_sync(app)


def _made_up_for(app: KubeObject, operation: Body) -> bool:
    """Whether what runs is what the repository holds, and is well, though the last sync failed: it was put right since."""
    hooks = [r for r in entries(at(operation, "syncResult", "resources")) if text(r.get("hookPhase"))]
    if any(text(r.get("hookPhase")) in ("Failed", "Error") for r in hooks):
        return False
    synced = text(at(app.status, "sync", "status")) == "Synced"
    return synced and text(at(app.status, "health", "status")) == "Healthy"


def _sync_failed(scene: Scene, app: KubeObject) -> Observation:
    operation = mapping(app.status.get("operationState"))
    failed = [
        r
        for r in entries(at(operation, "syncResult", "resources"))
        if text(r.get("status")) == "SyncFailed" or text(r.get("hookPhase")) in ("Failed", "Error")
    ]
    told = [f"{text(r.get('kind'))} {text(r.get('name'))}: {_said(r.get('message'))}" for r in failed]
    message = _said(operation.get("message"))
    since = parse_time(operation.get("finishedAt")) or parse_time(operation.get("startedAt"))
    words = f"The last sync of {name_of(app)} failed"
    words += f" at {clock(since)}" if since else ""
    words += f": `{message}`" if message else ""
    words += f"; {'; '.join(told[:3])}" if told else ""
    return _observation(
        app,
        "SyncFailed",
        words,
        0.87,
        evidence.field(
            app,
            "status.operationState",
            {"phase": operation.get("phase"), "message": message, "failed": told[:10]},
            cut(words, 400),
            since,
        ),
        since,
        blames=_spoken(scene, app, f"{message} {' '.join(told)}"),
        explains=_lacking(scene, app),
    )


def _spoken(scene: Scene, app: KubeObject, message: str) -> tuple[Blame, ...]:
    """A webhook or a repository server inside the cluster that the message names."""
    return tuple(Blame(s, 0.92, f"its words name {host}") for s, host in scene.platforms.spoken(app, message))


def _lacking(scene: Scene, app: KubeObject, *, every: bool = False) -> tuple[Explains, ...]:
    """Workloads that use something the application should have written and that is not there."""
    results = entries(at(app.status, "operationState", "syncResult", "resources"))
    failed = {
        (text(r.get("kind")), text(r.get("namespace")), text(r.get("name")))
        for r in results
        if text(r.get("status")) == "SyncFailed"
    }
    failed |= {
        (text(r.get("kind")), text(r.get("namespace")), text(r.get("name")))
        for r in entries(app.status.get("resources"))
        if text(at(r, "health", "status")) == "Missing" or (every and text(r.get("status")) == "OutOfSync")
    }
    failed = {f for f in failed if scene.graph.get(f[0], f[1] or None, f[2]) is None}
    found: dict[int, Explains] = {}
    for space in {namespace for _, namespace, _ in failed} if failed else ():
        for workload in scene.graph.workloads_in(space):
            for use in references(pod_spec(workload)):
                if (use.kind, space, use.name) in failed:
                    top = scene.graph.top(workload)
                    why = f"{app.kind} {app.name} has not written {use.kind} {use.name}, which it uses ({use.where})"
                    found.setdefault(id(top), Explains(top, 0.92, why))
    return tuple(found.values())


def _kept_from_syncing(scene: Scene, app: KubeObject) -> bool:
    """Whether its project denies syncs at this hour: then it waits for the window to close, as somebody wished.

    Of windows that cannot be read nobody knows that they do not.
    """
    project = scene.graph.get("AppProject", app.namespace, text(app.spec.get("project")) or "default")
    windows = project.spec.get("syncWindows") if project is not None else None
    if not countable(windows):
        return True
    for window in entries(windows):
        named = strings(window.get("applications"))
        if text(window.get("kind")) != "deny" or not any(fnmatchcase(app.name, one) for one in named):
            continue
        try:
            length = parse_duration(text(window.get("duration")))
            place = ZoneInfo(text(window.get("timeZone")) or "UTC")
        except (ValueError, OSError, ZoneInfoNotFoundError):  # `Europe` is a folder of zones
            continue
        if fired_within(text(window.get("schedule")), scene.now.astimezone(place), length):
            return True
    return False


def _out_of_sync(app: KubeObject) -> Observation:
    """What differs and is not applied; harmless until somebody asks why the new version is not there."""
    differing = [
        f"{text(r.get('kind'))} {text(r.get('name'))}"
        for r in entries(app.status.get("resources"))
        if text(r.get("status")) == "OutOfSync"
    ]
    automated = (
        app.spec.get("syncPolicy") is not None
        and mapping(app.spec.get("syncPolicy")).get("automated") is not None
    )
    words = f"{name_of(app)} is OutOfSync: what runs differs from the repository ({listing(differing, 4) or 'resources not listed'})"
    words += "" if automated else "; it syncs only when somebody asks for it (no automated sync policy)"
    return _observation(
        app,
        "OutOfSync",
        words,
        0.65,
        evidence.field(
            app,
            "status.sync",
            {"status": "OutOfSync", "resources": differing[:20], "automated": automated},
            words,
        ),
        None,
        latent=True,
    )


def _suspended(scene: Scene, obj: KubeObject) -> Observation:
    by = next((e for e in _writes(obj) if "spec.suspend" in e.paths), None)
    words = f"{name_of(obj)} is suspended" + (f" since {clock(by.at)} (by {by.by})" if by else "")
    return _observation(
        obj,
        "ReconciliationSuspended",
        f"{words}: changes in its source reach the cluster no more",
        MEANT if scene.target is obj and is_noted(obj, "spec.suspend") else 0.8,
        evidence.field(obj, "spec.suspend", True, words),
        by.at if by else None,
        latent=True,
    )


# -- put back ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Write:
    """One manager's last write of one object."""

    by: str
    at: datetime
    paths: tuple[str, ...]


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per maker that put an object of a failing workload back to what the repository holds."""
    told: set[tuple[int, int]] = set()
    known = {id(t.top): t for t in troubles(scene, seen)}
    for top in concerned(scene, seen):
        trouble = known.get(id(top))
        for obj, use in _of_workload(scene, top):
            for maker in scene.platforms.makers(obj):
                write = _reverting(scene, obj, maker) if maker.kind in GITOPS else None
                if write is None or (id(maker), id(obj)) in told:
                    continue
                if trouble is not None and not trouble.recent(scene, write[0].at):
                    continue
                if trouble is None and scene.now - write[0].at > WINDOW:
                    continue
                told.add((id(maker), id(obj)))
                yield _put_back(scene, top, obj, use, maker, *write)


def _of_workload(scene: Scene, top: KubeObject) -> Iterator[tuple[KubeObject, str]]:
    for workload in scene.graph.workloads_of(top):
        yield workload, "the workload itself"
        yield from (
            (found, use.where) for use, found in used_by(scene.graph, workload, "ConfigMap", "Secret")
        )


def _writes(obj: KubeObject) -> list[_Write]:
    found = []
    for entry in entries(obj.metadata.get("managedFields")):
        moment = parse_time(entry.get("time"))
        if moment is not None and entry.get("subresource") != "status":
            paths = tuple(field_paths(mapping(entry.get("fieldsV1"))))
            found.append(_Write(text(entry.get("manager")), moment, paths))
    return sorted(found, key=lambda w: (w.at, w.by))


def _reverting(scene: Scene, obj: KubeObject, maker: KubeObject) -> tuple[_Write, str] | None:
    """The controller's last write, if there are signs that it undid a person's; and those signs."""
    writes = _writes(obj)
    mine = next((w for w in reversed(writes) if w.by in _CONTROLLERS), None)
    if mine is None or (obj.created_at is not None and mine.at - obj.created_at <= SETTLING):
        return None
    person = next(
        (
            w
            for w in reversed(writes)
            if w.by not in _CONTROLLERS | _SYSTEM
            and timedelta(0) <= mine.at - w.at <= WINDOW
            and (obj.created_at is None or w.at - obj.created_at > SETTLING)
        ),
        None,
    )
    if person is not None:
        return mine, f"{person.by} had written it at {clock(person.at)}"
    operation = mapping(maker.status.get("operationState"))
    began, ended = parse_time(operation.get("startedAt")), parse_time(operation.get("finishedAt"))
    healed = number(at(operation, "operation", "sync", "autoHealAttemptsCount")) or number(
        at(operation, "operation", "sync", "selfHealAttemptsCount")
    )
    if (
        healed
        and began is not None
        and began - timedelta(minutes=1) <= mine.at <= (ended or scene.now) + timedelta(minutes=1)
    ):
        return mine, "its last operation was a self-heal, started by itself without a new commit"
    return None


def _put_back(
    scene: Scene, top: KubeObject, obj: KubeObject, use: str, maker: KubeObject, write: _Write, sign: str
) -> Observation:
    rollout = scene.rollouts.of(obj) if obj.kind not in ("ConfigMap", "Secret") else None
    changes = (
        [str(c) for c in rollout.changes[:4]]
        if rollout is not None and abs(rollout.at - write.at) < timedelta(minutes=2)
        else []
    )
    words = f"{name_of(maker)} wrote {name_of(obj)} at {clock(write.at)} ({write.by}) and put back what its repository holds: {sign}"
    words += f"; changed by it: {'; '.join(changes)}" if changes else ""
    source = mapping(maker.spec.get("source")) or mapping(maker.spec.get("sourceRef"))
    place = ", ".join(v for k, v in flat(source).items() if k in ("repoURL", "path", "name") and v)
    words += (
        f". A fix belongs into the repository ({place})" if place else ". A fix belongs into the repository"
    )
    return Observation(
        about=maker,
        reason="ManualChangeReverted",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.change,
        certainty=0.86,
        facts=(
            evidence.change(obj, f"{name_of(obj)} written by {write.by}", {"by": write.by, "changes": changes, "sign": sign}, write.at),
            evidence.field(maker, "spec", {k: maker.spec[k] for k in ("source", "sourceRef", "path", "syncPolicy") if k in maker.spec}, f"{name_of(maker)} writes {name_of(obj)}"),
        ),
        basis=("the controller's write is newer than a person's", sign),
        onset=write.at,
        remediation=remedies.look(maker, f"Change the repository {name_of(maker)} applies; by hand it will be put back again."),
        explains=(Explains(top, 0.93, f"{maker.kind} {maker.name} put back {obj.kind} {obj.name} ({use})"),),
        latent=True,
    )  # fmt: skip


# -- shared ------------------------------------------------------------------------------------------


def _said(message: object) -> str:
    words = text(message)
    return "" if is_narrative(words) else quote(words)


def _observation(
    obj: KubeObject,
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
        about=obj,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(fact,),
        basis=("the GitOps controller's own status",),
        onset=onset,
        remediation=remedies.look(
            obj, f"Read the status of {name_of(obj)}; correct what its repository holds."
        ),
        blames=blames,
        explains=explains,
        latent=latent,
    )
