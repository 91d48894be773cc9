"""Who says what in full: the status of whatever is not well, and the logs of workloads in trouble.

Decides only where words are read that name a third party (a webhook, a host); what they mean is the analyzers'. What an
observation tells is shortened for people and may have lost the name; here are the words as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import conditions, text
from services.context_api.domain.logs import cut, is_narrative, last_lines, shape_of, timed_lines
from services.context_api.domain.observation import Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.still_said import over_in

PODS = 6
"""Pods of one workload whose logs are read: replicas tell the same story."""

LONGEST = 8000
"""Characters of one message that are read."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One object's words, and what shows that it said them."""

    about: KubeObject
    words: str
    onset: datetime | None
    facts: tuple[Fact, ...]


def uttered(seen: Observation) -> str:
    """The messages of the object's status in full, a line each, and the observation's own words."""
    return "\n".join([*messages_of(seen.about), seen.text])


def messages_of(about: KubeObject) -> list[str]:
    """The messages of an object's status, but for those that tell their reader what to think."""
    said = [*(c.message for c in conditions(about)), text(about.status.get("message"))]
    return [m[:LONGEST] for m in said if m and not is_narrative(m[:LONGEST])]


def complaints(scene: Scene, seen: Sequence[Observation], about: re.Pattern[str]) -> Iterator[Complaint]:
    """Those in which the pattern is found; of each container's log the last such line that still holds (`still_said`), its
    quotes as if unescaped."""
    for one in seen:
        # Information is what somebody's text claims (`SuspiciousText`): it is told to people, and believed by nobody.
        words = "" if one.latent or one.severity is FindingSeverity.info else uttered(one)
        if about.search(words):
            yield Complaint(one.about, words, one.onset, one.facts[:1])
    for top in concerned(scene, seen):
        for pod in scene.graph.pods_of(top)[:PODS]:
            for log in scene.snapshot.logs_of(pod.namespace, pod.name):
                found = [x for x in last_lines(log.text) if about.search(x) and not is_narrative(x)]
                over = (
                    over_in(pod, log, timed_lines(log.text), scene.now, scene.onset or scene.now)
                    if found
                    else {}
                )
                line = next((x for x in reversed(found) if shape_of(x) not in over), "")
                if line:
                    fact = evidence.log_line(pod, log.container, redact(cut(line)), 1)
                    yield Complaint(top, line[:LONGEST].replace('\\"', '"'), None, (fact,))
