"""An API server that lets its clients wait or refuses them, and which client asks it so much more than before.

Sees, in recorded metrics, the API server's own response times that rose and requests that its priority levels refuse
(`apiserver_flowcontrol_rejected_requests_total`); and, of each client, how many requests it sends
(`rest_client_requests_total`, which every program built on client-go counts). A client that sends several times as many
as before since then, and most of all that is counted, is why, with what its rollout just before changed. Who is refused,
or asks for the same as ever, is not.
Cannot see clients that count nothing, nor a slow etcd beneath.

Rests on: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/,
https://kubernetes.io/docs/reference/instrumentation/metrics/,
https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapierrorbudgetburn/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import listing
from services.context_api.domain.latency import is_timed, seconds, slow
from services.context_api.domain.metrics import Series, moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.resolve import owner_by_name
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import Points, Step, stepped
from services.context_api.domain.wording import clock, name_of

NAME = "api_load"
_COMPLAINS = "log_errors"
RISEN = 5.0
"""Times as many requests as before. A guess: a controller that restarts lists everything once, and is done."""

MOST = 0.5
"""Share of all counted requests from which one client is why."""

BEFORE, SLACK = timedelta(hours=1), timedelta(minutes=10)
"""A client's requests may rise so long before the server feels it, or seem to do so so much later: rates are averages."""

_ITS_WORDS = re.compile(
    r"the server has received too many requests|request did not complete within|unable to return a response in the time allotted"
)
"""With which the API server's clients say that it refused them or let them wait (apimachinery, `api/errors`)."""

_SENT = re.compile(r"\brest_client_requests_total\b")
_REFUSED = re.compile(r"\bapiserver_flowcontrol_rejected_requests_total\b")
_LONG_LIVED = frozenset({"WATCH", "WATCHLIST", "CONNECT", "PROXY"})
"""Requests that last as long as somebody wants them to: how long they take tells nothing."""

_DURATION = re.compile(r"\bapiserver_request(?:_sli|_slo)?_duration_seconds")


@dataclass(frozen=True, slots=True)
class _Client:
    top: KubeObject
    sent: Points
    """Requests a second of all its pods together, those that are gone included."""
    series: Sequence[Series]

    @property
    def now(self) -> float:
        return self.sent[-1][1]


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation about the API server's own Service."""
    server = scene.graph.get("Service", "default", "kubernetes")
    felt = list(_felt(scene)) if server is not None else []
    if server is None or not felt:
        return
    since = moment_of(min(step.since for _, step, _ in felt))
    yield Observation(
        about=server,
        reason="ApiServerOverloaded",
        text=f"The API server does not keep up with its clients since {clock(since)}: {listing(list(dict.fromkeys(words for _, _, words in felt)), 3)}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.55,
        facts=tuple(evidence.metric(series, server) for series, _, _ in felt[:2]),
        basis=("the API server's own metrics",),
        onset=since,
        remediation=remedies.look(server, "Look at which client sends how many requests."),
        latent=True,
    )


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """The client that asks so much more, where the API server does not keep up."""
    why = next((o for o in seen if o.reason == "ApiServerOverloaded"), None)
    clients = sorted(_clients(scene), key=lambda c: (-c.now, str(c.top))) if why is not None else []
    total = sum(client.now for client in clients)
    step = stepped(clients[0].sent, RISEN) if clients and clients[0].now >= MOST * total else None
    since = moment_of(step.since) if step is not None else None
    if why is None or step is None or since is None:
        return
    if why.onset is None or why.onset - BEFORE <= since <= why.onset + SLACK:
        victims = [
            o.about for o in seen if o.analyzer == _COMPLAINS and scene.deps.mentions(o.about, _ITS_WORDS)
        ]
        yield _observation(scene, why, clients[0], step, since, clients[0].now / total, victims)


