"""Reports what a kubelet would, on nodes that KWOK leaves alone: `pods/status` and events, as the test says.

Facts of the report that no test asks for (container and image ids, addresses) are made from names, so that the same
pod always has the same ones.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.testbed.cluster import CallFailed, Cluster

Body = dict[str, Any]
MERGE = "application/strategic-merge-patch+json"
MANAGER = "fieldManager=kubelet"


@dataclass(frozen=True, slots=True)
class Container:
    """One container's part of a report."""

    state: Body
    ready: bool = False
    started: bool = False
    restarts: int = 0
    last: Body = field(default_factory=dict)


def running(since: datetime, *, ready: bool = True, restarts: int = 0, last: Body | None = None) -> Container:
    return Container({"running": {"startedAt": stamp(since)}}, ready, True, restarts, last or {})


def terminated(code: int, began: datetime, ended: datetime, *, reason: str = "") -> Body:
    """A container's end. `reason` is derived from the code unless given (OOMKilled is 137 with a reason)."""
    word = reason or ("Completed" if code == 0 else "Error")
    return {
        "terminated": {
            "exitCode": code,
            "reason": word,
            "startedAt": stamp(began),
            "finishedAt": stamp(ended),
        }
    }


def waiting(reason: str, message: str = "", *, restarts: int = 0, last: Body | None = None) -> Container:
    """ImagePullBackOff, CreateContainerConfigError, CrashLoopBackOff …"""
    why = {"reason": reason, **({"message": message} if message else {})}
    return Container({"waiting": why}, False, False, restarts, last or {})


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """The kubelet of one node. The node must have been added with `managed_by_kwok=False`."""

    def __init__(
        self, cluster: Cluster, node: str, *, address: str = "10.20.0.1", pods: str = "10.244.0"
    ) -> None:
        """Args:
        address: the node's; pods: the first three numbers of its pods' addresses.
        """
        self._cluster, self.node = cluster, node
        self._address, self._pods = address, pods
        self._given: dict[str, str] = {}
        self._told: dict[tuple[str, str, str, str], tuple[str, int]] = {}

    def pods(self) -> Sequence[Body]:
        """What is placed on this node."""
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.node}"
        found: Sequence[Body] = self._cluster.ask("GET", path)["items"]
        return found

    def report(
        self, pod: Body, containers: Mapping[str, Container], *, at: datetime, phase: str = "Running"
    ) -> None:
        """Say how a pod's containers are.

        Args:
            at: when that became so; conditions that do not change keep their time.
        """
        meta = pod["metadata"]
        ready = all(container.ready for container in containers.values())
        status = {
            "phase": phase,
            "observedGeneration": meta.get("generation", 1),
            "startTime": pod["status"].get("startTime") or stamp(at),
            "hostIP": self._address,
            "hostIPs": [{"ip": self._address}],
            "podIP": (ip := self._ip(pod)),
            "podIPs": [{"ip": ip}],
            "conditions": _conditions(pod, containers, ready=ready, phase=phase, at=at),
            "containerStatuses": [
                _status(pod, spec, containers[spec["name"]]) for spec in pod["spec"]["containers"]
            ],
        }
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status?{MANAGER}"
        self._cluster.ask("PATCH", path, {"status": status}, kind=MERGE)

    def tell(
        self,
        pod: Body,
        reason: str,
        message: str,
        *,
        at: datetime,
        count: int = 1,
        type_: str = "Normal",
        container: str = "",
    ) -> None:
        """Say that something happened to a pod. Said again, it is the same event, counted on.

        Args:
            at: when, for the last time.
            count: how often since it was told last.
        """
        meta = pod["metadata"]
        events = f"/api/v1/namespaces/{meta['namespace']}/events"
        key = (meta["uid"], reason, message, container)
        if key in self._told and self._tell_again(events, key, count, at):
            return
        name = f"{meta['name']}.{time.time_ns():x}"
        self._told[key] = name, count
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            **({"fieldPath": f"spec.containers{{{container}}}"} if container else {}),
        }
        event = {
            "metadata": {"name": name},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": type_,
            "count": count,
            "firstTimestamp": stamp(at),
            "lastTimestamp": stamp(at),
            "source": {"component": "kubelet", "host": self.node},
            "reportingComponent": "kubelet",
            "reportingInstance": self.node,
        }
        try:
            self._cluster.ask("POST", f"{events}?{MANAGER}", event)
        except CallFailed as error:
            if "NamespaceTerminating" not in str(error):  # a kubelet, too, drops what it may not write there
                raise

    def _tell_again(self, events: str, key: tuple[str, str, str, str], count: int, at: datetime) -> bool:
        """False when the event is too old to be there."""
        name, before = self._told[key]
        again = {"count": before + count, "lastTimestamp": stamp(at)}
        try:
            self._cluster.ask("PATCH", f"{events}/{name}?{MANAGER}", again, kind=MERGE)
        except CallFailed as error:
            if error.code != 404:
                raise
            return False
        self._told[key] = name, before + count
        return True

    def started(self, pod: Body, *, at: datetime, pulled: str = "") -> None:
        """Tell of each container that its image was there (or pulled), and that it was created and started."""
        for spec in pod["spec"]["containers"]:
            name, image = spec["name"], spec["image"]
            there = f'Container image "{image}" already present on machine and can be accessed by the pod'
            fetched = f'Successfully pulled image "{image}" in {pulled} ({pulled} including waiting). Image size: 61482017 bytes.'
            for reason, message in (
                ("Pulled", fetched if pulled else there),
                ("Created", "Container created"),
                ("Started", "Container started"),
            ):
                self.tell(pod, reason, message, at=at, container=name)

    def begin(self, pod: Body, *, at: datetime, pulled: str = "") -> None:
        """The containers have started; none is ready yet.

        Args:
            pulled: how long pulling the images took, e.g. `2.618s`; empty when they were there.
        """
        self.started(pod, at=at, pulled=pulled)
        self.report(
            pod, {spec["name"]: running(at, ready=False) for spec in pod["spec"]["containers"]}, at=at
        )

    def ready(self, pod: Body, *, at: datetime) -> None:
        """Its containers run and their probes succeed."""
        states = {s["name"]: s["state"] for s in pod["status"].get("containerStatuses", [])}
        began = {
            spec["name"]: states.get(spec["name"], {}).get("running", {}).get("startedAt", stamp(at))
            for spec in pod["spec"]["containers"]
        }
        self.report(
            pod,
            {name: Container({"running": {"startedAt": since}}, True, True) for name, since in began.items()},
            at=at,
        )

    def complete(self, pod: Body, *, began: datetime, ended: datetime) -> None:
        """Every container has ended well."""
        done = Container(terminated(0, began, ended))
        self.report(
            pod, {spec["name"]: done for spec in pod["spec"]["containers"]}, at=ended, phase="Succeeded"
        )

    def remove(self, pod: Body, *, at: datetime) -> None:
        """Stop a pod that is being deleted, and let it go."""
        meta = pod["metadata"]
        for spec in pod["spec"]["containers"]:
            self.tell(pod, "Killing", f"Stopping container {spec['name']}", at=at, container=spec["name"])
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        try:
            self._cluster.ask("DELETE", path, options)
        except CallFailed as error:
            if error.code != 404:
                raise

    def _ip(self, pod: Body) -> str:
        if pod["spec"].get("hostNetwork"):
            return self._address
        uid = pod["metadata"]["uid"]
        return self._given.setdefault(uid, f"{self._pods}.{len(self._given) + 2}")


