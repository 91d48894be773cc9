"""Errors in the logs of workloads that look well, when the alert is about them or about who calls them, or about nobody.

Sees, in the logs of the alert's workload and of those its log complains about, whether errors make up a good part of
the last minutes before the recording. Latent: errors alone are no fault, and an alert elsewhere does not ask.
Not told, as it is how that program speaks: lines about clients that left; lines that call themselves warnings and
complain of nobody, or tell of tries with nobody they name that are made again, since well before the alert; and errors
that complain of nobody, are as old as the log, and are not felt in what the workload answers (a recorded share of
failures as low as before, response times as before).
What the log names (a resource it cannot reconcile, a pod it cannot evict, a caller it refuses) may be why. Lines without
a time are not counted. Cannot tell an error that matters from one that does not.

Rests on: kubernetes.io/docs, "Logging Architecture".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.dependencies import PODS_READ, blames, trouble_in
from services.context_api.domain.effect import harmed, unharmed
from services.context_api.domain.endings import quoted
from services.context_api.domain.focus import alerted
from services.context_api.domain.log_levels import is_modest
from services.context_api.domain.logs import (
    LINES,
    Line,
    clusters,
    merged,
    quote,
    readable,
    shape_of,
    telling,
    time_of,
    weigh,
)
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.routes import hosts, reached
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.told_of import blames_by_name
from services.context_api.domain.wording import name_of

NAME = "log_errors"
RECENT = timedelta(minutes=15)
FEWEST = 3
SHARE = 0.2
"""Errors must be at least this part of the lines of the last minutes. A guess; programs that are well write few."""

COMPLAINS = 0.5
"""Strength of a blame from which the log speaks of whom it blames; less has who is called and not spoken of."""

NAMES = 0.8
"""Strength of a blame from which the log says who it is; less has who may be meant."""

_AGAIN = re.compile(
    r"\b(?:again|retr(?:y|ies|ied|ying)|re-?tri(?:es|ed)|re-?sen[dt]\w*|re-?connect\w*|back(?:ing)?[- ]?off|attempt \d+|next (?:try|attempt))\b",
    re.IGNORECASE,
)
"""A program tells of a try that failed, and that it makes another by itself."""

EARLIER = timedelta(minutes=15)
"""What a log has said for so long before an alert did not begin it. A guess: most rules wait no longer."""

BEGINNING = 0.15
"""Part of a log's time within whose first errors that were there before it are met."""

MOST = 300
"""Logs read where a whole cluster is asked about; of several, each takes about a millisecond."""

_LEFT = re.compile(
    r"\b(?:from|by|to) (?:the )?client\b|\bclient (?:[\w-]+ ){0,3}?(?:closed|disconnected|went away|gone|aborted|timed out|reset)\b|"
    r"\bcontext cancell?ed\b|\bClientAbort",
    re.IGNORECASE,
)
"""A server tells that a client left: of whoever is served some always do."""

_URL = re.compile(r"https?://[^\s\"'`<>]{4,300}")
PAGE = 0.9
"""How surely the route that serves a URL is why its caller complains: nearly as surely as a Service that a line names."""

REFUSED = 0.8
"""How surely a caller that is refused, and says so, is why a server's log is full of refusals: more than the 0.7 by
which a caller's log points at the server that refuses it."""


@dataclass(frozen=True, slots=True)
class _Errors:
    pod: KubeObject
    container: str
    lines: list[Line]
    first: datetime
    begins: datetime
    """Where its log begins."""
    bad: int
    recent: int
    """Lines of the last minutes: errors, and all."""

    @property
    def many(self) -> bool:
        return self.bad >= FEWEST and self.bad >= SHARE * self.recent


def _enough(found: Sequence[_Errors], *, together: bool) -> list[_Errors]:
    """Those whose own log is full of errors; else all, where together they are as many: requests go to one pod or another.

    Not together where somebody asks about one object: there a complaint is a cause by itself, and a few are written always.
    """
    full = [e for e in found if e.many]
    if full or not together:
        return full
    bad, recent = sum(e.bad for e in found), sum(e.recent for e in found)
    return [e for e in found if e.bad] if bad >= FEWEST and bad >= SHARE * recent else []


def observe(scene: Scene) -> Iterator[Observation]:
    """One latent observation per workload whose log is full of errors, on the alert's way or refused by one that is."""
    foreign = _foreign(scene)
    todo = list(alerted(scene)) if scene.target is not None else _logged(scene)
    known = {id(top) for top in todo}
    for top in todo:
        pods = [p for p in scene.graph.pods_of(top) if is_ready(p)]
        found = _enough(
            [e for p in pods[:PODS_READ] for e in _errors(scene, p, foreign)], together=scene.target is None
        )
        if found:
            strangers = list(_strangers(scene, top, telling([line for e in found for line in e.lines])))
            todo += [s.on for s in strangers if id(s.on) not in known]
            known.update(id(s.on) for s in strangers)
            seen = _observation(scene, top, found, strangers)
            if not _as_ever(scene, seen, found):
                yield seen


