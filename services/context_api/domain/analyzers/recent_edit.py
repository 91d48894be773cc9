"""ConfigMaps and Secrets edited just before something that uses them failed.

Sees managedFields times and owners, last-applied configuration and older versions in the recording; which keys the
failing containers use, whether they were started after the edit, and whether the log names what was changed.
Says nothing about edits of things that nothing failing uses.
Cannot see a Secret's values, nor the old value of a field that nobody recorded.

Rests on: kubernetes.io/docs, "Server-Side Apply" (managedFields), "ConfigMaps" (when updates reach pods).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import (
    Edit,
    FieldChange,
    applied_changes,
    last_edit,
)
from services.context_api.domain.config_match import in_config, speaks_of
from services.context_api.domain.containers import containers_of, is_ready
from services.context_api.domain.dependencies import PODS_READ, trouble_in
from services.context_api.domain.edits import changes_of, recorded_changes, touched
from services.context_api.domain.kube import flat, text
from services.context_api.domain.logs import LINES, cut, is_narrative, quote, readable, time_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import Reference
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.trouble import SLACK, Trouble, troubles
from services.context_api.domain.uneven import uneven
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "recent_edit"
RELOADS_WITHIN = timedelta(minutes=5)
"""The kubelet brings an edit into a volume within its sync period and cache time, about two minutes; more for slow programs."""

RENDERED_WITHIN = timedelta(minutes=5)
"""A controller renders what it is told within seconds; minutes where it has a queue."""

SHARED = 0.5
"""What all pods read is a poor reason for what some of them meet; not none, for a program may use it in few requests."""

_RELOADED = re.compile(r"re-?load|re-?read|refresh|chang|appl|updat|watch", re.IGNORECASE)
_MEMORY_WORDS = (
    "mem",
    "heap",
    "cache",
    "buffer",
    "size",
    "worker",
    "thread",
    "pool",
    "max",
    "limit",
    "concurren",
    "batch",
)


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per edited object that failing pods use."""
    edited: dict[int, tuple[KubeObject, list[tuple[Trouble, Reference, float, str]]]] = {}
    for trouble in troubles(scene, seen):
        for config, use, strength, why in _configs(scene, trouble):
            edited.setdefault(id(config), (config, []))[1].append((trouble, use, strength, why))
    for config, uses in edited.values():
        yield _config_observation(scene, config, uses)


def _configs(scene: Scene, trouble: Trouble) -> Iterator[tuple[KubeObject, Reference, float, str]]:
    """ConfigMaps and Secrets edited just before, of which the failing pods use what was edited."""
    best: dict[int, tuple[KubeObject, Reference, float, str]] = {}
    if _never_placed(scene, trouble):
        return
    for workload in scene.graph.workloads_of(trouble.top):
        for use, config in used_by(scene.graph, workload, "ConfigMap", "Secret"):
            edit = last_edit(config)
            if edit is None or not _uses(use, edit):
                continue
            met = _first_met(scene, workload, use, edit)
            if not trouble.recent(scene, edit.at) and (met is None or not trouble.recent(scene, met)):
                continue
            strength, why = _config_strength(scene, trouble, config, use, edit)
            if strength and _read_by_the_well(scene, trouble.top, use, edit):
                strength, why = strength * SHARED, f"{why}, though pods that read the same are well"
            if strength and (id(config) not in best or best[id(config)][2] < strength):
                best[id(config)] = (config, use, strength, why)
    yield from best.values()


def _never_placed(scene: Scene, trouble: Trouble) -> bool:
    """Whether all that fails are pods for which no node was found: nothing in them has read anything."""
    waiting = [p for p in scene.graph.pods_of(trouble.top) if not is_ready(p)]
    speaks = any(o.analyzer == "log_errors" for o in trouble.seen)
    return bool(waiting) and not speaks and not any(text(p.spec.get("nodeName")) for p in waiting)


def _read_by_the_well(scene: Scene, top: KubeObject, use: Reference, edit: Edit) -> bool:
    """Whether pods of the same template read the edit as well and do not complain of what the others complain of."""
    sides = uneven(scene, top)
    return sides is not None and any(use.live or _started(pod, edit) for pod in sides.good)


