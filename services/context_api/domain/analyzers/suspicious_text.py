"""Text in the recording that tells its reader what to conclude or to do.

Sees annotations, labels, event messages and log lines that read like instructions or verdicts. Reports them as
information and nothing more: text supports a finding or is quoted by one, it never makes one.
Cannot tell a joke from an attack, and need not.

Rests on: OWASP Top 10 for LLM Applications (prompt injection through data).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence
from services.context_api.domain.events import about
from services.context_api.domain.kube import text
from services.context_api.domain.logs import NARRATIVE, cut, is_narrative, last_lines
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, once
from services.context_api.domain.wording import name_of

NAME = "suspicious_text"
MOST = 20
"""Reports per answer; a recording full of them needs no longer list."""

LONGEST = 16 * 1024
"""Characters of one value that are read."""

SHORT = 128
"""Characters of a value that is remembered."""

_OWN = "last-applied-configuration"


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one report per object, log and event."""
    yield from islice(_found(scene), MOST)


def _found(scene: Scene) -> Iterator[Observation]:
    for obj in scene.snapshot.objects:
        if (claim := _claim(obj)) is not None:
            yield _observation(obj, *claim)
    for log in scene.snapshot.logs:
        pod = scene.graph.get("Pod", log.namespace, log.pod)
        if pod is not None and is_narrative(log.text[-300 * 500 :]):
            line = next((x for x in last_lines(log.text) if is_narrative(x)), "")
            if line:
                yield _observation(pod, f"log of container {log.container}", line)
    for event in sorted(scene.snapshot.events, key=lambda e: (e.namespace or "", e.name)):
        message = text(event.body.get("message")) or text(event.body.get("note"))
        if is_narrative(message[:LONGEST]):
            reference = about(event)
            named = scene.graph.get(text(reference.get("kind")), event.namespace, text(reference.get("name")))
            yield _observation(named or event, f"event {event.name}", message)


@once
def _claim(obj: KubeObject) -> tuple[str, str] | None:
    """The first annotation that reads like one, else the first label: where it stands, and its words."""
    for where, words in (("annotation", obj.annotations), ("label", obj.labels)):
        for key, value in words.items():
            if isinstance(value, str) and _OWN not in key and _reads_like_one(value):
                return f"{where} {key}", text(value)
    return None


def _reads_like_one(value: str) -> bool:
    return _short(value) if len(value) < SHORT else is_narrative(value[:LONGEST])


@lru_cache(maxsize=16 * 1024)
def _short(value: str) -> bool:
    """Most values stand on hundreds of objects; each is read once."""
    return is_narrative(value)


def _observation(obj: KubeObject, where: str, words: str) -> Observation:
    start = NARRATIVE.search(words)
    shown = cut(redact(words[max((start.start() if start else 0) - 40, 0) :]), 200)
    return Observation(
        about=obj,
        reason="SuspiciousText",
        text=f"The {where} of {name_of(obj)} tries to tell its reader what to conclude: `{shown}`. It was not believed.",
        severity=FindingSeverity.info,
        analyzer=NAME,
        depth=Depth.symptom,
        certainty=0.5,
        facts=(
            evidence.field(
                obj, where, shown, f"{where} of {name_of(obj)} reads like an instruction or a verdict"
            ),
        ),
        basis=("words that programs do not write about themselves",),
    )
