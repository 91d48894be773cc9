"""Why a volume fills: what turned bad, was rolled out or was edited when it began to.

Sees, for a volume that another analyzer calls full or filling, when its recorded usage left its level (`trend.bent`), and
what happened to those that mount it within a sample or two of that: a condition that turned bad (an archive that no longer
takes what is written), a rollout, an edit. What fills a volume acts for days before anybody notices; the last hour's
changes are then innocent.
Cannot see a volume that always filled at this rate, nor a writer whose change left no trace.

Rests on: https://kubernetes.io/docs/reference/instrumentation/metrics/ (kubelet_volume_stats_*),
https://www.postgresql.org/docs/current/continuous-archiving.html (segments are kept until they are archived).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers import volume_full
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import listing
from services.context_api.domain.metrics import moment_of
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trend import bent
from services.context_api.domain.uses import users_of_claim
from services.context_api.domain.volumes import usage
from services.context_api.domain.wording import clock, name_of, span

NAME = "filled_since"
LEAST = timedelta(minutes=10)
"""What happened this near to the bend belongs to it, however dense the samples are: pods start, files grow. A guess."""

SAMPLES = 2.0
"""In distances between samples, how exactly a bend is known."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per workload or custom resource that mounts a filling volume."""
    told: set[int] = set()
    ill = [o for o in seen if o.analyzer == "unhealthy_condition" and not o.latent and o.onset is not None]
    for filling in volume_full.explain(scene, seen):
        claim = filling.about
        since = _since(scene, claim)
        if since is None:
            continue
        moment, near, fact = since
        for top in users_of_claim(scene.graph, claim.namespace, claim.name):
            found = _happened(scene, top, ill, moment, near)
            if found is not None and id(top) not in told:
                told.add(id(top))
                yield _observation(top, filling, moment, *found, fact)


def _since(scene: Scene, claim: KubeObject) -> tuple[datetime, timedelta, Fact] | None:
    """When the claim's usage began to rise, how exactly that is known, and by what."""
    for series, shares in usage(scene, claim):
        began = bent(shares)
        moment = moment_of(began) if began is not None else None
        if moment is not None:
            apart = (shares[-1][0] - shares[0][0]) / (len(shares) - 1)
            return moment, max(LEAST, timedelta(seconds=SAMPLES * apart)), evidence.metric(series, claim)
    return None


def _happened(
    scene: Scene, top: KubeObject, ill: Sequence[Observation], moment: datetime, near: timedelta
) -> tuple[datetime, str, tuple[Fact, ...], float] | None:
    """(when, in words, facts, certainty) of what befell those that write there; a complaint tells more than an edit."""
    for one in ill:
        if one.about is top and one.onset is not None and abs(one.onset - moment) <= near:
            return one.onset, one.text, one.facts, 0.85
    for workload in scene.graph.workloads_of(top):
        rollout = scene.rollouts.of(workload)
        if rollout is not None and abs(rollout.at - moment) <= near and rollout.changes:
            words = f"{name_of(workload)} was rolled out at {clock(rollout.at)} ({listing(rollout.told, 3)})"
            return rollout.at, words, (), 0.75
    edit = last_edit(top)
    if edit is not None and abs(edit.at - moment) <= near and any(p.startswith("spec") for p in edit.paths):
        known = [str(c) for c in applied_changes(top, edit)] or list(edit.paths)
        words = f"{name_of(top)} was edited at {clock(edit.at)} by {edit.by} ({listing(known, 3)})"
        return edit.at, words, (), 0.7
    return None


def _observation(
    top: KubeObject,
    filling: Observation,
    moment: datetime,
    when: datetime,
    words: str,
    facts: tuple[Fact, ...],
    certainty: float,
    fact: Fact,
) -> Observation:
    claim = filling.about
    apart = span(abs((when - moment).total_seconds()))
    return Observation(
        about=top,
        reason="FillsVolumeSince",
        text=f"{filling.text}; it fills since about {clock(moment)}, when this began: {words}",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(*facts[:2], fact, *filling.facts[:1]),
        basis=(f"the volume's usage began to rise within {apart} of it",),
        onset=min(when, moment),
        remediation=remedies.look(
            top,
            f"End what makes {name_of(claim)} fill; room made before that is lost again.",
        ),
        explains=(Explains(claim, 0.92, "since then its volume fills"),),
    )