def _as_ever(scene: Scene, seen: Observation, found: Sequence[_Errors]) -> bool:
    """Whether the errors are how that program speaks. They call themselves less than errors, and complain of nobody, or tell of
    tries that are made again, name nobody, are as old as a log that began well before the alert, and no harm of it is
    measured; or they complain of nobody, are as old as their log,
    and nothing of them is measured in what the workload answers."""
    lines = [line.text for e in found for line in e.lines]
    modest, trouble = all(map(is_modest, lines)), [line for line in lines if trouble_in(line)]
    old = all(e.first - e.begins <= (scene.now - e.begins) * BEGINNING for e in found)
    since = min(e.begins for e in found)
    before = scene.onset is not None and since < scene.onset - EARLIER
    surest = max((blame.strength for blame in seen.blames), default=0.0)
    if trouble and modest and old and before and surest < NAMES and all(map(_AGAIN.search, trouble)):
        return not harmed(scene, seen.about)
    if trouble or surest >= COMPLAINS:
        return False
    return modest or (old and unharmed(scene, seen.about, min(since, scene.onset or since)) is not None)


def _logged(scene: Scene) -> list[KubeObject]:
    """Where nobody says what the question is about, whoever's log was recorded: a second fault may show nowhere else."""
    tops = {id(top): top for top in map(scene.graph.top, scene.graph.workloads)}
    return [top for top in tops.values() if scene.deps.logged(top)][:MOST]


def _foreign(scene: Scene) -> frozenset[str]:
    """Host names of other routes than the alert's own: a controller serves many, and complains about each by its host."""
    if scene.target is None or scene.target.kind != "Ingress":
        return frozenset()
    return frozenset(h for route in scene.graph.of_kind("Ingress") for h in hosts(route)) - hosts(
        scene.target
    )


def _errors(scene: Scene, pod: KubeObject, foreign: frozenset[str]) -> Iterator[_Errors]:
    for log in scene.snapshot.logs_of(pod.namespace, pod.name):
        if log.previous:
            continue
        timed = [
            (moment, readable(line))
            for line in log.text[-LINES * 500 :].splitlines()[-LINES:]
            if (moment := time_of(line)) is not None
        ]
        recent = [(moment, line) for moment, line in timed if timedelta(0) <= scene.now - moment <= RECENT]
        bad = [
            (moment, line)
            for moment, line in recent
            if weigh(line) and not _LEFT.search(line) and not any(h in line for h in foreign)
        ]
        if recent:
            lines = telling(clusters(["\n".join(line for _, line in bad)])) if bad else []
            began = _began(timed, bad) if bad else scene.now
            begins = min(moment for moment, _ in timed)
            yield _Errors(pod, log.container, lines, began, begins, len(bad), len(recent))


def _began(timed: Sequence[tuple[datetime, str]], bad: Sequence[tuple[datetime, str]]) -> datetime:
    """When the log began to say what it says now: the first line of a shape that the last minutes' errors have."""
    shapes = {shape_of(line) for _, line in bad}
    return min(moment for moment, line in timed if weigh(line) and shape_of(line) in shapes)


def _strangers(scene: Scene, top: KubeObject, lines: Sequence[Line]) -> Iterator[Blame]:
    """Callers whom the log refuses and who complain of that themselves: the wrong password is on their side."""
    if not lines or any(trouble_in(line.text) != "auth" for line in lines):
        return
    for caller in {id(t): t for t in map(scene.graph.top, scene.graph.workloads)}.values():
        refused = [
            said
            for said in scene.deps.spoken(caller)
            if said.trouble == "auth" and said.found is not None and top in scene.deps.behind(said.found)
        ]
        if caller is not top and refused:
            yield Blame(caller, REFUSED, f"{name_of(caller)} is whom it refuses: `{quote(refused[0].line)}`")


def _pages(scene: Scene, lines: Sequence[Line]) -> Iterator[Blame]:
    """Routes of this cluster that serve the URLs which the lines complain about."""
    for url in dict.fromkeys(found for line in lines for found in _URL.findall(line.text)):
        route = reached(scene.graph, url)
        if route is not None:
            yield Blame(route, PAGE, f"{url} is served by it")


def _observation(
    scene: Scene, top: KubeObject, found: list[_Errors], strangers: Sequence[Blame]
) -> Observation:
    lines = telling(merged(line for e in found for line in e.lines))
    return Observation(
        about=top,
        reason="ErrorsInLog",
        text=f"{name_of(top)} runs and is ready, but its log is full of errors: {quoted(lines, 3)}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.45,
        facts=tuple(evidence.log_lines(e.pod, e.container, e.lines, previous=False) for e in found[:2]),
        basis=(
            "errors make up a good part of the last minutes' log",
            "against it: the kubelet sees nothing wrong",
        ),
        onset=min(e.first for e in found),
        remediation=remedies.look(top, f"Read the log of {name_of(top)}."),
        blames=(
            *blames(scene.deps, top, [line for line in lines if line.weight > 1]),
            *blames_by_name(scene.graph, top, lines),
            *_pages(scene, lines),
            *strangers,
        ),
        latent=True,
    )
