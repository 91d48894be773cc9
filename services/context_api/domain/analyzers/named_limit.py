"""Limits that a program says it has met in its own words, whatever program it is, and what sets them or fills them.

Sees, of workloads whose log is full of errors, two things. *Full*: an error says that as much is in use as may be
(`has [3000]/[3000] maximum shards`); told of who complains, with what was changed last of him and of what he reads,
however long ago, since what fills up does so slowly. *Named*: the log of whom he complains of, or his own, says the name
of a numeric setting where something is amiss, and a mounted ConfigMap or an argument sets it; told of what sets it, with
its value, who changed it from what, and since when the program works with it. Latent.
Cannot know whether the limit is too low or the use too high, nor see settings in images and Secrets.

Rests on: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps, and `own_limits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.limit_reached import Setting, changed_row, history_of
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.edits import changes_of
from services.context_api.domain.kube import containers, listing, pod_spec, strings, text
from services.context_api.domain.limits import limit_in
from services.context_api.domain.logs import LINES, cut, quote, readable, time_of
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.own_limits import all_in_use, numeric_rows, says_setting, word_of, words_of
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import WINDOW
from services.context_api.domain.uses import used_by, values_of
from services.context_api.domain.wording import clock, name_of

NAME = "named_limit"
_FULL = frozenset({"log_errors", "pod_crash_loop", "probe_failure"})

LOWERED, NAMED, FILLED = 0.85, 0.66, 0.64
"""How surely it is why: the setting was changed; it is named where something is amiss; all of something is in use."""


@dataclass(frozen=True, slots=True)
class _Said:
    pod: KubeObject
    container: str
    line: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per setting that is named, and one per complaining workload that met a limit nobody set here."""
    told: set[int] = set()
    for one in seen:
        if one.analyzer not in _FULL:
            continue
        for top in _whose(scene, one.about):
            found = _named(scene, top, one)
            if found is not None and id(found[0].holder) not in told:
                told.add(id(found[0].holder))
                yield _of_setting(scene, top, *found, one)
        if id(one.about) not in told and (full := _full(scene, one.about)) is not None:
            told.add(id(one.about))
            yield _of_use(scene, full, one)


def _whose(scene: Scene, top: KubeObject) -> list[KubeObject]:
    """Whoever complains, and the workloads that he complains of."""
    called = [
        behind
        for said in scene.deps.spoken(top)
        if said.found is not None and said.found not in scene.deps.resolvers
        for behind in scene.deps.behind(said.found)
    ]
    return list({id(t): t for t in (*called, top)}.values())


def _named(scene: Scene, top: KubeObject, one: Observation) -> tuple[Setting, _Said] | None:
    settings = list(_settings(scene, top))
    for pod in scene.graph.pods_of(top)[:PODS_READ] if settings else ():
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            lines = [
                line
                for line in log.text[-LINES * 500 :].splitlines()[-LINES:]
                if _is_of_now(scene, line, one)
            ]
            spoken = words_of(lines)
            for setting in (s for s in settings if word_of(s.row) in spoken):
                line = says_setting(setting.row, lines)
                # Known limits are told by `limit_reached`, which knows what they are limits of.
                if line and limit_in(line) is None:
                    return setting, _Said(pod, log.container, redact(cut(readable(line), 240)))
    return None


def _is_of_now(scene: Scene, line: str, one: Observation) -> bool:
    moment = time_of(line)
    return moment is None or moment >= (one.onset or scene.onset or scene.now) - WINDOW


def _settings(scene: Scene, top: KubeObject) -> Iterator[Setting]:
    for workload in scene.graph.workloads_of(top):
        for _, config, key, value in values_of(scene.graph, workload):
            number = "\n" not in value.strip() and value.strip()[:1].isdigit()
            body = f"{key}={value}" if number else value
            yield from (Setting(config, f"key {key}", row) for row in numeric_rows(body))
        for container in containers(pod_spec(workload)):
            words = [*strings(container.get("command")), *strings(container.get("args"))]
            flags = "\n".join(word.lstrip("-") for word in words)
            where = f"an argument of container {text(container.get('name'))}"
            yield from (Setting(scene.graph.top(workload), where, row) for row in numeric_rows(flags))


def _full(scene: Scene, top: KubeObject) -> tuple[_Said, str, int] | None:
    """The error that says so, what is used up in its words, and how often it was said."""
    found: tuple[_Said, str, int] | None = None
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in log.text[-LINES * 500 :].splitlines()[-LINES:]:
                what = all_in_use(line)
                if what and limit_in(line) is None:
                    said = _Said(pod, log.container, redact(cut(readable(line), 400)))
                    found = (found[0], found[1], found[2] + 1) if found is not None else (said, what, 1)
    return found


def _of_setting(
    scene: Scene, top: KubeObject, setting: Setting, said: _Said, one: Observation
) -> Observation:
    holder, row = setting.holder, setting.row
    lowered = changed_row(scene, holder, row) != ""
    other = "" if one.about is top else f", while {name_of(one.about)} complains of it"
    return Observation(
        about=holder,
        reason="LimitNamed",
        text=(
            f"{name_of(holder)} sets `{row.shown}` ({setting.where}), and the log of {name_of(top)} names that setting where "
            f"something is amiss{other}: `{said.line}`{history_of(scene, top, holder, row)}"
        ),
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=LOWERED if lowered else NAMED,
        facts=(
            evidence.field(holder, setting.where, row.shown, f"{name_of(holder)}: {row.shown}"),
            evidence.log_line(said.pod, said.container, said.line, 1),
        ),
        basis=(
            "the log says the setting's own name where something is amiss",
            "its value was changed" if lowered else f"{AGAINST}nobody changed its value",
        ),
        onset=one.onset,
        remediation=remedies.edit(
            holder, f"Set {row.setting} as {name_of(top)} needs it.", restart=top if holder.kind == "ConfigMap" else None
        ),
        explains=tuple(
            Explains(about, 0.9, f"{name_of(top)} meets its setting {row.setting}", deepest=Depth.process)
            for about in {id(o): o for o in (top, one.about)}.values()
            if about is not holder
        ),
        latent=True,
    )  # fmt: skip


def _of_use(scene: Scene, full: tuple[_Said, str, int], one: Observation) -> Observation:
    said, what, count = full
    return Observation(
        about=one.about,
        reason="AllInUse",
        text=(
            f"{name_of(one.about)} is told that as much is in use as may be (`{what}`): `{quote(said.line)}`"
            f"{f' (×{count})' if count > 1 else ''}{_changes(scene, one.about)}"
        ),
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=FILLED,
        facts=(evidence.log_line(said.pod, said.container, said.line, count),),
        basis=(
            "the log says in the program's own words that a limit is met",
            f"{AGAINST}who uses it up is not said",
        ),
        onset=one.onset,
        remediation=remedies.look(
            one.about, f"Find out what uses it up, and whether {name_of(one.about)} asks for more than it should."
        ),
        latent=True,
    )  # fmt: skip


def _changes(scene: Scene, top: KubeObject) -> str:
    """What was changed last of the files that it reads, however long ago: what fills up does so slowly."""
    told = []
    for workload in scene.graph.workloads_of(top):
        for config in {
            config.name: config for _, config in used_by(scene.graph, workload, "ConfigMap")
        }.values():
            edit = last_edit(config)
            if edit is not None and (changes := changes_of(scene, config, edit)):
                told.append(
                    f"; {name_of(config)}, which it reads, was edited at {clock(edit.at)} by {edit.by} ({listing([str(c) for c in changes], 3)})"
                )
    return "".join(told[:2])
