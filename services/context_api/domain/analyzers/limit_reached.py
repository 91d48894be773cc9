"""Limits that a log says are met, and the setting that sets them, however long ago it was changed.

Sees complaints of one known limit (`limits`) in the logs of workloads whose log is full of errors: too many clients,
open files, threads, the memory of a cache. Names the ConfigMap or workload that sets the limit, with its value, who
edited it, and that the program reads it since its last start: an edit of a month ago does its harm with the next one.
Without a setting, a process's own limit (open files) is told of the workload itself. Latent.
Surest where the setting was lowered; else use may have grown, and the text does not decide.
Where recorded series tell a server's parts apart and one of them grew (`takers`), the client that names this part takes
the room, and what was changed of it when the growth began is told.
Cannot see settings in images and Secrets, nor who holds what nobody measures.

Rests on: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps, and `limits`, `takers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import FieldChange, last_edit
from services.context_api.domain.containers import containers_of
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.edits import changes_of, recorded_changes
from services.context_api.domain.kube import containers, entries, listing, pod_spec, strings, text
from services.context_api.domain.limits import Limit, Row, limit_in, row_of, rows
from services.context_api.domain.logs import LINES, cut, readable
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.takers import clients_of, grown
from services.context_api.domain.uses import used_by, values_of
from services.context_api.domain.wording import clock, name_of

NAME = "limit_reached"
LATELY = timedelta(hours=1)
"""A change this long before a part began to grow may be why."""

SLACK = timedelta(minutes=15)
"""It may seem this much later: a level is left slowly, and samples are apart."""

_EXHAUSTED = "PoolExhausted"
"""What `saturation` says of a server whose recorded use is at its recorded limit."""

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
class Setting:
    """A row that sets a limit, and what holds it."""

    holder: KubeObject
    where: str
    """In words: `key redis.conf`, `an argument of container server`."""
    row: Row


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per limit and what sets it."""
    told: set[tuple[int, str]] = set()
    full: set[int] = set()
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
                full.add(id(top))
                yield from _taken(scene, top, holder, one, met)
    for one in seen:
        if one.reason == _EXHAUSTED and id(one.about) not in full:
            yield from _taken(scene, one.about, one.about, one, None)


def _taken(
    scene: Scene, server: KubeObject, holder: KubeObject, one: Observation, met: _Met | None
) -> Iterator[Observation]:
    """The one client whose part of the server grew."""
    own = met is not None and met.limit.own
    part = grown(scene.graph, scene.metrics, server) if not own else None
    clients = clients_of(scene.graph, server, part) if part is not None else []
    if part is None or len(clients) != 1:
        return
    taker = clients[0]
    changed = _changed_then(scene, taker, part.since)
    about, at, by, changes = changed if changed is not None else (taker, None, "", [])
    words = (
        f"{name_of(taker)}, whose settings name {part.label} {part.name} of {name_of(server)}, takes the room there: {part}"
        f" ({part.share:.0%} of what all together have grown by{f', since {clock(part.since)}' if part.since else ''}), and "
        + (f"no {met.limit.what} is left for the others: `{met.line}`" if met is not None else one.text)
    )
    if changed is not None:
        words += f"; {name_of(about)} was changed at {clock(at)} by {by or 'a rollout'}: {listing([str(c) for c in changes], 4)}"
    yield Observation(
        about=about,
        reason="TakesSharedRoom",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88 if changed is not None else 0.75,
        facts=(
            evidence.metric(part.series, server),
            *((evidence.log_line(met.pod, met.container, met.line, met.count),) if met is not None else one.facts[:1]),
        ),
        basis=(
            "one part's recorded use grew, the others' did not",
            f"the settings of {name_of(taker)} name the server and this part",
            "it was changed when the growth began"
            if changed is not None
            else f"{AGAINST}nothing of it was changed when the growth began",
        ),
        onset=at or part.since,
        remediation=remedies.edit(
            about,
            f"Let {name_of(taker)} take less of {name_of(server)} (put back what was changed), or give it a server of its own.",
        ),
        explains=tuple(
            Explains(other, 0.92, f"{name_of(taker)} takes the room of {name_of(server)}")
            for other in {id(o): o for o in (holder, server, one.about)}.values()
            if other is not about
        ),
        latent=True,
    )  # fmt: skip


def _changed_then(
    scene: Scene, top: KubeObject, since: datetime | None
) -> tuple[KubeObject, datetime, str, list[FieldChange]] | None:
    """What of a workload was changed shortly before that moment: its template, or a ConfigMap that it reads."""
    for workload in scene.graph.workloads_of(top) if since is not None else ():
        rollout = scene.rollouts.of(workload)
        if (
            rollout is not None
            and since is not None
            and rollout.changes
            and since - LATELY <= rollout.at <= since + SLACK
        ):
            return top, rollout.at, rollout.by, list(rollout.changes)
        for _, config in used_by(scene.graph, workload, "ConfigMap"):
            edit = last_edit(config)
            if edit is not None and since is not None and since - LATELY <= edit.at <= since + SLACK:
                return config, edit.at, edit.by, changes_of(scene, config, edit)
    return None


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


def _setting(scene: Scene, top: KubeObject, limit: Limit) -> Setting | None:
    for workload in scene.graph.workloads_of(top):
        spec = pod_spec(workload)
        for container in containers(spec):
            name = text(container.get("name"))
            for row in rows(
                limit, [" ".join(strings(container.get("command")) + strings(container.get("args")))]
            ):
                return Setting(top, f"an argument of container {name}", row)
            for variable in entries(container.get("env")):
                found = row_of(limit, text(variable.get("name")), text(variable.get("value")))
                if found is not None:
                    return Setting(top, f"env of container {name}", found)
        for use, config, key, value in values_of(scene.graph, workload):
            found = row_of(limit, use.variable or key, value)
            if found is not None:
                return Setting(config, f"key {key}", found)
    return None  # fmt: skip


def _observation(
    scene: Scene, top: KubeObject, met: _Met, setting: Setting | None, one: Observation
) -> Observation:
    holder = setting.holder if setting is not None else top
    complaint = f"`{met.line}`" + (f" (×{met.count})" if met.count > 1 else "")
    if setting is None:
        words = f"{name_of(top)} has all of its {met.limit.what} in use: {complaint}"
    else:
        words = (
            f"{name_of(holder)} sets `{setting.row.shown}` ({setting.where}), and {name_of(top)} has no {met.limit.what} "
            f"left: {complaint}{history_of(scene, top, holder, setting.row)}"
        )
    lowered = setting is not None and changed_row(scene, holder, setting.row) != ""
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


def changed_row(scene: Scene, holder: KubeObject, row: Row) -> str:
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


def history_of(scene: Scene, top: KubeObject, holder: KubeObject, row: Row) -> str:
    """Who changed it, and since when the program works with it."""
    edit, changed = last_edit(holder), changed_row(scene, holder, row)
    if edit is None or not changed:
        return ""
    starts = [c.started_at for p in scene.graph.pods_of(top) for c in containers_of(p) if c.started_at]
    since = min((s for s in starts if s >= edit.at), default=None)
    taken = f", and is in force since {name_of(top)} was started at {clock(since)}" if since else ""
    return f"; it was changed at {clock(edit.at)} by {edit.by} ({changed}){taken}"
