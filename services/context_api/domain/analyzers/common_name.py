"""What a log complains of and somebody else's settings name too: two that meet at a topic, a table or an address.

Sees, in the logs of failing workloads and of those an alert leads to, errors and warnings that go on and say a name
(`common_names`) which another workload or a platform's object names in its settings. That one is told where something is
wrong with it (it does not work, is suspended), or where it was changed: a rollout or an edit of what it reads within the
hour before the first such line; of what runs by a schedule an edit since its last run, however long ago, for it is in
force with the next. Where nothing at all is seen of the alert's object, those whom its settings name are listened to.
Latent.
Cannot know who writes and who reads, nor what was agreed between the two; a name that many share is left alone.

Rests on: https://sre.google/workbook/data-processing/ (dependencies between pipelines),
https://kafka.apache.org/documentation/#intro_concepts_and_terms (producers and consumers know the topic alone),
https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ (a change applies to runs after it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import Edit, FieldChange, applied_changes, last_applied, last_edit
from services.context_api.domain.common_names import Naming, names_in, namings, own_names
from services.context_api.domain.config_match import speaks_of
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.edits import changes_of
from services.context_api.domain.focus import alerted, concerned
from services.context_api.domain.kube import at, listing, text
from services.context_api.domain.log_levels import is_advice
from services.context_api.domain.logs import (
    LINES,
    Line,
    cut,
    is_narrative,
    quote,
    readable,
    shape_of,
    time_of,
    weigh,
)
from services.context_api.domain.observation import AGAINST, Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.rollouts import RESTARTED
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.trouble import SLACK, WINDOW
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "common_name"
RECENT = timedelta(minutes=15)
"""How long before a log's end (or now) a line still tells of what is the matter now."""

FEWEST = 3
"""Lines of one shape from a program that goes on; one that ended says it once."""

SHARE = 0.2
"""Complaints must be at least this part of the last minutes' lines. A guess, as in `log_errors`."""

FEW = 6
"""Fields a manager may own for its last write to be read as a change of just these."""

FARTHEST = 3
"""Calls that are followed by settings alone, where nothing is heard."""

TIED = 0.8
"""How surely one that does not work and names the same thing is why: nobody knows what it does there."""

CALLED = 0.6
"""How surely one that complains is why a caller, which says nothing, is not well."""

_WARNS = re.compile(r"\bWARN(?:ING)?\b|level=warn|\"level\": ?\"warn", re.IGNORECASE)
_IDLE = frozenset({"Suspended", "ScaledToZero"})


@dataclass(frozen=True, slots=True)
class _Said:
    """Lines of one shape that complain, of one workload."""

    top: KubeObject
    pod: KubeObject
    container: str
    line: str
    count: int
    first: datetime | None

    @property
    def shown(self) -> str:
        return f"`{quote(self.line)}`" + (f" (×{self.count})" if self.count > 1 else "")


@dataclass(frozen=True, slots=True)
class _Change:
    """What was changed about one who names the same thing."""

    about: KubeObject
    edit: Edit
    changes: tuple[FieldChange, ...]
    how: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """Faults of others again, tied to who complains; one latent observation per change; and who complains."""
    heard, callers = _listeners(scene, seen)
    said = [one for top in heard for one in _complaints(scene, top)]
    words = {name: one for one in reversed(said) for name in names_in(one.line)}
    known = own_names(scene.graph) if words else frozenset()
    named = namings(scene.graph, words.keys() - known)
    tied: dict[int, _Said] = {}
    told: set[tuple[int, int]] = set()
    for name in sorted(named, key=lambda n: (-len(n), n)):
        for naming in named[name]:
            one = words[name]
            if naming.holder is one.top or (id(naming.holder), id(one.top)) in told:
                continue
            found = list(_leads(scene, seen, one, name, naming))
            if found:
                told.add((id(naming.holder), id(one.top)))
                tied.setdefault(id(one.top), one)
                yield from found
    for one in tied.values():
        if not any(o.about is one.top and o.depth < Depth.mechanism for o in seen):
            yield _complains(one)
        for caller in callers.get(id(one.top), ()):
            yield _calls(caller, one)