def settle(
    kubelets: Sequence[Kubelet],
    *,
    now: Callable[[], datetime],
    wait: Callable[[float], None],
    starts_in_s: float,
    ready_in_s: float,
    pulled: str = "",
    leave: Callable[[Body], bool] = lambda _: False,
) -> bool:
    """Do what waits to be done on these nodes, once: start, make ready, remove. False when nothing waited.

    Args:
        now, wait: the clock to report with, and how time passes on it.
        leave: pods of which somebody else reports.
    """
    placed = [(kubelet, pod) for kubelet in kubelets for pod in kubelet.pods() if not leave(pod)]
    going = [(k, pod) for k, pod in placed if pod["metadata"].get("deletionTimestamp")]
    fresh = [(k, pod) for k, pod in placed if pod["status"]["phase"] == "Pending" and (k, pod) not in going]
    for kubelet, pod in going:
        kubelet.remove(pod, at=now())
    if fresh:
        wait(starts_in_s)
        for kubelet, pod in fresh:
            kubelet.begin(pod, at=now(), pulled=pulled)
        wait(ready_in_s)
        for kubelet in kubelets:
            begun = {pod["metadata"]["uid"] for k, pod in fresh if k is kubelet}
            for pod in kubelet.pods():
                if pod["metadata"]["uid"] in begun:
                    kubelet.ready(pod, at=now())
    return bool(going or fresh)


