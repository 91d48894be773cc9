"""Pods and containers that are as somebody meant them to be, though they look like a fault.

Decides three things. *Standing by*: a pod that runs and never was ready, whose log says of late that another one has the
lock or leads, beside a ready pod of the same owner and revision: it keeps its door closed until it is its turn. *Yielding*: a pod of a
priority below zero for which there is no room: it was given that priority so that others go first. *Ended by its own
decision*: a container that ended with code 0 after having run longer than the kubelet backs off, whose log ends with no
error and says that its share is done: a worker that begins anew after so many messages or requests.
Cannot see that the other one, which has the lock, does nothing with it: that is a fault of its own.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ (priority, room for others),
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy (the back-off that ten minutes reset),
https://activemq.apache.org/components/classic/documentation/masterslave (a slave opens no port until it has the lock).
"""

from __future__ import annotations

import re

from services.context_api.domain.containers import BACK_OFF_RESET, Container, is_ready
from services.context_api.domain.kube import condition, number, text
from services.context_api.domain.logs import last_lines, weigh
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time

LAST = 12
"""Lines at the end of a log that tell what a program does now."""

_WAITS = re.compile(
    r"\b(?:lock|lease|leadership|leader election)\b.{0,40}\b(?:held|owned|taken) by\b"
    r"|\b(?:failed|unable|trying|attempting|waiting|wait(?:s)?)\b.{0,30}\b(?:acquire|obtain|get|for)\b.{0,30}\b(?:lock|lease|leadership)\b"
    r"|\b(?:lock|lease) is (?:already )?(?:held|owned|locked)\b"
    r"|\b(?:am|is|as|became|in|entering) (?:a |the )?(?:hot |warm )?(?:standby|slave|passive|follower)\b(?: mode| node| state)?"
    r"|\bnot (?:the )?(?:leader|master)\b",
    re.IGNORECASE,
)
_OF_A_SCHEMA = re.compile(r"change ?-?log|migrat|schema|liquibase|flyway|alembic", re.IGNORECASE)
"""A lock that programs hold while they change tables, for minutes: who waits for it longer has met one left behind."""

_WORK = r"(?:messages?|requests?|jobs?|tasks?|events?|items?|iterations?)"
_SHARE = re.compile(
    rf"\b(?:max(?:imum)?|limit)\b.{{0,40}}\b(?:reached|{_WORK})\b|\b(?:after|processed|handled|served) \d+ {_WORK}\b"
    rf"|\b\d+ {_WORK} (?:processed|handled|served|done)\b",
    re.IGNORECASE,
)
"""How a worker says that it has done its share. That it stops is said by whoever is told to, too."""


def stands_by(scene: Scene, pod: KubeObject) -> bool:
    """Whether an unready pod waits for its turn beside one of the same owner that has it."""
    if is_ready(pod) or pod.status.get("phase") != "Running" or _was_ready(pod):
        return False
    if not any(
        is_ready(other) and _alike(scene, pod, other) for other in scene.graph.pods_of(scene.graph.top(pod))
    ):
        return False
    for log in scene.snapshot.logs_of(pod.namespace, pod.name):
        lines = last_lines(log.text, LAST) if not log.previous else []
        if any(map(_OF_A_SCHEMA.search, lines)):
            continue
        if any(map(_WAITS.search, lines)) and not any(weigh(x) and not _WAITS.search(x) for x in lines):
            return True
    return False


def _alike(scene: Scene, pod: KubeObject, other: KubeObject) -> bool:
    """Whether both are of one revision: a new one that waits for something beside an old one is a rollout that is stuck."""
    revision = "controller-revision-hash"
    return scene.graph.owner(pod) is scene.graph.owner(other) and pod.labels.get(
        revision
    ) == other.labels.get(revision)


def _was_ready(pod: KubeObject) -> bool:
    """Whether it lost its readiness since it was made: then something happened to it."""
    state, made = condition(pod, "Ready"), pod.created_at
    return state is None or state.since is None or made is None or state.since - made > BACK_OFF_RESET


def yields(pod: KubeObject) -> bool:
    """Whether it is pending and was told to let all others go first."""
    return number(pod.spec.get("priority")) < 0 and not text(pod.spec.get("nodeName"))


def waits_its_turn(scene: Scene, pod: KubeObject) -> bool:
    """Whether an unready pod is meant to be that."""
    return yields(pod) or stands_by(scene, pod)


def ended_by_decision(scene: Scene, container: Container) -> bool:
    """Whether its last end was its own, after a life that was long enough."""
    end = container.last_end
    started, ended = parse_time(end.get("startedAt")), parse_time(end.get("finishedAt"))
    if end.get("exitCode") != 0 or started is None or ended is None or ended - started < BACK_OFF_RESET:
        return False
    for log in scene.snapshot.logs_of(container.pod.namespace, container.pod.name):
        if log.previous and log.container == container.name:
            lines = last_lines(log.text, 3)
            return any(map(_SHARE.search, lines)) and not any(map(weigh, lines))
    return False
