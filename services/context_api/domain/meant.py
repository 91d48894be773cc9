"""Pods and containers that are as somebody meant them to be, though they look like a fault.

Decides six things. *Standing by*: a pod that runs and never was ready, whose log says of late that another one has the
lock or leads, beside a ready pod of the same owner and revision: it keeps its door closed until it is its turn. *Yielding*: a pod of a
priority below zero for which there is no room: it was given that priority so that others go first. *Starting*: a pod that
never was ready, none of whose containers has ended, within the time that its own probes give it for a start, and whose log
complains of nothing; one that takes longer than a quarter of an hour only beside a ready pod of the same owner, which shows
that such a start comes to its end. *Awaiting a node*: a pod for which an autoscaler said, no longer ago than a new node takes, that it
makes room. *Ended by its own decision*: a container that ended with code 0 after having run longer than the kubelet backs
off, whose log ends with no error and says that its share is done: a worker that begins anew after so many messages or
requests. *At rest*: an object of a platform whose spec says that it is to do nothing.
Cannot see that the other one, which has the lock, does nothing with it: that is a fault of its own. Nor whether the node comes.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ (priority, room for others),
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy (the back-off that ten minutes reset),
https://activemq.apache.org/components/classic/documentation/masterslave (a slave opens no port until it has the lock),
https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes,
https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md (`--max-node-provision-time`, TriggeredScaleUp).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from services.context_api.domain.containers import BACK_OFF_RESET, Container, containers_of, is_ready
from services.context_api.domain.dependencies import trouble_in
from services.context_api.domain.kube import condition, is_custom, mapping, number, text
from services.context_api.domain.logs import last_lines, weigh
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject, parse_time

LAST = 12
"""Lines at the end of a log that tell what a program does now."""

PATIENCE = timedelta(minutes=1)
"""A pod may be unready this long beyond what its probes give it before that is a finding."""

LONGEST_START_S = 86_400
"""Seconds. Nobody waits for a start longer than a day, whatever a probe says."""

PROVISIONING = timedelta(minutes=15)
"""How long a node may take to come after it was asked for: the cluster autoscaler's own default. A start that takes longer
is taken for one only where another pod of its owner has had it: a startup probe may give hours to what never comes up."""

_ROOM_COMES = frozenset({"TriggeredScaleUp", "Nominated"})
_NO_ROOM_COMES = frozenset({"NotTriggerScaleUp", "FailedScaleUp", "FailedScheduleUp"})
"""What autoscalers of nodes write about a pod that waits: that it gets room, and that it gets none."""

_AT_REST = (
    "suspend",
    "suspended",
    "pause",
    "paused",
    "stop",
    "stopped",
    "hibernate",
    "hibernated",
    "disabled",
)
_AT_WORK = ("enabled", "running")
_HOW_MANY = ("replicas", "instances")
"""How specs of custom resources call it that nothing is to be done."""

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


def starts(scene: Scene, pod: KubeObject) -> bool:
    """Whether an unready pod is still given time for its first start, and complains of nothing meanwhile."""
    if is_ready(pod) or pod.status.get("phase") != "Running":
        return False
    every = [c for c in containers_of(pod) if c.role != "init"]
    late = [c for c in every if not c.ready]
    if not late or any(c.restarts or c.last_end for c in every) or not _never_ready(pod, late):
        return False
    if not all(_within_start(c, scene.now) for c in late):
        return False
    if not all(_is_young(c, scene.now) for c in late) and not _another_is_ready(scene, pod):
        return False
    logs = scene.snapshot.logs_of(pod.namespace, pod.name)
    return not any(trouble_in(x) or weigh(x) for log in logs for x in last_lines(log.text, LAST))


def _is_young(container: Container, now: datetime) -> bool:
    return container.started_at is not None and now - container.started_at <= PROVISIONING


def _another_is_ready(scene: Scene, pod: KubeObject) -> bool:
    owner = scene.graph.owner(pod)
    return any(
        is_ready(other) and other is not pod and scene.graph.owner(other) is owner
        for other in scene.graph.pods_of(scene.graph.top(pod))
    )


def _never_ready(pod: KubeObject, late: list[Container]) -> bool:
    """Whether it is unready since before its containers ran; one that lost its readiness is not starting."""
    state, began = condition(pod, "Ready"), [c.started_at for c in late]
    if state is None or state.since is None:
        return True
    return all(moment is not None and state.since <= moment + PATIENCE for moment in began)


def _within_start(container: Container, now: datetime) -> bool:
    ready, startup = (mapping(container.spec.get(field)) for field in ("readinessProbe", "startupProbe"))
    given = number(ready.get("initialDelaySeconds")) + number(ready.get("periodSeconds"), 10)
    if startup and container.status.get("started") is not True:
        given += _whole(startup)
    allowed = timedelta(seconds=min(given, LONGEST_START_S)) + PATIENCE
    return container.started_at is not None and now - container.started_at <= allowed


def _whole(probe: Body) -> int:
    """Seconds after which a probe that never succeeds has failed for good."""
    tries = number(probe.get("periodSeconds"), 10) * number(probe.get("failureThreshold"), 3)
    return number(probe.get("initialDelaySeconds")) + tries


def awaits_node(scene: Scene, pod: KubeObject) -> bool:
    """Whether a pod without a node has been promised one, and that is not longer ago than a node takes to come."""
    if text(pod.spec.get("nodeName")) or pod.status.get("phase") not in (None, "Pending"):
        return False
    events = scene.graph.events_about(pod)
    promised = [e.first for e in events if e.reason in _ROOM_COMES and not e.warning and e.first]
    refused = [e.last for e in events if e.reason in _NO_ROOM_COMES and e.last]
    if not promised or (refused and max(refused) >= max(promised)):
        return False
    return scene.now - min(promised) <= PROVISIONING


def unready_as_meant(scene: Scene, pod: KubeObject) -> bool:
    """Whether it waits for its turn, or is on its way within the time that such a way takes."""
    return waits_its_turn(scene, pod) or starts(scene, pod) or awaits_node(scene, pod)


def at_rest(obj: KubeObject) -> bool:
    """Whether an object of a platform is told by its own spec to do nothing."""
    spec = obj.spec
    return is_custom(obj) and (
        any(spec.get(field) is True for field in _AT_REST)
        or any(spec.get(field) is False for field in _AT_WORK)
        or any(spec.get(field) == 0 and spec.get(field) is not False for field in _HOW_MANY)
    )


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
