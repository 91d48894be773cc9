"""Namespaces that are no more because a program whose work that is has removed them.

Decides whether an alert about something in a namespace that is gone is about what was removed on purpose. Three things have
to come together: namespaces were recorded and this one is not among them, nor anything in it; a program that is ready tells
in its log, and not as an error, that it removed what bears that very name; and nobody who was recorded misses it since: no
object's spec or data names it any more, and no log complains of it. What was deleted by mistake is missed, or nobody tells
that he removed it.
Cannot see who outside the cluster misses it.

Rests on: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/ (a namespace goes with all it has),
https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/Generators-Pull-Request/ (places that come and go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.target import Target
from services.context_api.domain.containers import is_ready
from services.context_api.domain.dependencies import trouble_in
from services.context_api.domain.kube import flat, leaves
from services.context_api.domain.logs import LINES, is_narrative, quote, readable, time_of, weigh
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject

_REMOVES = re.compile(
    r"\b(?:remov|delet|destroy|prun|purg|reap)(?:e|es|ed|ing)?\b|\b(?:tore|torn|tearing) down\b|\bclean(?:ed|ing) up\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Removal:
    """Who told when that a namespace was removed, in which words."""

    by: KubeObject
    at: datetime
    line: str


def removed(scene: Scene, target: Target, since: datetime) -> Removal | None:
    """How the target's namespace came to be gone, where that was told after `since` and nobody misses it."""
    place = target.name if target.kind == "Namespace" else target.namespace
    known = {one.name for one in scene.graph.of_kind("Namespace")}
    if not place or not known or place in known:
        return None
    if any(obj.namespace == place for obj in scene.snapshot.objects):
        return None
    word = re.compile(rf"(?<![\w-]){re.escape(place)}(?![\w-])")
    told: list[Removal] = []
    complaints: list[datetime] = []
    for pod, line, moment in _lines(scene, place):
        said = readable(line)
        if not word.search(said) or is_narrative(said):
            continue
        if weigh(said) or trouble_in(said):
            complaints.append(moment or scene.now)
        elif _REMOVES.search(said) and moment is not None and since <= moment <= scene.now and is_ready(pod):
            told.append(Removal(scene.graph.top(pod), moment, quote(line)))
    last = max(told, key=lambda one: (one.at, one.line), default=None)
    if last is None or any(moment >= last.at for moment in complaints):
        return None
    return None if any(_names(obj, word) for obj in scene.snapshot.objects) else last


def _lines(scene: Scene, place: str) -> Iterator[tuple[KubeObject, str, datetime | None]]:
    """Lines of logs in which the name stands, of pods that are there."""
    for log in scene.snapshot.logs:
        pod = scene.graph.get("Pod", log.namespace, log.pod) if place in log.text else None
        if pod is None:
            continue
        for line in log.text[-LINES * 500 :].splitlines()[-LINES:]:
            if place in line:
                yield pod, line, time_of(line)


def _names(obj: KubeObject, word: re.Pattern[str]) -> bool:
    values = [value for _, value in leaves(obj.spec)]
    return any(word.search(value) for value in (*values, *flat(obj.body.get("data")).values()))