def _first_met(scene: Scene, workload: KubeObject, use: Reference, edit: Edit) -> datetime | None:
    """When the first pod started that reads what was edited, while those from before still run well on the old text.

    Environment is read at a start: an edit of last week does its harm with the next rollout.
    """
    if use.live:
        return None
    pods = [p for p in scene.graph.pods_of(workload) if p.created_at is not None]
    older = [p for p in pods if p.created_at is not None and p.created_at < edit.at and not _started(p, edit)]
    newer = [p for p in pods if p not in older]
    if not older or not newer or not all(is_ready(p) for p in older) or any(is_ready(p) for p in newer):
        return None
    return min(p.created_at for p in newer if p.created_at is not None)


def _uses(use: Reference, edit: Edit) -> bool:
    """Whether the edit touched data, and (when only one key is used) possibly that key."""
    data = [p for p in edit.paths if p.startswith(("data", "binaryData", "stringData"))]
    if not data:
        return False
    return use.key is None or any(p in ("data", f"data.{use.key}", f"binaryData.{use.key}") for p in data)


def _config_strength(
    scene: Scene, trouble: Trouble, config: KubeObject, use: Reference, edit: Edit
) -> tuple[float, str]:
    deepest = max(o.depth for o in trouble.seen)
    reasons = {o.analyzer for o in trouble.seen if o.depth is deepest}
    if reasons <= {"image_pull"}:
        return (0.8, "it holds the registry's credentials") if use.where == "imagePullSecrets" else (0.0, "")
    if use.where == "imagePullSecrets":
        return 0.0, ""
    if not _took_effect(scene, trouble.top, use, edit):
        # Whoever reads credentials at its start still has the old ones, while the other side has the new.
        refused = config.kind == "Secret" and _credentials_refused(trouble)
        return (
            (0.85, "its pods started before the edit and still use the old value") if refused else (0.0, "")
        )
    changes = changes_of(scene, config, edit)
    author = _author(scene, config, edit)
    if author is not None:
        changes = applied_changes(*author) or changes
    line = speaks_of(changes, trouble.lines)
    if not line and config.kind == "ConfigMap":
        match = in_config(config, [use], trouble.lines)
        line = match.line if match is not None and match.key in touched(edit) else ""
    if line:
        return 0.95, f"the log names what was changed: `{quote(line)}`"
    if reasons <= {"oom_kill"}:
        grows = any(w in str(c).lower() for c in changes for w in _MEMORY_WORDS)
        return (0.7, "what was changed bears on memory") if grows else (0.0, "")
    if config.kind == "Secret" and _credentials_refused(trouble):
        return 0.88, "the log complains about credentials"
    if trouble.points_elsewhere:
        return 0.36, "though its log complains about something else that fails"
    if use.live and not _started_since(scene, trouble.top, edit):
        told = _read_again(scene, trouble.top, changes, edit)
        if told:
            return 0.92, f"its log tells that it read the new value without a restart: `{cut(told, 160)}`"
        return 0.8, "the mounted file follows the edit without a restart"
    return (
        (0.8, "its containers started with it") if changes else (0.7, "its containers started after the edit")
    )


def _credentials_refused(trouble: Trouble) -> bool:
    return any(trouble_in(line.text) in ("auth", "tls") for line in trouble.lines)


def _took_effect(scene: Scene, top: KubeObject, use: Reference, edit: Edit) -> bool:
    """Whether a failing container started after the edit, or reads a mounted volume that follows it."""
    return use.live or _started_since(scene, top, edit)


def _started_since(scene: Scene, top: KubeObject, edit: Edit) -> bool:
    pods = scene.graph.pods_of(top)
    return not any(_starts(p) for p in pods) or any(_started(p, edit) for p in pods)


def _started(pod: KubeObject, edit: Edit) -> bool:
    """Whether one of its containers started (or ended) after the edit."""
    return any(moment >= edit.at - SLACK for moment in _starts(pod))


