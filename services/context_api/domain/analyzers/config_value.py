"""Settings a crashing program complains about: a variable, a file or a value its log names, and where it is set.

Sees error lines beside the environment, arguments and mounted ConfigMaps of the failing containers, and
variables the program demands that nothing sets. Of a program that goes on running, only errors that say a setting's
name in words (`use-proxy-protocol`, "PROXY protocol"), with who edited the Service in front of it just before, and
warnings that repeat a setting with its value (none that only says what is deprecated); those of who carries calls account for callers whose calls go astray. Names the ConfigMap or Secret that holds the setting, else the
workload. A setting edited just before is told by `recent_change`. Cannot know what the value should be.

Rests on: kubernetes.io/docs, "Define Environment Variables", "Configure a Pod to Use a ConfigMap".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.config_match import (
    WARNS,
    Match,
    absent_variables,
    doubted,
    in_config,
    spelled_out,
    words_in,
)
from services.context_api.domain.containers import Container, containers_of, is_ready
from services.context_api.domain.dependencies import ASTRAY, PODS_READ, trouble_in
from services.context_api.domain.endings import last_words
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import carried, listened
from services.context_api.domain.kube import containers, entries, flat, listing, pod_spec, strings, text
from services.context_api.domain.log_levels import is_advice
from services.context_api.domain.logs import (
    Line,
    clusters,
    cut,
    is_narrative,
    last_lines,
    message_of,
    quote,
    shape_of,
)
from services.context_api.domain.names import resembles
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact, value_of
from services.context_api.domain.references import Reference
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog, KubeObject
from services.context_api.domain.trouble import SLACK, WINDOW
from services.context_api.domain.uses import used_by, values_of
from services.context_api.domain.wording import clock, name_of

NAME = "config_value"
_RUNNING = "log_errors"
SPELLED_OUT = 0.85
WARNED = 0.75
"""A program that warns goes on: less sure than an error that says the same."""
_CRASHES = frozenset({"pod_crash_loop", "probe_failure"})


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per failing workload and object that holds a setting its log complains about."""
    yield from _doubted(scene, seen)
    for symptom in seen:
        if symptom.analyzer == _RUNNING:
            yield from _spelled_out(scene, symptom)
        if symptom.analyzer not in _CRASHES or symptom.depth > Depth.process:
            continue
        failing = [
            c for pod in scene.graph.pods_of(symptom.about) if not is_ready(pod) for c in containers_of(pod)
        ]
        lines, facts = last_words(scene, failing)
        # A line about reaching somebody is told by who is reached; here only what is read from settings counts.
        lines = [line for line in lines if line.weight >= 2 and trouble_in(line.text) is None]
        if not lines:
            continue
        for workload in scene.graph.workloads_of(symptom.about):
            yield from _missing_variables(scene, symptom, workload, failing, lines, facts)
            yield from _bad_values(scene, symptom, workload, lines, facts)


def _spelled_out(scene: Scene, symptom: Observation) -> Iterator[Observation]:
    """A setting whose name the errors of a program that goes on running say in words."""
    logs = [
        (pod, log)
        for pod in scene.graph.pods_of(symptom.about)[:PODS_READ]
        for log in scene.snapshot.logs_of(pod.namespace, pod.name)
        if not log.previous
    ]
    lines = [line for line in clusters(log.text for _, log in logs) if trouble_in(line.text) is None]
    for workload in scene.graph.workloads_of(symptom.about):
        for use, config, key, value in values_of(scene.graph, workload):
            line = spelled_out(key, value, lines)
            if line:
                edit = last_edit(config)
                shown = f"{key}={cut(value_of(key, value), 120)}"
                yield _observation(
                    symptom,
                    config,
                    "SettingComplainedAbout",
                    f"{name_of(config)} sets `{shown}` ({use.where}), and the log of {name_of(symptom.about)} complains of just that: `{quote(line)}`{_door_edited(scene, symptom)}",
                    SPELLED_OUT,
                    [
                        evidence.field(
                            config, f"data.{key}", value_of(key, value), f"{name_of(config)}: {shown}"
                        ),
                        *symptom.facts[:2],
                    ],
                    remedies.edit(
                        config,
                        f"Make `{key}` in {name_of(config)} agree with what {name_of(symptom.about)} is sent.",
                    ),
                    onset=edit.at if edit is not None else symptom.onset,
                    latent=True,
                )
                return