def _listeners(
    scene: Scene, seen: Sequence[Observation]
) -> tuple[list[KubeObject], dict[int, list[KubeObject]]]:
    """Whose logs are read; and of those that were found by settings alone, who calls them: the alert's own workloads."""
    tops = concerned(scene, seen)
    asked = alerted(scene)
    if not asked or any(o.depth < Depth.mechanism and any(o.about is t for t in asked) for o in seen):
        return tops, {}
    callers: dict[int, list[KubeObject]] = {}
    for start in asked:
        level, met = [start], {id(t) for t in asked}
        for _ in range(FARTHEST):
            onward = [
                top
                for obj in level
                for mention in scene.deps.configured(obj)
                if mention.found is not None
                for top in scene.deps.behind(mention.found)
            ]
            level = list({id(t): t for t in onward if id(t) not in met}.values())
            met.update(id(t) for t in level)
            for top in level:
                callers.setdefault(id(top), []).append(start)
            tops += [t for t in level if not any(t is known for known in tops)]
    return tops, callers


def _complaints(scene: Scene, top: KubeObject) -> Iterator[_Said]:
    """What its log goes on to complain of, one per shape; of pods that ended badly, what they said at the end."""
    found: dict[str, _Said] = {}
    lines = bad = 0
    ended = False
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        if pod.status.get("phase") == "Succeeded":
            continue
        failed = pod.status.get("phase") == "Failed"
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            timed = [
                (time_of(raw), readable(raw)) for raw in log.text[-LINES * 500 :].splitlines()[-LINES:] if raw
            ]
            last = max((m for m, _ in timed if m is not None), default=None)
            since = (last if failed or log.previous else scene.now) or scene.now
            recent = [x for m, x in timed if m is not None and timedelta(0) <= since - m <= RECENT]
            complaints = [x for x in recent if _complains_in(x)]
            lines, bad, ended = lines + len(recent), bad + len(complaints), ended or failed or log.previous
            begun: dict[str, datetime] = {}
            for moment, x in timed if complaints else ():
                if moment is not None:
                    begun.setdefault(shape_of(x), moment)
            for line in complaints:
                shape = shape_of(line)
                held, first = found.get(shape), begun.get(shape)
                if held is None:
                    found[shape] = _Said(top, pod, log.container, line, 1, first)
                else:
                    earlier = min((m for m in (held.first, first) if m is not None), default=None)
                    found[shape] = replace(held, count=held.count + 1, first=earlier)
    if ended or bad >= SHARE * max(lines, 1):
        yield from (one for one in found.values() if ended or one.count >= FEWEST)


def _complains_in(line: str) -> bool:
    """An error, or a warning that does more than advise."""
    return bool(weigh(line) or (_WARNS.search(line) and not is_advice(line))) and not is_narrative(line)


def _leads(
    scene: Scene, seen: Sequence[Observation], one: _Said, name: str, naming: Naming
) -> Iterator[Observation]:
    """What is wrong with the other, else what was changed about it before the first such line."""
    idle = [
        o
        for o in seen
        if o.about is naming.holder and o.depth is not Depth.change and (not o.latent or o.reason in _IDLE)
    ]
    for o in idle:
        why = f"{name_of(one.top)} complains of {name}, which the settings of {name_of(naming.holder)} name"
        yield replace(o, explains=(*o.explains, Explains(one.top, TIED, why)))
    if not idle:
        changes = list(_changed(scene, one, naming))
        if changes:
            best = max(changes, key=lambda c: (_spoken(one, c), c.edit.at, c.about.name))
            yield _observation(one, name, naming, best)


def _changed(scene: Scene, one: _Said, naming: Naming) -> Iterator[_Change]:
    holder = naming.holder
    edit = last_edit(holder)
    workloads = scene.graph.workloads_of(holder)
    if not workloads and edit is not None and _before(scene, one, edit.at):
        yield _Change(holder, edit, _fields(holder, edit), "its spec")
    for workload in workloads:
        edit = last_edit(workload)
        if workload.kind == "CronJob" and edit is not None and _since_its_run(workload, edit):
            if edit.at <= (one.first or scene.now):
                yield _Change(workload, edit, _fields(workload, edit), "no run of it has started since")
            continue
        rollout = scene.rollouts.of(workload)
        # A restart changes nothing by itself: what its pods read since is what was changed.
        changes = (
            [c for c in rollout.changes if RESTARTED not in f"{c.path} {c.before} {c.after}"]
            if rollout
            else []
        )
        if rollout is not None and changes and _before(scene, one, rollout.at):
            made = Edit(rollout.at, rollout.by or "a rollout", ())
            yield _Change(holder, made, tuple(changes), "a rollout")  # fmt: skip
        for use, config in used_by(scene.graph, workload, "ConfigMap", "Secret"):
            edit = last_edit(config)
            if edit is not None and _before(scene, one, edit.at):
                how = f"{name_of(workload)} uses it, {use.where}"
                yield _Change(config, edit, tuple(changes_of(scene, config, edit)), how)  # fmt: skip


