"""Who uses up a quota that callers of one server share, when another caller is refused for it.

Sees, in the logs of the workloads an alert leads to, answers that say a quota or rate is exceeded (429 and its words),
and what recorded metrics of requests to that host say of who sends how many; without metrics, the one other workload
whose settings or log name the host. The largest other caller is the cause, together with what was edited of its settings
before it started. Latent.
Cannot see callers outside the cluster, nor how large the quota is; silent where the refused caller sends most itself.

Rests on: https://www.rfc-editor.org/rfc/rfc6585#section-4 (429),
https://cloud.google.com/docs/quotas/troubleshoot (quotas are of a project, whoever asks),
https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ (server.address).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.edits import changes_of
from services.context_api.domain.focus import listened
from services.context_api.domain.kube import containers, entries, flat, listing, pod_spec, strings, text
from services.context_api.domain.latency import subject
from services.context_api.domain.logs import cut
from services.context_api.domain.metrics import Series
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "quota_shared"
MOST = 0.6
"""Share of all requests from which one caller is who uses the quota up."""

LATELY = timedelta(days=7)
"""An edit this long before a caller's start may be why it asks more. A guess: jobs run daily or weekly."""

_REFUSED = re.compile(
    r"\b429\b|too many requests|quota|rate.?limit|resource_?exhausted|throttl", re.IGNORECASE
)
_LABELS = (
    "destination", "destination_host", "destination_service", "host", "server_address", "http_host", "peer",
    "peer_service", "remote", "upstream", "url_host", "target_host",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Caller:
    top: KubeObject
    share: float
    """Of all requests to the host; 0 where nobody counted."""
    rate: float
    series: Series | None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per host and who uses its quota up."""
    told: set[tuple[str, int]] = set()
    for top in listened(scene, seen):
        for said in scene.deps.spoken(top):
            host = said.host.name if said.host is not None else ""
            if not host or not _REFUSED.search(said.line):
                continue
            caller = _largest(scene, host, top)
            if caller is None or caller.top is top or (host, id(caller.top)) in told:
                continue
            told.add((host, id(caller.top)))
            yield _observation(scene, top, host, said, caller)


def _largest(scene: Scene, host: str, refused: KubeObject) -> _Caller | None:
    """The caller that sends most to the host; None where nobody counted and several could be it."""
    sent: dict[int, tuple[KubeObject, float, Series]] = {}
    for series in scene.metrics.all:
        about = subject(scene.graph, series) if _counts(series, host) else None
        if about is not None:
            before = sent[id(about)][1] if id(about) in sent else 0.0
            sent[id(about)] = (about, before + sum(v for _, v in series.points) / len(series.points), series)
    total = sum(rate for _, rate, _ in sent.values())
    if total > 0:
        top, rate, series = max(sent.values(), key=lambda s: (s[1], s[0].name))
        return _Caller(top, rate / total, rate, series) if rate >= MOST * total else None
    others = [t for t in _named_by(scene, host) if t is not refused]
    return _Caller(others[0], 0.0, 0.0, None) if len(others) == 1 else None


def _counts(series: Series, host: str) -> bool:
    """Whether it is a rate of requests to the host, whatever became of them."""
    if not any(series.labels.get(label, "").split(":")[0] == host for label in _LABELS):
        return False
    narrowed = re.search(r"(?:code|status)\w*\s*=~?\s*\"", series.query) or "code" in series.labels
    return "rate(" in series.query and "request" in series.query and not narrowed


def _named_by(scene: Scene, host: str) -> list[KubeObject]:
    """Workloads whose settings name the host."""
    whole = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])")
    found: dict[int, KubeObject] = {}
    for workload in scene.graph.workloads:
        spec = pod_spec(workload)
        said = [text(v.get("value")) for c in containers(spec) for v in entries(c.get("env"))]
        said += [w for c in containers(spec) for w in (*strings(c.get("args")), *strings(c.get("command")))]
        for _, config in used_by(scene.graph, workload, "ConfigMap"):
            said += flat(config.body.get("data")).values()
        if any(whole.search(words[:65536]) for words in said):
            top = scene.graph.top(workload)
            found[id(top)] = top
    return list(found.values())  # fmt: skip


def _edited(scene: Scene, top: KubeObject) -> tuple[KubeObject, str] | None:
    """What of the caller's settings was edited in the week before its newest start, in words."""
    starts = [p.created_at for p in scene.graph.pods_of(top) if p.created_at is not None]
    since = max(starts, default=None)
    for workload in scene.graph.workloads_of(top) if since is not None else ():
        for use, config in used_by(scene.graph, workload, "ConfigMap"):
            edit = last_edit(config)
            if edit is None or since is None or not since - LATELY <= edit.at <= since:
                continue
            shown = [str(c) for c in changes_of(scene, config, edit)]
            return config, (
                f"{name_of(config)}, which {name_of(top)} reads ({use.where}), was edited at {clock(edit.at)} by {edit.by}"
                f" ({listing(shown, 3)}), and it started at {clock(since)}"
            )
    return None  # fmt: skip


def _observation(scene: Scene, top: KubeObject, host: str, said: Spoken, caller: _Caller) -> Observation:
    edited = _edited(scene, caller.top)
    about = edited[0] if edited is not None else caller.top
    much = (
        f"sends {caller.share:.0%} of the requests to {host} ({caller.rate:.3g} a second)"
        if caller.series is not None
        else f"is the other workload whose settings name {host}"
    )
    words = f"{name_of(caller.top)} {much}, and {name_of(top)} is refused there as the quota is used up: `{cut(said.line, 300)}`"
    words += f"; {edited[1]}" if edited is not None else ""
    return Observation(
        about=about,
        reason="UsesUpSharedQuota",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=(0.78 if caller.series is not None else 0.5) + (0.07 if edited is not None else 0.0),
        facts=(
            evidence.log_line(said.pod, said.container, said.line, said.count),
            *((evidence.metric(caller.series, caller.top),) if caller.series is not None else ()),
        ),
        basis=(
            "an answer says that a quota or rate is exceeded",
            "recorded metrics say who sends most" if caller.series is not None else f"{AGAINST}nobody counted who sends how many",
            "its settings were edited before it started" if edited is not None else "nothing of its settings was edited lately",
        ),
        remediation=remedies.edit(about, f"Let {name_of(caller.top)} ask {host} less, or give it a quota of its own."),
        explains=(Explains(top, 0.9, f"{name_of(caller.top)} uses up what they share at {host}"),),
        latent=True,
    )  # fmt: skip