def _felt(scene: Scene) -> Iterator[tuple[Series, Step, str]]:
    """What the server's metrics show of it: requests refused that were not before, answers that take longer."""
    for series in scene.metrics.all:
        said = f"{series.name} {series.query}"
        if _REFUSED.search(said) and (step := stepped(_over(series.points), RISEN)) is not None:
            level = series.labels.get("priority_level", "")
            yield series, step, f"it refuses {step.after:.3g} requests a second" + (f" of priority level {level}" if level else "")  # fmt: skip
        elif _DURATION.search(said) and is_timed(series) and (found := slow(series)) is not None:
            verb = series.labels.get("verb", "")
            if verb in _LONG_LIVED:
                continue
            yield series, found.step, f"{verb or 'requests'} take{'s' if verb else ''} {seconds(found.after)}, {seconds(found.before)} before"  # fmt: skip


def _over(points: Points) -> Points:
    """The same with nothing below a refusal in a minute, so that a rise from none is one from little."""
    return [(moment, max(value, 1 / 60)) for moment, value in points]


def _clients(scene: Scene) -> list[_Client]:
    """Who sends how many requests, from the first query that counts them; pods before a rollout are their owner's too."""
    counted = [s for s in scene.metrics.all if _SENT.search(f"{s.name} {s.query}") and "rate(" in s.query]
    axis = sorted({moment for s in counted if s.query == counted[0].query for moment, _ in s.points})
    found: dict[int, tuple[KubeObject, list[Series]]] = {}
    for series in counted:
        top = _sender(scene, series) if series.query == counted[0].query else None
        if top is not None:
            found.setdefault(id(top), (top, []))[1].append(series)
    return [_Client(top, _together(axis, members), members) for top, members in found.values()]


def _sender(scene: Scene, series: Series) -> KubeObject | None:
    namespace = series.labels.get("exported_namespace") or series.labels.get("namespace")
    name = series.labels.get("exported_pod") or series.labels.get("pod", "")
    found = scene.graph.get("Pod", namespace, name) or owner_by_name(scene.graph, "Pod", namespace, name)
    return scene.graph.top(found) if found is not None else None


def _together(axis: Sequence[float], members: Sequence[Series]) -> Points:
    sums = dict.fromkeys(axis, 0.0)
    for series in members:
        for moment, value in series.points:
            sums[moment] += value
    return list(sums.items())


def _observation(
    scene: Scene, why: Observation, client: _Client, step: Step, since: datetime, share: float,
    victims: Sequence[KubeObject],
) -> Observation:  # fmt: skip
    top = client.top
    words = f"{name_of(top)} sends the API server {step.after:.3g} requests a second since {clock(since)}, {step.before:.2g} before: {share:.0%} of all that clients count"
    changed = _changed(scene, top, since)
    words += f"; {changed}" if changed else ""
    return Observation(
        about=top,
        reason="FloodsApiServer",
        text=f"{words}. {why.text}",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85 if changed else 0.75,
        facts=(*(evidence.metric(series, top) for series in client.series[:2]), *why.facts[:1]),
        basis=(
            "the clients' own counters: its requests rose, the others' did not",
            "the API server's metrics turned bad at that time",
            *(("it was changed just before",) if changed else ()),
        ),
        onset=since,
        remediation=remedies.undo_rollout(scene.graph.workload(top), ", which asked the API server less")
        if changed
        else remedies.look(top, f"Look at what {name_of(top)} asks the API server for, and how often."),
        explains=tuple(
            Explains(one, 0.9, f"{name_of(top)} keeps the API server busy", deepest=Depth.process)
            for one in (why.about, *(v for v in victims if v is not top))
        ),
    )


def _changed(scene: Scene, top: KubeObject, since: datetime) -> str:
    """What its rollout just before changed, in words."""
    for workload in scene.graph.workloads_of(top):
        rollout = scene.rollouts.of(workload)
        if rollout is not None and rollout.told and since - BEFORE <= rollout.at <= since + SLACK:
            by = f" by {rollout.by}" if rollout.by else ""
            return f"it was rolled out at {clock(rollout.at)}{by} ({listing(rollout.told, 4)})"
    return ""