def _before(scene: Scene, one: _Said, moment: datetime) -> bool:
    first = one.first or scene.onset or scene.now
    return first - WINDOW <= moment <= first + SLACK


def _since_its_run(cron: KubeObject, edit: Edit) -> bool:
    """Whether its spec was changed and it has not started a run since: the change is in force with the next."""
    ran = parse_time(cron.status.get("lastScheduleTime"))
    return any(p.startswith("spec") for p in edit.paths) and (ran is None or ran < edit.at)


def _fields(obj: KubeObject, edit: Edit) -> tuple[FieldChange, ...]:
    """Fields before and after; of a write of a few fields that were not applied before, what they are now."""
    known = applied_changes(obj, edit)
    if known or len(edit.paths) > FEW:
        return tuple(known)
    before = last_applied(obj)
    return tuple(
        FieldChange(path, text(at(before, *path.split("."))), cut(text(at(obj.body, *path.split("."))), 160))
        for path in edit.paths
        if path.startswith("spec")
    )


def _spoken(one: _Said, change: _Change) -> bool:
    """Whether the complaint says a value that was changed."""
    return bool(speaks_of(change.changes, [Line(one.line, one.count, 2)], file_too=False))


def _observation(one: _Said, name: str, naming: Naming, change: _Change) -> Observation:
    shown = listing([str(c) for c in change.changes] or list(change.edit.paths), 5)
    spoken = _spoken(one, change)
    holder = naming.holder
    words = (
        f"{name_of(one.top)} complains of {name}, which the settings of {name_of(holder)} name as well ({naming.where}): {one.shown}; "
        f"{name_of(change.about)} was changed at {clock(change.edit.at)} by {change.edit.by} ({change.how})"
        + (f": {shown}" if shown else "")
        + (f"; the first such line was printed at {clock(one.first)}" if one.first is not None else "")
    )
    return Observation(
        about=change.about,
        reason="ChangedBesideCommonName",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.change,
        certainty=0.9 if spoken else 0.76,
        facts=(
            evidence.change(
                change.about,
                f"{name_of(change.about)} changed by {change.edit.by}: {shown}",
                {"by": change.edit.by, "changes": [str(c) for c in change.changes[:20]]},
                change.edit.at,
            ),
            evidence.log_line(one.pod, one.container, redact(cut(one.line)), one.count),
        ),
        basis=(
            f"a log complains of {name}, and few name it",
            "the log says what was changed" if spoken else f"{AGAINST}the log does not say what was changed",
            "changed before the first such line",
        ),
        onset=change.edit.at,
        remediation=remedies.edit(
            change.about, f"Check whether the change of {name_of(change.about)} was meant, and whether {name_of(one.top)} can do with it."
        ),
        explains=(Explains(one.top, 0.93 if spoken else 0.85, f"both name {name}", deepest=Depth.process),),
        latent=True,
    )  # fmt: skip


def _complains(one: _Said) -> Observation:
    return Observation(
        about=one.top,
        reason="WarnsInLog",
        text=f"{name_of(one.top)} runs, but its log goes on to complain: {one.shown}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.4,
        facts=(evidence.log_line(one.pod, one.container, redact(cut(one.line)), one.count),),
        basis=("complaints are a good part of the last minutes' log",),
        onset=one.first,
        remediation=remedies.look(one.top, f"Read the log of {name_of(one.top)}."),
        latent=True,
    )


def _calls(caller: KubeObject, one: _Said) -> Observation:
    """That the alert's own workload, of which nothing is seen, calls one that complains."""
    return Observation(
        about=caller,
        reason="CallsWhoComplains",
        text=f"Nothing is seen of {name_of(caller)} itself, but {name_of(one.top)}, which it calls, complains: {one.shown}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.3,
        facts=(evidence.log_line(one.pod, one.container, redact(cut(one.line)), one.count),),
        basis=("its settings lead to who complains", f"{AGAINST}it complains of nothing itself"),
        remediation=remedies.look(one.top, f"Read the log of {name_of(one.top)}."),
        blames=(Blame(one.top, CALLED, f"{name_of(caller)} calls it, and it complains"),),
        latent=True,
    )