# --- parts of a report --------------------------------------------------------------------------------------------


def _conditions(
    pod: Body, containers: Mapping[str, Container], *, ready: bool, phase: str, at: datetime
) -> Sequence[Body]:
    done = phase == "Succeeded"
    unready = [name for name, container in containers.items() if not container.ready]
    why = {
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }
    ended = done or phase == "Failed"
    not_ready = {"reason": "PodCompleted" if done else "PodFailed"} if ended else why
    wanted: Sequence[tuple[str, bool, Mapping[str, str]]] = (
        ("PodReadyToStartContainers", not ended, {}),
        ("Initialized", True, {"reason": "PodCompleted"} if done else {}),
        ("Ready", ready, {} if ready else not_ready),
        ("ContainersReady", ready, {} if ready else not_ready),
    )
    before = {one["type"]: one for one in pod["status"].get("conditions", [])}
    return [
        _condition(before.get(kind), kind, "True" if holds else "False", words, at)
        for kind, holds, words in wanted
    ]


def _condition(before: Body | None, kind: str, status: str, words: Mapping[str, str], at: datetime) -> Body:
    same = before is not None and before["status"] == status
    since = before["lastTransitionTime"] if before and same else stamp(at)
    # A strategic merge keeps what is not named, so a reason that no longer holds must be named as absent.
    gone = {"reason": None, "message": None}
    return {
        **gone,
        **words,
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "lastProbeTime": None,
    }


def _status(pod: Body, spec: Body, container: Container) -> Body:
    identity = _container_id(pod, spec, container.restarts)
    image, _, _ = spec["image"].rpartition(":")
    report: Body = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": f"{image}@sha256:{_digest(spec['image'])}",
        "containerID": identity,
        "ready": container.ready,
        "started": container.started,
        "restartCount": container.restarts,
        "state": _with_id(container.state, identity),
        "lastState": _with_id(
            container.last,
            identity if "waiting" in container.state else _container_id(pod, spec, container.restarts - 1),
        ),
    }
    if "waiting" in container.state and not container.last:
        del report["containerID"], report["imageID"]  # it never ran
        report["imageID"] = ""
    if resources := spec.get("resources"):
        report["resources"] = resources
        if requests := resources.get("requests"):
            report["allocatedResources"] = requests
    return report


def _with_id(state: Body, identity: str) -> Body:
    return {
        kind: {**facts, "containerID": identity} if kind == "terminated" else facts
        for kind, facts in state.items()
    }


def _container_id(pod: Body, spec: Body, restarts: int) -> str:
    which = f"{pod['metadata']['uid']}/{spec['name']}/{restarts}"
    return f"containerd://{_digest(which)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
