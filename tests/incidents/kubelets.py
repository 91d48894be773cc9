"""Kubelets of a story's nodes: pods start and become ready by themselves, or do what the script reports of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tests.incidents.chronicle import Body, Chronicle
from tests.testbed.cluster import Cluster, ClusterFailed
from tests.testbed.kubelet import Container, Kubelet, running, settle, stamp, terminated, waiting
from tests.testbed.nodes import healthy

MERGE = "application/merge-patch+json"

CALM_WITHIN_S = 60.0
REST_S = 1.5
"""Without a write, controllers are taken to be done: they answer an event within milliseconds."""

BACK_OFF_S = (10, 20, 40, 80, 160, 300)
"""A kubelet's waits between restarts; the last one again and again."""


class Kubelets(Chronicle):
    """The nodes, and what their kubelets report."""

    def __init__(self, cluster: Cluster, nodes: Sequence[str]) -> None:
        super().__init__(cluster)
        self.kubelets: dict[str, Kubelet] = {}
        self._held: list[str] = []
        for name in nodes:
            self.add_node(name)

    def add_node(
        self, name: str, *, cpu: str = "4", memory: str = "16Gi", labels: Mapping[str, str] | None = None
    ) -> None:
        number = len(self.kubelets)
        address = f"10.20.0.{11 + number}"
        self.cluster.add_node(
            name, cpu=cpu, memory=memory, managed_by_kwok=False, labels=labels, address=address
        )
        self.kubelets[name] = Kubelet(self.cluster, name, address=address, pods=f"10.244.{number}")

    def calm(self, *, unfinished: Sequence[str] = ()) -> None:
        """Wait until controllers and kubelets are done: pods start and become ready, deleted ones go.

        Pods named by `hold` are left alone. A workload that cannot finish (its pods are held, or do not fit) is not
        waited for when `unfinished` has its NAMESPACE/NAME, or its pods are held.
        """
        deadline = time.monotonic() + CALM_WITHIN_S
        quiet = 0
        while quiet < 3:
            busy = self._round()
            waited = [] if busy else self._unfinished(unfinished)
            quiet = 0 if busy or waited else quiet + 1
            if time.monotonic() > deadline:
                raise ClusterFailed(
                    f"not calm after {CALM_WITHIN_S:.0f} s: {', '.join(waited) or 'kubelets busy'}"
                )
            time.sleep(0.15)

    def rest(self) -> None:
        """Wait until controllers have written what the last step in time makes them write."""
        before, since = self._versions(), time.monotonic()
        deadline = since + CALM_WITHIN_S
        while time.monotonic() - since < REST_S:
            if time.monotonic() > deadline:
                raise ClusterFailed(f"controllers write on after {CALM_WITHIN_S:.0f} s")
            time.sleep(0.15)
            now = self._versions()
            if now != before:
                before, since = now, time.monotonic()

    def _versions(self) -> Mapping[str, str]:
        found = self.cluster.get("deployments,replicasets,statefulsets,daemonsets,jobs,pods", "-A")["items"]
        return {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for one in found}

    def _round(self) -> bool:
        return settle(
            list(self.kubelets.values()), now=self._real, wait=self.clock.wait, starts_in_s=3, ready_in_s=8,
            leave=lambda pod: self._is_held(pod) and not pod["metadata"].get("deletionTimestamp"),
        )  # fmt: skip

    def hold(self, *places: str) -> None:
        """From now on pods whose NAMESPACE/NAME begins so do only what this script reports."""
        self._held += places

    def release(self, *places: str) -> None:
        """Pods named so are the kubelets' again."""
        self._held = [place for place in self._held if place not in places]

    def pod(self, place: str) -> Body:
        """The first of them, once there is one on a node."""
        self.placed(place)
        return self.pods(place)[0]

    def placed(self, place: str, count: int = 1) -> Sequence[Body]:
        """Wait until so many of these pods are on nodes; returns those."""

        def on_nodes() -> list[Body]:
            return [
                p
                for p in self.pods(place)
                if p["spec"].get("nodeName") and not p["metadata"].get("deletionTimestamp")
            ]

        self.cluster.until(f"{count} pods {place}* on nodes", lambda: len(on_nodes()) >= count)
        return on_nodes()

    def crash(
        self,
        place: str,
        *,
        code: int = 1,
        reason: str = "",
        log: str = "",
        restarts: int = 6,
        lives_s: float = 2,
        container: str = "",
        message: str = "",
        count: int = 1,
        running_again: bool = False,
    ) -> None:
        """Let containers crash again and again, the last time just now: status, events, log.

        Args:
            place: NAMESPACE/PREFIX of the pods; they are held from now on.
            reason: OOMKilled, or derived from the code.
            log: what each run printed; lines get the time of the run unless they begin with one.
            restarts: so far. lives_s: from a start to its end.
            message: of the termination (what the process wrote to /dev/termination-log).
            count: of pods to wait for.
            running_again: it is up at this moment (and will end again).
        """
        self.hold(place)
        found = self.placed(place, count)
        gaps = [BACK_OFF_S[min(n, len(BACK_OFF_S) - 1)] for n in range(restarts)]
        self.wait(seconds=sum(gaps) + (restarts + 1) * lives_s + 20)
        names = {pod["metadata"]["name"] for pod in found}
        # Read again: the times in their status have moved back since.
        for pod in (one for one in self.pods(place) if one["metadata"]["name"] in names):
            specs = pod["spec"]["containers"]
            name = container or specs[0]["name"]
            kubelet = self.kubelets[pod["spec"]["nodeName"]]
            ended = self.ago(seconds=12)
            began = ended - timedelta(seconds=lives_s)
            last = terminated(code, self._real(began), self._real(ended), reason=reason)
            if message:
                last["terminated"]["message"] = message
            meta = pod["metadata"]
            full = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
            delay = BACK_OFF_S[min(restarts, len(BACK_OFF_S)) - 1]
            words = f"{delay // 60}m{delay % 60}s" if delay >= 60 else f"{delay}s"
            if running_again:
                state = running(self._real(self.ago(seconds=6)), ready=False, restarts=restarts, last=last)
            else:
                state = waiting(
                    "CrashLoopBackOff",
                    f"back-off {words} restarting failed container={name} pod={full}",
                    restarts=restarts,
                    last=last,
                )
            others = {s["name"]: running(self._real(ended)) for s in specs if s["name"] != name}
            kubelet.report(pod, {name: state, **others}, at=self._real(began))
            kubelet.tell(
                pod, "Created", "Container created", at=self._real(began), count=restarts, container=name
            )
            kubelet.tell(
                pod, "Started", "Container started", at=self._real(began), count=restarts, container=name
            )
            kubelet.tell(
                pod, "BackOff", f"Back-off restarting failed container {name} in pod {full}",
                at=self._real(self.ago(seconds=4)), count=restarts * 4, type_="Warning", container=name,
            )  # fmt: skip
            if log:
                self.log(f"{meta['namespace']}/{meta['name']}", log, container=name, at=began)
                self.log(f"{meta['namespace']}/{meta['name']}", log, container=name, at=began, previous=True)

    def stuck(
        self,
        place: str,
        reason: str,
        message: str,
        *,
        event: tuple[str, str] | None = None,
        container: str = "",
        count: int = 1,
    ) -> None:
        """Containers that wait and never ran: ImagePullBackOff, CreateContainerConfigError, ContainerCreating …

        Args:
            event: (reason, message) of the kubelet's warning that goes with it.
        """
        self.hold(place)
        for pod in self.placed(place, count):
            specs = pod["spec"]["containers"]
            name = container or specs[0]["name"]
            kubelet = self.kubelets[pod["spec"]["nodeName"]]
            others = {s["name"]: running(self._real()) for s in specs if s["name"] != name}
            kubelet.report(pod, {name: waiting(reason, message), **others}, at=self._real(), phase="Pending")
            if event:
                kubelet.tell(
                    pod,
                    event[0],
                    event[1],
                    at=self._real(),
                    count=7,
                    type_="Warning",
                    container="" if reason == "ContainerCreating" else name,
                )

    def unready(
        self,
        place: str,
        message: str = "",
        *,
        restarts: int = 0,
        count: int = 1,
        failures: int = 12,
        kind: str = "Readiness",
    ) -> None:
        """Containers that run and whose probe fails, e.g. `HTTP probe failed with statuscode: 503`."""
        self.hold(place)
        for pod in self.placed(place, count):
            kubelet = self.kubelets[pod["spec"]["nodeName"]]
            now_up = {"running": {"startedAt": stamp(self._real(self.ago(minutes=1)))}}
            statuses = pod["status"].get("containerStatuses", [])
            up = {s["name"]: s["state"] for s in statuses if "running" in s["state"]}
            containers = {
                spec["name"]: Container(up.get(spec["name"], now_up), n > 0, True, restarts)
                for n, spec in enumerate(pod["spec"]["containers"])
            }
            kubelet.report(pod, containers, at=self._real())
            if message:
                kubelet.tell(
                    pod, "Unhealthy", f"{kind} probe failed: {message}", at=self._real(), count=failures,
                    type_="Warning", container=pod["spec"]["containers"][0]["name"],
                )  # fmt: skip

    def node_condition(
        self, node: str, kind: str, status: str, reason: str, message: str, *, taint: str = ""
    ) -> None:
        """What a kubelet says of its node; `taint` as KEY=VALUE:EFFECT, which the node controller would set."""
        body = self.cluster.ask("GET", f"/api/v1/nodes/{node}")
        now = stamp(self._real())
        others = [
            c for c in body["status"].get("conditions", healthy(node, "")["conditions"]) if c["type"] != kind
        ]
        mine = {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        self.cluster.ask(
            "PATCH",
            f"/api/v1/nodes/{node}/status?fieldManager=kubelet",
            {"status": {"conditions": [*others, mine]}},
            kind=MERGE,
        )
        if taint:
            self.cluster.kubectl("taint", "node", node, taint, "--overwrite")

    def failed(
        self,
        place: str,
        *,
        code: int = 1,
        reason: str = "",
        message: str = "",
        log: str = "",
        lives_s: float = 3,
        container: str = "",
    ) -> None:
        """Pods that have ended badly and are not started again (`restartPolicy: Never`): what a Job counts.

        Args:
            container: that ended badly, by default the first; others ended well.
            reason, message: of the container's end; StartError with the runtime's words when it could not be started.
        """
        for pod in [p for p in self.placed(place) if p["status"]["phase"] in ("Pending", "Running")]:
            meta, kubelet = pod["metadata"], self.kubelets[pod["spec"]["nodeName"]]
            began = self.ago(seconds=lives_s)
            end = terminated(code, self._real(began), self._real(), reason=reason)
            if message:
                end["terminated"]["message"] = message
            names = [spec["name"] for spec in pod["spec"]["containers"]]
            name = container or names[0]
            well = {n: Container(terminated(0, self._real(began), self._real())) for n in names if n != name}
            kubelet.tell(pod, "Created", "Container created", at=self._real(began), container=name)
            if reason == "StartError":
                kubelet.tell(
                    pod, "Failed", f"Error: {message}", at=self._real(), type_="Warning", container=name
                )
            else:
                kubelet.tell(pod, "Started", "Container started", at=self._real(began), container=name)
            kubelet.report(pod, {name: Container(end), **well}, at=self._real(), phase="Failed")
            if log:
                self.log(f"{meta['namespace']}/{meta['name']}", log, container=name, at=began)

    def recovered(
        self,
        place: str,
        *,
        restarts: int,
        code: int = 1,
        reason: str = "",
        lived_s: float = 2,
        waited_s: float = 1,
    ) -> None:
        """Containers that ended and are started again, for the last time just now, and then stay ready.

        Args:
            restarts: so far. lived_s: of the run before. waited_s: between its end and this start.
        """
        for pod in self.placed(place):
            meta, kubelet = pod["metadata"], self.kubelets[pod["spec"]["nodeName"]]
            since = self.now
            ended = since - timedelta(seconds=waited_s)
            end = terminated(
                code, self._real(ended - timedelta(seconds=lived_s)), self._real(ended), reason=reason
            )
            name, *others = [spec["name"] for spec in pod["spec"]["containers"]]
            up = {other: running(self._real(since)) for other in others}
            kubelet.report(
                pod,
                {name: running(self._real(since), restarts=restarts, last=end), **up},
                at=self._real(since + timedelta(seconds=8)),
            )
            for reason_, words in (("Created", "Container created"), ("Started", "Container started")):
                kubelet.tell(pod, reason_, words, at=self._real(since), container=name)
            self.release(place, f"{meta['namespace']}/{meta['name']}")

    def told(
        self, pod: Body, reason: str, message: str, *, kind: str = "Normal", count: int = 1, container: str = "",
        minutes_ago: float = 0,
    ) -> None:  # fmt: skip
        """A further event of the kubelet of this pod's node, e.g. `Killing`."""
        self.kubelets[pod["spec"]["nodeName"]].tell(
            pod, reason, message, at=self._real(self.ago(minutes=minutes_ago)), count=count, type_=kind,
            container=container,
        )  # fmt: skip

    def evicted(self, place: str, message: str) -> None:
        """Pods that their kubelet ended for want of a resource: they stay, Failed, and others are made for them."""
        for pod in self.placed(place):
            meta, kubelet = pod["metadata"], self.kubelets[pod["spec"]["nodeName"]]
            up = {
                s["name"]: s["state"].get("running", {}).get("startedAt")
                for s in pod["status"].get("containerStatuses", [])
            }
            ends: dict[str, Container] = {}
            for spec in pod["spec"]["containers"]:
                end = terminated(137, self._real(), self._real())
                end["terminated"]["startedAt"] = up.get(spec["name"]) or end["terminated"]["startedAt"]
                ends[spec["name"]] = Container(end)
                kubelet.tell(
                    pod,
                    "Killing",
                    f"Stopping container {spec['name']}",
                    at=self._real(),
                    container=spec["name"],
                )
            kubelet.tell(pod, "Evicted", message, at=self._real(), type_="Warning")
            kubelet.report(pod, ends, at=self._real(), phase="Failed")
            target = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": message,
            }
            self.cluster.ask(
                "PATCH",
                f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status?fieldManager=kubelet",
                {"status": {
                    "reason": "Evicted", "message": message,
                    "conditions": [{**target, "lastTransitionTime": stamp(self._real())}],
                }},
                kind="application/strategic-merge-patch+json",
            )  # fmt: skip

    def evict(self, place: str) -> None:
        """Ask for the eviction of pods as `kubectl drain` does; budgets are asked."""
        for pod in self.placed(place):
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            self.cluster.ask("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", {
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
            })  # fmt: skip

    def heartbeat(self, *but: str) -> None:
        """Let kubelets say that their nodes are as they were: conditions seen at this moment, changed when they did."""
        for name in self.kubelets.keys() - set(but):
            conditions = self.cluster.ask("GET", f"/api/v1/nodes/{name}")["status"]["conditions"]
            now = stamp(self._real())
            self.cluster.ask(
                "PATCH",
                f"/api/v1/nodes/{name}/status?fieldManager=kubelet",
                {"status": {"conditions": [{**c, "lastHeartbeatTime": now} for c in conditions]}},
                kind=MERGE,
            )

    def _is_held(self, pod: Body) -> bool:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        return any(name.startswith(place) for place in self._held)

    def _unfinished(self, but: Sequence[str]) -> list[str]:
        """Workloads whose controller has not seen, or not finished, what they ask for."""
        found = []
        for thing in self.cluster.get("deployments,statefulsets,daemonsets", "-A")["items"]:
            spec, status, meta = thing["spec"], thing["status"], thing["metadata"]
            name = f"{meta['namespace']}/{meta['name']}"
            wanted = spec.get("replicas", status.get("desiredNumberScheduled", 0))
            ready = status.get("readyReplicas", status.get("numberReady", 0))
            updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
            total = status.get("replicas", status.get("currentNumberScheduled", 0))
            seen = status.get("observedGeneration") == meta["generation"]
            excused = name in but or any(h.startswith(name) or name.startswith(h) for h in self._held)
            if not seen or (not wanted == ready == updated == total and not excused):
                found.append(f"{thing['kind']} {name}")
        return found
