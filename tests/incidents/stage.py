"""The means to play an incident on the test bed: people's acts, kubelets' reports, time, logs, metrics, an alert.

Controllers and the scheduler are real, so what they do is never written here. Kubelets and everything that no
control plane keeps (logs, metrics, the alert) are played, and so is the status of platforms whose controllers do not
run on the test bed; `Stage.authored` collects what was.

    def play(stage: Stage) -> None:
        stage.apply(MANIFESTS)                  # kubectl apply; then everything becomes ready by itself
        stage.calm()
        stage.wait(days=12)
        stage.kubectl("set", "image", "deployment/web", "web=registry.example.com/web:2.1.0", "-n", "shop")
        stage.crash("shop/web", code=1, log="panic: missing flag --region", held=True)
        stage.fire(minutes_ago=5)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.clock import Clock
from tests.testbed.cluster import CallFailed, Cluster, ClusterFailed
from tests.testbed.kubelet import Container, Kubelet, running, settle, stamp, terminated, waiting
from tests.testbed.nodes import healthy

Body = dict[str, Any]
MERGE = "application/merge-patch+json"

STARTS = datetime(2026, 11, 3, 9, 12, tzinfo=UTC)
"""When the cluster of every story is young."""

CONTROLLERS = ("*", "-cronjob-controller")
"""The CronJob controller would start a run for the machine's hour, not for the story's."""

CALM_WITHIN_S = 60.0
REST_S = 1.5
"""Without a write, controllers are taken to be done: they answer an event within milliseconds."""

BACK_OFF_S = (10, 20, 40, 80, 160, 300)
"""A kubelet's waits between restarts; the last one again and again."""