def _starts(pod: KubeObject) -> list[datetime]:
    return [
        moment
        for c in containers_of(pod)
        for moment in (
            parse_time(c.last_end.get("startedAt")),
            c.started_at,
            parse_time(c.last_end.get("finishedAt")),
        )
        if moment is not None
    ]


def _read_again(scene: Scene, top: KubeObject, changes: Sequence[FieldChange], edit: Edit) -> str:
    """The line, of whatever level, with which a program tells soon after the edit that it has the new value."""
    values = [
        word for c in changes for word in (c.after, *c.after.partition(":")[::2]) if len(word.strip()) >= 4
    ]
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in log.text[-LINES * 500 :].splitlines()[-LINES:]:
                if not _RELOADED.search(line) or is_narrative(line):
                    continue
                moment = time_of(line)
                soon = moment is not None and edit.at - SLACK <= moment <= edit.at + RELOADS_WITHIN
                if soon and any(value.strip() in line for value in values):
                    return redact(readable(line))
    return ""


def _author(scene: Scene, config: KubeObject, edit: Edit) -> tuple[KubeObject, Edit] | None:
    """The object that a controller rendered it from, if that was edited just before: a person's change is there."""
    owner = scene.graph.top(config)
    change = last_edit(owner) if owner is not config else None
    if change is None or not edit.at - RENDERED_WITHIN <= change.at <= edit.at + SLACK:
        return None
    return owner, change


def _config_observation(
    scene: Scene, config: KubeObject, uses: list[tuple[Trouble, Reference, float, str]]
) -> Observation:
    edit = last_edit(config)
    at = edit.at if edit is not None else scene.now
    by = edit.by if edit is not None else "somebody"
    uses.sort(key=lambda u: (-u[2], u[0].top.name))
    trouble, use, strength, why = uses[0]
    author = _author(scene, config, edit) if edit is not None else None
    about = author[0] if author is not None else config
    changes = applied_changes(*author) if author is not None else []
    changes = changes or (changes_of(scene, config, edit) if edit is not None else [])
    changes.sort(
        key=lambda c: not speaks_of([c], trouble.lines, file_too=False)
    )  # what the log names comes first
    shown = "; ".join(("key " + str(c)) for c in changes[:6]) or "what was changed is not recorded"
    words = (
        ""
        if author is None
        else (f"{name_of(about)} was edited at {clock(author[1].at)} by {author[1].by}, and from it ")
    )
    words += (
        f"{name_of(config)} was {'edited' if author is None else 'written'} at {clock(at)} by {by}, {trouble.how_long_before(at)} the first failure of "
        f"{name_of(trouble.top)}, which uses it ({use.where}): {shown}. Since then: {trouble.told}"
    )
    before_known = bool(recorded_changes(scene, config)) or any(c.before for c in changes)
    restart = None if use.live else scene.graph.workloads_of(trouble.top)[0]
    return Observation(
        about=about,
        reason=f"{'Settings' if author is not None else 'Config' if config.kind == 'ConfigMap' else 'Secret'}ChangedBeforeOnset",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.change,
        certainty=min(strength, 0.93),
        facts=(
            evidence.change(
                config,
                f"{name_of(config)} edited by {by}: {shown}",
                {
                    "by": by,
                    "keys": sorted(flat(config.body.get("data")))[:40],
                    "changes": [str(c) for c in changes[:20]],
                },
                at,
            ),
            *(f for o in trouble.seen for f in o.facts[:3]),
        ),
        basis=(
            f"edited {trouble.how_long_before(at)} the first failure",
            why,
            "before and after are recorded"
            if before_known
            else "against it: the value before is not recorded",
        ),
        onset=at,
        remediation=remedies.edit(about, _advice(changes, about), restart=restart),
        explains=tuple(
            Explains(t.top, s, f"it uses {config.kind} {config.name} ({u.where}); {w}") for t, u, s, w in uses
        ),
        latent=True,
    )


def _advice(changes: Sequence[FieldChange], config: KubeObject) -> str:
    known = [c for c in changes if c.before]
    if known:
        return f"Put back what was changed in {config.kind} {config.name}: {'; '.join(f'{c.path}: `{c.before}`' for c in known[:4])}."
    return f"Check what was changed in {config.kind} {config.name}, and put it back."
