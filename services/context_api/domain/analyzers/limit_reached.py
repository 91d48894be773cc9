"""Limits that a log says are met, and the setting that sets them, however long ago it was changed.

Sees complaints of one known limit (`limits`) in the logs of workloads whose log is full of errors: too many clients,
open files, threads, the memory of a cache. Names the ConfigMap or workload that sets the limit, with its value, who
edited it, and that the program reads it since its last start: an edit of a month ago does its harm with the next one.
Without a setting, a process's own limit (open files) is told of the workload itself. Latent.
Surest where the setting was lowered; else use may have grown, and the text does not decide.
Cannot see settings in images and Secrets, nor who holds what is used up.

Rests on: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps, and `limits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.containers import containers_of
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.edits import changes_of, recorded_changes
from services.context_api.domain.kube import containers, entries, flat, pod_spec, strings, text
from services.context_api.domain.limits import Limit, Row, limit_in, row_of, rows
from services.context_api.domain.logs import LINES, cut, readable
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "limit_reached"
_FULL = frozenset({"log_errors", "pod_crash_loop", "probe_failure"})


@dataclass(frozen=True, slots=True)
class _Met:
    """A limit that a workload's log says is met."""

    limit: Limit
    pod: KubeObject
    container: str
    line: str
    count: int


@dataclass(frozen=True, slots=True)
class _Setting:
    holder: KubeObject
    where: str
    row: Row


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per limit and what sets it."""
    told: set[tuple[int, str]] = set()
    for one in seen:
        if one.analyzer not in _FULL:
            continue
        for met in _met(scene, one.about):
            for top in _whose(scene, one.about, met.limit):
                setting = _setting(scene, top, met.limit)
                holder = setting.holder if setting is not None else top
                if (setting is None and not met.limit.own) or (id(holder), met.limit.what) in told:
                    continue
                told.add((id(holder), met.limit.what))
                yield _observation(scene, top, met, setting, one)


def _met(scene: Scene, top: KubeObject) -> Iterator[_Met]:
    found: dict[str, _Met] = {}
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in log.text[-LINES * 500 :].splitlines()[-LINES:]:
                limit = limit_in(line)
                if limit is not None:
                    count = found[limit.what].count + 1 if limit.what in found else 1
                    found[limit.what] = _Met(
                        limit, pod, log.container, redact(cut(readable(line), 240)), count
                    )
    yield from found.values()


def _whose(scene: Scene, top: KubeObject, limit: Limit) -> list[KubeObject]:
    """Whose limit it is: the complaining process's own, else that of the server it says so of; a server says so itself."""
    if limit.own:
        return [top]
    called = [
        behind
        for said in scene.deps.spoken(top)
        if said.found is not None and limit.said.search(said.line)
        for behind in scene.deps.behind(said.found)
    ]
    return list({id(t): t for t in called}.values()) or [top]


def _setting(scene: Scene, top: KubeObject, limit: Limit) -> _Setting | None:
    for workload in scene.graph.workloads_of(top):
        spec = pod_spec(workload)
        for container in containers(spec):
            name = text(container.get("name"))
            for row in rows(
                limit, [" ".join(strings(container.get("command")) + strings(container.get("args")))]
            ):
                return _Setting(top, f"an argument of container {name}", row)
            for variable in entries(container.get("env")):
                found = row_of(limit, text(variable.get("name")), text(variable.get("value")))
                if found is not None:
                    return _Setting(top, f"env of container {name}", found)
        for use in references(spec):
            config = (
                scene.graph.get("ConfigMap", workload.namespace, use.name)
                if use.kind == "ConfigMap"
                else None
            )
            for key, value in flat(config.body.get("data")).items() if config is not None else ():
                found = row_of(limit, use.variable or key, value) if use.key in (None, key) else None
                if config is not None and found is not None:
                    return _Setting(config, f"key {key}", found)
    return None  # fmt: skip


def _observation(
    scene: Scene, top: KubeObject, met: _Met, setting: _Setting | None, one: Observation
) -> Observation:
    holder = setting.holder if setting is not None else top
    complaint = f"`{met.line}`" + (f" (×{met.count})" if met.count > 1 else "")
    if setting is None:
        words = f"{name_of(top)} has all of its {met.limit.what} in use: {complaint}"
    else:
        words = (
            f"{name_of(holder)} sets `{setting.row.shown}` ({setting.where}), and {name_of(top)} has no {met.limit.what} "
            f"left: {complaint}{_history(scene, top, holder, setting.row)}"
        )
    lowered = setting is not None and _changed(scene, holder, setting.row) != ""
    return Observation(
        about=holder,
        reason="LimitReached",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88 if lowered else 0.66,
        facts=(
            *((evidence.field(holder, setting.where, setting.row.shown, f"{name_of(holder)}: {setting.row.shown}"),) if setting else ()),
            evidence.log_line(met.pod, met.container, met.line, met.count),
        ),
        basis=(
            "the log says in the program's own words that the limit is met",
            "this sets the limit" if setting else "it is the process's own limit",
            "the limit was changed" if lowered else f"{AGAINST}nobody changed the limit: use may have grown",
        ),
        onset=one.onset,
        remediation=remedies.edit(
            holder,
            f"Set {setting.row.setting} as high as all who use it need together, or let them use less."
            if setting
            else f"Find out what {name_of(top)} keeps open; restarting its pods helps for a while.",
            restart=top if holder.kind == "ConfigMap" else None,
        ),
        explains=tuple(
            Explains(about, 0.9, f"{name_of(top)} has no {met.limit.what} left", deepest=Depth.process)
            for about in {id(o): o for o in (top, one.about)}.values()
            if about is not holder
        ),
        latent=True,
    )  # fmt: skip


def _changed(scene: Scene, holder: KubeObject, row: Row) -> str:
    """What the limit's row was changed from and to, where that is recorded."""
    edit = last_edit(holder)
    if edit is None:
        return ""
    if holder.kind == "ConfigMap":
        known = recorded_changes(scene, holder) or changes_of(scene, holder, edit)
    else:
        rollout = scene.rollouts.of(scene.graph.workload(holder))
        known = list(rollout.changes) if rollout is not None else []
    named = [c for c in known if row.value in c.after and c.before and c.before != c.after]
    return next((str(c) for c in named if row.setting in f"{c.path} {c.after}"), "")


def _history(scene: Scene, top: KubeObject, holder: KubeObject, row: Row) -> str:
    """Who changed it, and since when the program works with it."""
    edit, changed = last_edit(holder), _changed(scene, holder, row)
    if edit is None or not changed:
        return ""
    starts = [c.started_at for p in scene.graph.pods_of(top) for c in containers_of(p) if c.started_at]
    since = min((s for s in starts if s >= edit.at), default=None)
    taken = f", and is in force since {name_of(top)} was started at {clock(since)}" if since else ""
    return f"; it was changed at {clock(edit.at)} by {edit.by} ({changed}){taken}"