class Stage:
    """One cluster with three nodes (`node-a` …), at 2026-11-03 09:12 of the story."""

    def __init__(self, cluster: Cluster, nodes: Sequence[str] = ("node-a", "node-b", "node-c")) -> None:
        self.cluster = cluster
        self.clock = Clock(cluster, STARTS)
        self.kubelets: dict[str, Kubelet] = {}
        self.logs: dict[tuple[str, str, str, bool], str] = {}
        """(namespace, pod, container, previous) -> text."""
        self.metrics: dict[str, Body] = {}
        self.fired: datetime | None = None
        self._held: list[str] = []
        for name in nodes:
            self.add_node(name)

    # --- time -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The story's time."""
        return self.clock.now()

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass. Events older than an hour go, as they do in any cluster."""
        self.clock.wait(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds())

    def ago(self, *, minutes: float = 0, seconds: float = 0) -> datetime:
        """A moment of the story before now."""
        return self.now - timedelta(minutes=minutes, seconds=seconds)

    def _real(self, moment: datetime | None = None) -> datetime:
        """What to write into the cluster for a moment of the story."""
        return self.clock.real(moment or self.now)

    # --- people -----------------------------------------------------------------------------------------------

    def apply(self, manifests: str | Sequence[Body], *, manager: str = "") -> None:
        """`kubectl apply` of YAML text or objects; namespaces that they name are made first."""
        objects = (
            [o for o in yaml.safe_load_all(manifests) if o] if isinstance(manifests, str) else list(manifests)
        )
        for namespace in sorted({o["metadata"].get("namespace", "") for o in objects} - {""}):
            self.namespace(namespace)
        manager_words = [f"--field-manager={manager}"] if manager else []
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.cluster.kubectl("apply", *manager_words, "-f", "-", input=json.dumps(document))

    def namespace(self, name: str) -> None:
        """Make it unless it is there; usable at once."""
        try:
            self.cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        except CallFailed as error:
            if error.code != 409:
                raise
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.cluster.until(f"namespace {name} usable", lambda: self._there(account))

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(*words)

    def edit(self, what: str, change: Callable[[Body], object], *, manager: str = "kubectl-edit") -> None:
        """Change an object as `kubectl edit` does; `what` is RESOURCE/NAMESPACE/NAME, `_cluster` for none.

        As a patch: `kubectl replace` would write the last-applied annotation anew, which `kubectl edit` leaves alone.
        """
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        before = json.loads(self.cluster.kubectl("get", resource, name, *place, "-o", "json"))
        after = deepcopy(before)
        change(after)
        patch = json.dumps(merge_patch(before, after))
        self.cluster.kubectl(
            "patch", resource, name, *place, "--type=merge", f"--field-manager={manager}", "-p", patch
        )

    def restart(self, what: str, *, manager: str = "kubectl-rollout") -> None:
        """`kubectl rollout restart` of RESOURCE/NAMESPACE/NAME, at the story's time.

        kubectl would write the machine's time into the pod template, and templates keep what they say (`clock.py`).
        """
        resource, namespace, name = what.split("/")
        mark = {"kubectl.kubernetes.io/restartedAt": stamp(self.now)}
        self.cluster.kubectl(
            "patch", resource, name, "-n", namespace, f"--field-manager={manager}",
            "-p", json.dumps({"spec": {"template": {"metadata": {"annotations": mark}}}}),
        )  # fmt: skip

    def delete(self, what: str) -> None:
        """RESOURCE/NAMESPACE/NAME, without waiting for its end."""
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        self.cluster.kubectl("delete", resource, name, *place, "--wait=false")

    def get(self, what: str) -> Body:
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        return self.cluster.get(resource, name, *place)

    # --- kubelets ---------------------------------------------------------------------------------------------

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

    def pods(self, place: str) -> Sequence[Body]:
        """The pods whose NAMESPACE/NAME begins with `place`, by name."""
        namespace, _, prefix = place.partition("/")
        items = self.cluster.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return sorted(
            (p for p in items if p["metadata"]["name"].startswith(prefix)),
            key=lambda p: p["metadata"]["name"],
        )

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
    ) -> None:
        """Pods that have ended badly and are not started again (`restartPolicy: Never`): what a Job counts.

        Args:
            reason, message: of the container's end; StartError with the runtime's words when it could not be started.
        """
        for pod in [p for p in self.placed(place) if p["status"]["phase"] in ("Pending", "Running")]:
            meta, kubelet = pod["metadata"], self.kubelets[pod["spec"]["nodeName"]]
            began = self.ago(seconds=lives_s)
            end = terminated(code, self._real(began), self._real(), reason=reason)
            if message:
                end["terminated"]["message"] = message
            name = pod["spec"]["containers"][0]["name"]
            kubelet.tell(pod, "Created", "Container created", at=self._real(began), container=name)
            if reason == "StartError":
                kubelet.tell(
                    pod, "Failed", f"Error: {message}", at=self._real(), type_="Warning", container=name
                )
            else:
                kubelet.tell(pod, "Started", "Container started", at=self._real(began), container=name)
            kubelet.report(pod, {name: Container(end)}, at=self._real(), phase="Failed")
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

    # --- controllers that do not run here ---------------------------------------------------------------------

    def crd(self, group: str, version: str, kind: str, plural: str, *, namespaced: bool = True) -> None:
        """Define a kind whose controller does not run on the test bed; any fields, with a status of its own."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        # Kubernetes' own groups, such as the Gateway API's, are refused without it.
        approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1111"}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}", "annotations": approved if group.endswith(".k8s.io") else {}},
            "spec": {
                "group": group, "scope": "Namespaced" if namespaced else "Cluster",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
            },
        }  # fmt: skip
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(body))
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=30s")
        self.cluster.until(
            f"{plural}.{group} served", lambda: self._there(f"/apis/{group}/{version}/{plural}")
        )

    def status(self, what: str, status: Body, *, manager: str) -> None:
        """Write a status as its controller would; times in it are the cluster's: use `stage.stamp()`."""
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        self.cluster.kubectl(
            "patch", resource, name, *place, "--subresource=status", "--type=merge", f"--field-manager={manager}",
            "-p", json.dumps({"status": status}),
        )  # fmt: skip

    def stamp(self, *, minutes_ago: float = 0, at: datetime | None = None) -> str:
        """A time of the story as it has to be written into an object now: good until the next wait."""
        return stamp(self._real(at or self.ago(minutes=minutes_ago)))

    def event(
        self,
        about: Body,
        reason: str,
        message: str,
        *,
        kind: str = "Warning",
        component: str = "",
        count: int = 1,
        minutes_ago: float = 0,
    ) -> None:
        """An event of a controller that does not run here; `about` is the whole object (`stage.get`)."""
        meta = about["metadata"]
        at = stamp(self._real(self.ago(minutes=minutes_ago)))
        namespace = meta.get("namespace", "default")
        self.cluster.ask("POST", f"/api/v1/namespaces/{namespace}/events?fieldManager={component or 'controller'}", {
            "metadata": {"name": f"{meta['name']}.{time.time_ns():x}"},
            "involvedObject": {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"], "uid": meta["uid"],
                               **({"namespace": meta["namespace"]} if "namespace" in meta else {})},
            "reason": reason, "message": message, "type": kind, "count": count,
            "firstTimestamp": at, "lastTimestamp": at, "source": {"component": component}, "reportingComponent": component,
        })  # fmt: skip

    # --- what no control plane keeps --------------------------------------------------------------------------

    def log(
        self,
        place: str,
        text: str,
        *,
        container: str = "",
        at: datetime | None = None,
        previous: bool = False,
        every_s: float = 1,
    ) -> None:
        """The log of the first (or only) pod whose NAMESPACE/NAME begins with `place`.

        Args:
            text: lines; each gets a time in front (RFC 3339, as `kubectl logs --timestamps` prints) unless it begins
                with a year. `at` is that of the first (by default a minute ago), the next ones follow `every_s` apart.
        """
        pod = self.pods(place)[0]
        name = container or pod["spec"]["containers"][0]["name"]
        first = at or self.ago(minutes=1)
        lines = [
            line if line[:2] == "20" else f"{stamp(first + timedelta(seconds=n * every_s))} {line}"
            for n, line in enumerate(text.strip("\n").splitlines())
        ]
        self.logs[pod["metadata"]["namespace"], pod["metadata"]["name"], name, previous] = (
            "\n".join(lines) + "\n"
        )

    def metric(
        self,
        name: str,
        query: str,
        series: Mapping[str, Sequence[float]] | Sequence[tuple[Mapping[str, str], Sequence[float]]],
        *,
        step_s: int = 60,
    ) -> None:
        """A recorded Prometheus range answer: labels and values, the last one now, `step_s` apart."""
        pairs = (
            [({"__name__": key}, values) for key, values in series.items()]
            if isinstance(series, Mapping)
            else series
        )
        end = self.now.replace(microsecond=0)
        result = [
            {"metric": dict(labels), "values": [
                [int((end - timedelta(seconds=step_s * (len(values) - 1 - n))).timestamp()), f"{value:g}"]
                for n, value in enumerate(values)
            ]}
            for labels, values in pairs
        ]  # fmt: skip
        self.metrics[name] = {
            "query": query, "kind": "range", "asked_at": stamp(end),
            "data": {"resultType": "matrix", "result": result},
        }  # fmt: skip

    def fire(self, *, minutes_ago: float = 5) -> None:
        """The alert began then; the recording is taken when `play` returns."""
        self.fired = self.ago(minutes=minutes_ago)

    # --- inside -----------------------------------------------------------------------------------------------

    def _there(self, path: str) -> bool:
        try:
            self.cluster.ask("GET", path)
        except CallFailed as error:
            # 429 is how the API server says that a new kind's storage is not open yet.
            if error.code not in (404, 429):
                raise
            return False
        return True

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


def merge_patch(before: Body, after: Body) -> Body:
    """The JSON merge patch (RFC 7386) that makes `after` of `before`."""
    patch: Body = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch


def write_extras(stage: Stage, recording: Path) -> None:
    """`logs/` and `metrics/` of a recording."""
    for (namespace, pod, container, previous), text in stage.logs.items():
        folder = recording / "logs" / namespace / pod
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{container}{'.previous' if previous else ''}.log").write_text(text, "utf-8")
    for name, answer in stage.metrics.items():
        (recording / "metrics").mkdir(exist_ok=True)
        (recording / "metrics" / f"{name}.json").write_text(json.dumps(answer) + "\n", "utf-8")