def _doubted(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """A setting that the log of a program on the alert's way warns of by name and value, since its last start."""
    for top in listened(scene, seen):
        logs = [
            (pod, log)
            for pod in scene.graph.pods_of(top)[:PODS_READ]
            for log in scene.snapshot.logs_of(pod.namespace, pod.name)
            if not log.previous and WARNS.search(log.text)
        ]
        lines = list(
            {
                shape_of(line): line
                for _, log in logs
                for line in last_lines(log.text)
                if not is_narrative(line) and not is_advice(line)
            }.values()
        )
        for workload in scene.graph.workloads_of(top) if lines else ():
            for use, config, key, value in values_of(scene.graph, workload):
                line = doubted(key, value, lines)
                if line:
                    yield _doubt(scene, top, config, use, key, value, line, logs[0])
                    break


def _doubt(
    scene: Scene, top: KubeObject, config: KubeObject, use: Reference, key: str, value: str, line: str,
    said_by: tuple[KubeObject, ContainerLog],
) -> Observation:  # fmt: skip
    shown, edit = f"{key}={cut(value_of(key, value), 120)}", last_edit(config)
    changes = [str(c) for c in applied_changes(config, edit)] if edit is not None else []
    since = f"; it was edited at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    since += f" ({listing(changes, 3)})" if changes else ""
    victims = carried(scene, top)
    words = f"{name_of(config)} sets `{shown}` ({use.where}), and {name_of(top)} warns of that very value: `{cut(message_of(redact(line)), 240)}`{since}"
    words += f"; it carries the calls of {listing([name_of(v) for v in victims], 3)}" if victims else ""
    return Observation(
        about=config,
        reason="SettingWarnedOf",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=WARNED,
        facts=(
            evidence.field(config, f"data.{key}", value_of(key, value), f"{name_of(config)}: {shown}"),
            evidence.log_line(said_by[0], said_by[1].container, redact(line), 1),
        ),
        basis=("a warning in the log repeats the setting's name and value", "against it: the program goes on with it"),
        onset=edit.at if edit is not None else None,
        remediation=remedies.edit(
            config, f"Set `{key}` in {name_of(config)} to what the warning asks for.", restart=scene.graph.workload(top)
        ),
        explains=(
            Explains(top, WARNED, "it warns of this setting", deepest=Depth.process),
            *(Explains(v, ASTRAY, f"{name_of(top)} carries its calls", deepest=Depth.process) for v in victims),
        ),
        latent=True,
    )  # fmt: skip


def _door_edited(scene: Scene, symptom: Observation) -> str:
    """Of the Services in front: which was edited shortly before the complaints, for it may be the other side."""
    for service in scene.graph.services_in(symptom.about.namespace):
        edit = last_edit(service) if symptom.about in scene.graph.behind(service) else None
        began = symptom.onset or scene.now
        if edit is not None and began - WINDOW <= edit.at <= began + SLACK:
            return f"; {name_of(service)} in front of it was edited at {clock(edit.at)} by {edit.by}"
    return ""


def _bad_values(
    scene: Scene, symptom: Observation, workload: KubeObject, lines: list[Line], facts: list[Fact]
) -> Iterator[Observation]:
    found: list[tuple[KubeObject, Match, str]] = []
    uses: dict[int, tuple[KubeObject, list[Reference]]] = {}
    for use, config in used_by(scene.graph, workload, "ConfigMap"):
        uses.setdefault(id(config), (config, []))[1].append(use)
    for config, group in uses.values():
        match = in_config(config, group, lines)
        if match is not None:
            found.append((config, match, group[0].where))
    found += [(scene.graph.top(workload), match, where) for match, where in _inline(workload, lines)]
    if found:
        holder, match, where = max(found, key=lambda f: (f[1].strength, f[0].kind, f[0].name))
        yield _observation(
            symptom,
            holder,
            "BadConfigValue",
            f"{name_of(holder)} sets `{match.shown}` ({where}), which the program of {name_of(symptom.about)} complains about: `{quote(match.line)}`",
            match.strength,
            [
                evidence.field(
                    holder,
                    f"data.{match.key}" if holder.kind == "ConfigMap" else match.key,
                    match.shown,
                    f"{name_of(holder)}: {match.shown}",
                ),
                *facts[:2],
            ],
            remedies.edit(
                holder,
                f"Correct `{match.key}` in {name_of(holder)}.",
                restart=workload if holder.kind == "ConfigMap" else None,
            ),
        )


def _inline(workload: KubeObject, lines: list[Line]) -> Iterator[tuple[Match, str]]:
    """Variables and arguments written in the workload itself."""
    named = words_in(lines)
    for container in containers(pod_spec(workload)):
        where = f"env of container {text(container.get('name'))}"
        for variable in entries(container.get("env")):
            key, value = text(variable.get("name")), text(variable.get("value"))
            if not value:
                continue
            word = key if key in named else value if value in named and len(value) >= 3 else ""
            if word:
                yield (
                    Match(
                        key,
                        f"{key}={cut(value_of(key, value), 120)}",
                        named[word],
                        0.9 if word == key else 0.82,
                    ),
                    where,
                )
        for argument in [*strings(container.get("args")), *strings(container.get("command"))]:
            if argument.startswith("-"):
                flag = argument.split("=", 1)[0]
                heard = next(
                    (line for word, line in named.items() if word in (argument, flag, flag.lstrip("-"))), ""
                )
                if heard:
                    yield (
                        Match(flag, cut(value_of(flag, argument), 160), heard, 0.85),
                        f"an argument of container {text(container.get('name'))}",
                    )


def _missing_variables(
    scene: Scene,
    symptom: Observation,
    workload: KubeObject,
    failing: list[Container],
    lines: list[Line],
    facts: list[Fact],
) -> Iterator[Observation]:
    """A variable the program demands and nothing sets; a key spelled nearly like it is pointed out."""
    wanted = absent_variables(lines)
    if not wanted:
        return
    given: dict[str, KubeObject] = {}
    for container in containers(pod_spec(workload)):
        given.update({text(v.get("name")): scene.graph.top(workload) for v in entries(container.get("env"))})
    for use, config in used_by(scene.graph, workload, "ConfigMap", "Secret"):
        if use.where.startswith("envFrom"):
            given.update(dict.fromkeys(flat(config.body.get("data")), config))
    for variable, line in wanted.items():
        if variable in given:
            continue
        close = next((g for g in sorted(given) if resembles(g, variable)), "")
        holder = given[close] if close else scene.graph.top(workload)
        hint = f"; {name_of(holder)} sets `{close}`" if close else ""
        yield _observation(
            symptom,
            holder,
            "MissingVariable",
            f"The program of {name_of(symptom.about)} demands variable `{variable}`, which nothing sets{hint}: `{quote(line)}`",
            0.85,
            facts[:2],
            remedies.edit(holder, f"Set {variable}" + (f" (now `{close}`)." if close else ".")),
        )
        return


def _observation(
    symptom: Observation,
    holder: KubeObject,
    reason: str,
    words: str,
    strength: float,
    facts: list[Fact],
    remediation: Remediation,
    *,
    onset: datetime | None = None,
    latent: bool = False,
) -> Observation:
    return Observation(
        about=holder,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=strength,
        facts=tuple(facts),
        basis=("the program's log names the setting", "the setting stands in the configuration it was given"),
        onset=onset or symptom.onset,
        remediation=remediation,
        explains=(
            Explains(
                symptom.about, strength, "the program complains about this setting", deepest=Depth.process
            ),
        ),
        latent=latent,
    )
