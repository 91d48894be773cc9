"""Requests that take much longer than they did: the alert on latency is true, though every object looks well.

Sees recorded response times (`latency`) that rose and stayed high. A symptom, and latent: it says who waits since when,
not why. It blames the workload behind the Service, and what that calls: most what is itself slow by the record or what
its log calls slow, little what answers as fast as before.
Cannot see calls that neither settings nor logs name, nor how much of the time is spent in which call.

Rests on: https://sre.google/sre-book/monitoring-distributed-systems/ (latency),
https://prometheus.io/docs/practices/histograms/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import listing, text
from services.context_api.domain.latency import Times, measure_of, pod_of, seconds, times
from services.context_api.domain.logs import is_narrative, last_lines, quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.past_trouble import outlasted
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "slow_requests"
ALSO_SLOW, CALLED_SLOW, UNKNOWN, AS_FAST = 0.9, 0.85, 0.5, 0.1
"""How surely a fault of what is called explains the wait: it is slow too; a log says so; nobody measured; it is not."""

_SLOW = re.compile(r"\bslow|\btook\b|\blatency|\bduration", re.IGNORECASE)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per Service or workload whose requests became slow."""
    known = times(scene.graph, scene.metrics) if scene.metrics.all else ()
    for one in known:
        if one.slow and not outlasted(scene, one.worst.series, one.about):
            yield _observation(scene, one, known)


def _observation(scene: Scene, one: Times, known: Sequence[Times]) -> Observation:
    worst, about = one.worst, one.about
    words = (
        f"{name_of(about)}: its requests take {seconds(worst.after)} ({measure_of(worst.series)}) since {clock(worst.since)}, "
        f"{seconds(worst.before)} before"
    )
    pods = {p.name: p for s in one.slow if (p := pod_of(scene.graph, s.series)) is not None}
    fast = [s for s in one.well if pod_of(scene.graph, s) is not None]
    if pods:
        where = [f"{p.name} on node {text(p.spec.get('nodeName'))}" for p in pods.values()]
        words += f", on {listing(where)}" + (f" alone, {len(fast)} other pods as before" if fast else "")
    words += f" (recorded metric `{worst.series.query[:160]}`)"
    return Observation(
        about=about,
        reason="RequestsSlow",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.4,
        facts=tuple(evidence.metric(s.series, about) for s in one.slow[:2]),
        basis=("a recorded metric of response times, before and since",),
        onset=worst.since,
        remediation=remedies.look(about, f"Look at what {name_of(about)} waits for."),
        blames=tuple(_blames(scene, about, known)),
        latent=True,
    )


def _blames(scene: Scene, about: KubeObject, known: Sequence[Times]) -> Iterator[Blame]:
    tops = scene.graph.behind(about) if about.kind == "Service" else [about]
    slow = {id(t): t for one in known if one.slow for t in _tops(scene, one.about)}
    well = {id(t): t for one in known if not one.slow for t in _tops(scene, one.about)}
    for top in tops:
        if top is not about:
            yield Blame(top, 0.9, f"its pods stand behind Service {about.name}")
        called = {id(m.found): (m.found, m.where) for m in scene.deps.configured(top) if m.found is not None}
        for found, where in called.values():
            behind = scene.deps.behind(found)
            if line := _waited_for(scene, top, found):
                yield Blame(found, ALSO_SLOW, f"its log waits for {found.name} in vain: `{line}`")
            elif any(id(t) in slow for t in behind):
                yield Blame(found, ALSO_SLOW, f"{where} names {found.name}, whose requests became slow too")
            elif any(id(t) in well for t in behind):
                yield Blame(found, AS_FAST, f"{where} names {found.name}, which answers as fast as before")
            elif line := _said_slow(scene, top, found):
                yield Blame(found, CALLED_SLOW, f"its log calls {found.name} slow: `{line}`")
            else:
                yield Blame(
                    found, UNKNOWN, f"{where} names {found.name}, whose response times nobody recorded"
                )


def _waited_for(scene: Scene, top: KubeObject, called: KubeObject) -> str:
    """A line of its log about a call that was not answered in time.

    It outweighs what the called program measures of itself, which begins with a request that it has taken.
    """
    heard = (s for s in scene.deps.spoken(top) if s.found is called and s.trouble in ("timeout", "other"))
    return next((quote(said.line) for said in heard), "")


def _tops(scene: Scene, about: KubeObject) -> list[KubeObject]:
    return scene.graph.behind(about) if about.kind == "Service" else [about]


def _said_slow(scene: Scene, top: KubeObject, called: KubeObject) -> str:
    """A line of its log that names what it calls and speaks of the time that takes."""
    name = re.compile(rf"(?<![\w.-]){re.escape(called.name)}(?![\w-])")
    for pod in scene.graph.pods_of(top)[:3]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            for line in last_lines(log.text):
                if name.search(line) and _SLOW.search(line) and not is_narrative(line):
                    return quote(line)
    return ""
