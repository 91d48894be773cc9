"""Plays the incident: three and a half months of a small shop, and the twenty minutes in which its database stays away.

People's acts are kubectl's, controllers' are their own. Times are the story's, to the second where a person acts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.clock import Clock
from tests.testbed.cluster import DEFAULT_CLASS, Cluster, ClusterFailed
from tests.testbed.kubelet import Container, Kubelet, running, settle, terminated, waiting

Body = dict[str, Any]
Say = Callable[[str], None]
Find = Callable[[], Body]
"""The pod as it is at that moment."""

HERE = Path(__file__).resolve().parent
CONTROLLERS = ("*", "-cronjob-controller")
"""The CronJob controller would start a run for the machine's hour, not for the story's."""

NODES = (
    ("cp-1", "10.20.0.11", "10.244.0", "zone-a"),
    ("worker-1", "10.20.0.21", "10.244.1", "zone-a"),
    ("worker-2", "10.20.0.22", "10.244.2", "zone-b"),
)
CALM_WITHIN_S = 120.0
"""For controllers to be done with one act. They take a second or two."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def today(text: str) -> datetime:
    """A time of the day of the incident."""
    return at(f"2026-11-18T{text}")


EDITED, DELETED, CAPTURED = today("09:05:32"), today("09:05:58"), today("09:24:10")
CHANGED = (
    ("max_connections = 100", "max_connections = 200"),
    ("shared_buffers = 512MB", "shared_buffers = 2G"),
)


@dataclass(frozen=True, slots=True)
class Restarts:
    """When a container started again, one time after the other; each run but the last ended before the next began."""

    first_end: datetime
    again: Sequence[datetime]
    lives: timedelta
    """From a start to the exit."""

    def count(self, moment: datetime) -> int:
        return sum(start <= moment for start in self.again)


def _times(*texts: str) -> Sequence[datetime]:
    return [today(text) for text in texts]


# Back-off of 10, 20, 40, 80, 160, 300 and 300 s after the first restart, which is at once, and the seconds that a
# kubelet's own round takes.
DATABASE = Restarts(
    today("09:06:04"),
    _times("09:06:05", "09:06:16", "09:06:37", "09:07:18", "09:08:39", "09:11:20", "09:16:33", "09:21:47"),
    timedelta(0),
)
CHECKOUT = (
    Restarts(
        today("09:06:31"),
        _times(
            "09:06:32", "09:06:58", "09:07:34", "09:08:30", "09:10:06", "09:13:02", "09:18:18", "09:23:33"
        ),
        timedelta(seconds=15),
    ),
    Restarts(
        today("09:06:38"),
        _times(
            "09:06:39", "09:07:05", "09:07:41", "09:08:37", "09:10:13", "09:13:09", "09:18:25", "09:23:40"
        ),
        timedelta(seconds=15),
    ),
)
BACK_OFF = ("10s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s", "5m0s")
"""What a kubelet says that it waits, by the number of restarts so far."""


@dataclass
class Played:
    """What came of it: the pods of the story, by their part in it."""

    pods: Mapping[str, Body]
    addresses: Mapping[str, str]
    """Service or pod -> address, for the lines in which they are named."""


class Play:
    """One performance."""

    def __init__(self, cluster: Cluster, *, say: Say = print) -> None:
        self._cluster, self._say = cluster, say
        self._clock = Clock(cluster, at("2026-08-03T10:12:00"))
        self._kubelets = [Kubelet(cluster, node, address=ip, pods=pods) for node, ip, pods, _ in NODES]
        self._ours: set[str] = set()
        """Uids of the pods whose trouble this class reports itself."""

    def run(self) -> Played:
        try:
            self._past()
            self._morning()
            self._trouble()
            played = self._played()
            self._clock.settle_on_calendar()
        finally:
            self._clock.close()
        return played

    # --- acts -------------------------------------------------------------------------------------------------

    def _past(self) -> None:
        """August to the day before."""
        self._cluster.kubectl("delete", "storageclass", DEFAULT_CLASS)  # KWOK's, who has no part in the story
        self._say("  2026-08-03  the cluster, its platform, the databases and the shop")
        for node, address, _, zone in NODES:
            labels = {"topology.kubernetes.io/zone": zone}
            self._cluster.add_node(
                node, cpu="4", memory="16Gi", managed_by_kwok=False, labels=labels, address=address
            )
        control_plane = "node-role.kubernetes.io/control-plane"
        self._cluster.kubectl("label", "node", "cp-1", f"{control_plane}=")
        self._cluster.kubectl("taint", "node", "cp-1", f"{control_plane}:NoSchedule")
        self._act("2026-08-03T10:12:04", lambda: self._apply("cluster"))
        self._act("2026-08-03T11:12:04", lambda: self._apply("platform"))
        self._act("2026-08-03T13:12:04", self._databases)
        self._act("2026-08-03T14:12:04", self._shop)
        for day, name, image in (
            ("2026-10-28T10:05:33", "order-history", "1.9.0"),
            ("2026-11-12T08:44:51", "storefront", "7.20.1"),
            ("2026-11-16T14:20:05", "checkout", "2.14.3"),
        ):
            self._say(f"  {day[:10]}  {name} {image} is rolled out")
            self._act(day, partial(self._apply, "shop", only=name))

    def _databases(self) -> None:
        self._secret("data", "orders-db-credentials")
        self._apply("data")

    def _shop(self) -> None:
        """With the images of August; the later ones come on their days."""
        self._secret("shop", "checkout-orders-db")
        self._apply(
            "shop",
            older={"order-history:1.9.0": "1.7.2", "storefront:7.20.1": "7.11.0", "checkout:2.14.3": "2.9.1"},
        )

    def _morning(self) -> None:
        """A job and a rollout that have nothing to do with it."""
        self._say("  2026-11-18  09:00 a job runs; 09:01 catalog 4.8.1 is rolled out, healthy")
        self._job()
        self._act(
            "2026-11-18T09:01:12",
            lambda: self._cluster.kubectl(
                "set",
                "image",
                "deployment/catalog",
                "catalog=registry.example.com/shop/catalog:4.8.1",
                "-n",
                "shop",
            ),
            starts_in_s=4,
            ready_in_s=9,
            pulled="2.618s",
        )

    def _trouble(self) -> None:
        self._say(
            "  09:05  the configuration is edited, the database's pod deleted; then everything that follows"
        )
        scenes = sorted(self._scenes(), key=lambda scene: scene[0])
        for moment, scene in scenes:
            self._clock.until(moment)
            scene()
        self._clock.until(CAPTURED)

    def _scenes(self) -> Iterator[tuple[datetime, Callable[[], None]]]:
        yield EDITED, self._edit
        yield DELETED, lambda: self._kubectl("delete", "pod", "orders-db-0", "-n", "data", "--wait=false")
        yield today("09:06:00"), self._database_goes
        yield DATABASE.first_end, self._database_starts
        yield from self._crash_loop(self._database, "postgres", DATABASE)
        for which, (restarts, failing, unready) in enumerate(
            ((CHECKOUT[0], "09:06:01", "09:06:08"), (CHECKOUT[1], "09:06:08", "09:06:15"))
        ):
            name = f"checkout-{which + 1}"
            yield today(failing), partial(self._probe_fails, name)
            yield today(unready), partial(self._unready, name)
            yield today(unready) + timedelta(seconds=20), partial(self._probe_fails, name, count=3)
            yield from self._crash_loop(partial(self._pod, name), "checkout", restarts)
        yield today("09:06:01"), partial(self._probe_fails, "order-history-1")
        yield today("09:06:21"), partial(self._unready, "order-history-1")
        yield today("09:24:01"), partial(self._probe_fails, "order-history-1", count=108)

    def _edit(self) -> None:
        """By `kubectl edit`, as a person would; the editor is a script.

        It changes whole lines: the text that was applied stands in an annotation of the same document, and stays.
        """
        lines = " ".join(f"-e 's/^\\( *\\){before}$/\\1{after}/'" for before, after in CHANGED)
        editor = self._cluster.directory / "editor"
        editor.write_text(f'#!/bin/sh\nexec sed -i {lines} "$1"\n')
        editor.chmod(0o700)
        self._cluster.kubectl("edit", "configmap", "orders-db-config", "-n", "data", KUBE_EDITOR=str(editor))
        text = self._cluster.get("configmap/orders-db-config", "-n", "data")["data"]["postgresql.conf"]
        if missed := [after for _, after in CHANGED if after not in text]:
            raise ClusterFailed(f"orders-db-config was edited, but has no line {', '.join(missed)}")

    def _database_goes(self) -> None:
        """The old pod ends; the StatefulSet makes a new one, of which `_crash_loop` reports."""
        old = self._database()
        self._kubelet_of(old).remove(old, at=self._real())
        self._cluster.until(
            "a new orders-db-0 on a node",
            lambda: (
                (new := self._find("data", "orders-db-0")) is not None
                and new["metadata"]["uid"] != old["metadata"]["uid"]
                and new["spec"].get("nodeName")
            ),
        )

    def _database_starts(self) -> None:
        pod = self._database()
        self._kubelet_of(pod).begin(pod, at=self._real())

    def _crash_loop(
        self, pod: Find, container: str, restarts: Restarts
    ) -> Iterator[tuple[datetime, Callable[[], None]]]:
        """Each end and each start of a container that gives up again and again."""
        starts = [restarts.first_end, *restarts.again]
        for number, start in enumerate(restarts.again, 1):
            before = starts[number - 1]
            lived = (None, restarts.first_end) if number == 1 else (before, before + restarts.lives)
            yield start, partial(self._restart, pod, container, number, lived)
            end = start + restarts.lives
            yield end, partial(self._back_off, pod, container, number, (start, end))
        still = partial(self._still_backing_off, pod, container, count=50)
        yield CAPTURED - timedelta(seconds=8), still

    def _restart(
        self, find: Find, container: str, number: int, lived: tuple[datetime | None, datetime]
    ) -> None:
        pod = find()
        kubelet = self._kubelet_of(pod)
        began, ended = lived
        before = self._clock.real(began) if began else _since(pod) or self._clock.real(ended)
        end = terminated(1, before, self._clock.real(ended))
        kubelet.started(pod, at=self._real())
        kubelet.report(
            pod, {container: running(self._real(), ready=False, restarts=number, last=end)}, at=self._real()
        )

    def _back_off(self, find: Find, container: str, number: int, lived: tuple[datetime, datetime]) -> None:
        pod = find()
        began, ended = (self._clock.real(moment) for moment in lived)
        message = f"back-off {BACK_OFF[number]} restarting failed container={container} pod={_full_name(pod)}"
        state = waiting("CrashLoopBackOff", message, restarts=number, last=terminated(1, began, ended))
        self._kubelet_of(pod).report(pod, {container: state}, at=self._real())
        self._still_backing_off(find, container, count=1)

    def _still_backing_off(self, find: Find, container: str, *, count: int) -> None:
        pod = find()
        message = f"Back-off restarting failed container {container} in pod {_full_name(pod)}"
        self._kubelet_of(pod).tell(
            pod, "BackOff", message, at=self._real(), count=count, type_="Warning", container=container
        )

    def _probe_fails(self, name: str, *, count: int = 1) -> None:
        pod = self._pod(name)
        message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
        (spec,) = pod["spec"]["containers"]
        self._kubelet_of(pod).tell(
            pod, "Unhealthy", message, at=self._real(), count=count, type_="Warning", container=spec["name"]
        )

    def _unready(self, name: str) -> None:
        pod = self._pod(name)
        (status,) = pod["status"]["containerStatuses"]
        state = Container(status["state"], False, True, status["restartCount"])
        self._kubelet_of(pod).report(pod, {status["name"]: state}, at=self._real())

    def _job(self) -> None:
        """The hourly run, made as the CronJob controller makes it."""
        cron = self._cluster.get("cronjob/catalog-reindex", "-n", "shop")
        scheduled = today("09:00:00")
        self._clock.until(scheduled)
        stamp = self._clock.real(scheduled).strftime("%Y-%m-%dT%H:%M:%SZ")
        owner = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": "catalog-reindex",
            "uid": cron["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        metadata = {
            "name": f"catalog-reindex-{int(scheduled.timestamp() // 60)}",
            "labels": cron["spec"]["jobTemplate"]["metadata"].get("labels", {}),
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": stamp},
            "ownerReferences": [owner],
        }
        manager = "fieldManager=kube-controller-manager"
        jobs = "/apis/batch/v1/namespaces/shop/jobs"
        self._cluster.ask(
            "POST", f"{jobs}?{manager}", {"metadata": metadata, "spec": cron["spec"]["jobTemplate"]["spec"]}
        )
        self._cluster.until("the job's pod on a node", lambda: self._job_pod() is not None)
        pod = self._job_pod()
        assert pod is not None
        self._ours.add(pod["metadata"]["uid"])
        self._clock.until(today("09:00:01"))
        began = self._real()
        self._kubelet_of(pod).begin(pod, at=began)
        self._clock.until(today("09:00:47"))
        pod = self._job_pod()
        assert pod is not None
        self._kubelet_of(pod).complete(pod, began=self._clock.real(today("09:00:01")), ended=self._real())
        job = f"{jobs}/{metadata['name']}"
        self._cluster.until(
            "the job complete", lambda: self._cluster.ask("GET", job)["status"].get("succeeded")
        )
        times = {
            "lastScheduleTime": self._stamp(scheduled),
            "lastSuccessfulTime": self._stamp(today("09:00:48")),
        }
        self._cluster.ask(
            "PATCH",
            f"/apis/batch/v1/namespaces/shop/cronjobs/catalog-reindex/status?{manager}",
            {"status": times},
            kind="application/merge-patch+json",
        )

    # --- means ------------------------------------------------------------------------------------------------

    def _act(
        self,
        moment: str,
        act: Callable[[], object],
        *,
        starts_in_s: float = 3,
        ready_in_s: float = 10,
        pulled: str = "",
    ) -> None:
        """Do it at that moment of the story and wait until controllers and kubelets are done with it."""
        self._clock.until(at(moment))
        act()
        self._calm(starts_in_s=starts_in_s, ready_in_s=ready_in_s, pulled=pulled)

    def _calm(self, *, starts_in_s: float, ready_in_s: float, pulled: str) -> None:
        deadline = time.monotonic() + CALM_WITHIN_S
        while True:
            self._provision()
            busy = settle(
                self._kubelets,
                now=self._real,
                wait=self._clock.wait,
                starts_in_s=starts_in_s,
                ready_in_s=ready_in_s,
                pulled=pulled,
                leave=lambda pod: pod["metadata"]["uid"] in self._ours,
            )
            unfinished = [] if busy else list(self._unfinished())
            if not busy and not unfinished:
                return
            if time.monotonic() > deadline:
                raise ClusterFailed(f"not done after {CALM_WITHIN_S:.0f} s: {', '.join(unfinished)}")
            time.sleep(0.1)

    def _unfinished(self) -> Iterator[str]:
        """Workloads whose controller has not seen, or not finished, what they ask for."""
        for thing in self._cluster.get("deployments,statefulsets,daemonsets", "-A")["items"]:
            spec, status, meta = thing["spec"], thing["status"], thing["metadata"]
            wanted = spec.get("replicas", status.get("desiredNumberScheduled", 0))
            ready = status.get("readyReplicas", status.get("numberReady", 0))
            updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
            total = status.get("replicas", status.get("currentNumberScheduled", 0))
            seen = status.get("observedGeneration") == meta["generation"]
            if not seen or not wanted == ready == updated == total:
                yield f"{thing['kind']} {meta['namespace']}/{meta['name']}"

    def _provision(self) -> None:
        """The volumes that a CSI driver makes for claims whose pod has a node."""
        for claim in self._cluster.get("pvc", "-A")["items"]:
            meta, spec = claim["metadata"], claim["spec"]
            name = f"pvc-{meta['uid']}"
            chosen = "volume.kubernetes.io/selected-node" in meta.get("annotations", {})
            if not chosen or spec.get("volumeName") or self._exists(f"/api/v1/persistentvolumes/{name}"):
                continue
            reference = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: meta[key] for key in ("namespace", "name", "uid", "resourceVersion")},
            }
            volume = {
                "metadata": {
                    "name": name,
                    "annotations": {"pv.kubernetes.io/provisioned-by": "csi.example.com"},
                },
                "spec": {
                    "accessModes": spec["accessModes"],
                    "capacity": spec["resources"]["requests"],
                    "claimRef": reference,
                    "csi": {
                        "driver": "csi.example.com",
                        "fsType": "ext4",
                        "volumeHandle": f"vol-{meta['uid'][:17]}",
                    },
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": spec["storageClassName"],
                },
            }
            self._cluster.ask("POST", "/api/v1/persistentvolumes?fieldManager=csi-provisioner", volume)

    def _apply(self, file: str, *, only: str = "", older: Mapping[str, str] | None = None) -> None:
        text = (HERE / "objects" / f"{file}.yaml").read_text("utf-8")
        for image, tag in (older or {}).items():
            name, _, _ = image.partition(":")
            text = text.replace(f"/{image}", f"/{name}:{tag}")
        objects = [one for one in yaml.safe_load_all(text) if one]
        if only:
            objects = [
                one for one in objects if (one["kind"], one["metadata"]["name"]) == ("Deployment", only)
            ]
        self._cluster.apply(*objects)

    def _secret(self, namespace: str, name: str) -> None:
        """Its values were never anything else than this word."""
        values = ("--from-literal=username=REDACTED", "--from-literal=password=REDACTED")
        self._cluster.kubectl("create", "secret", "generic", name, "-n", namespace, *values)

    def _kubectl(self, *words: str) -> None:
        self._cluster.kubectl(*words)

    def _played(self) -> Played:
        pods = {
            name: self._pod(name)
            for name in ("checkout-1", "checkout-2", "order-history-1", "catalog-1", "catalog-2")
        }
        pods["orders-db-0"] = self._database()
        redis = self._find("data", "sessions-redis-0")
        assert redis is not None
        pods["sessions-redis-0"] = redis
        service = self._cluster.get("service/orders-db", "-n", "data")
        (metrics,) = self._pods_of("monitoring", "kube-state-metrics")
        return Played(
            pods,
            {"orders-db": service["spec"]["clusterIP"], "kube-state-metrics": metrics["status"]["podIP"]},
        )

    def _pod(self, name: str) -> Body:
        """`checkout-2`: the second of the Deployment's pods, as old as they are and then by name."""
        workload, _, number = name.rpartition("-")
        return self._pods_of("shop", workload)[int(number) - 1]

    def _pods_of(self, namespace: str, workload: str) -> Sequence[Body]:
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io%2Fname%3D{workload}"
        pods = self._cluster.ask("GET", path)["items"]
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def _job_pod(self) -> Body | None:
        placed = [pod for pod in self._pods_of("shop", "catalog-reindex") if pod["spec"].get("nodeName")]
        return placed[0] if placed else None

    def _database(self) -> Body:
        pod = self._find("data", "orders-db-0")
        if pod is None:
            raise ClusterFailed("orders-db-0 is not there")
        return pod

    def _find(self, namespace: str, name: str) -> Body | None:
        answer = self._cluster.http.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        found: Body | None = answer.json() if answer.status_code == 200 else None
        return found

    def _exists(self, path: str) -> bool:
        return self._cluster.http.get(path).status_code == 200

    def _kubelet_of(self, pod: Body) -> Kubelet:
        return next(kubelet for kubelet in self._kubelets if kubelet.node == pod["spec"]["nodeName"])

    def _real(self) -> datetime:
        """Now, as it is to be written."""
        return datetime.now(UTC)

    def _stamp(self, moment: datetime) -> str:
        return self._clock.real(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def _since(pod: Body) -> datetime | None:
    """When its container started, if it runs."""
    (status,) = pod["status"].get("containerStatuses", [{}])
    started = status.get("state", {}).get("running", {}).get("startedAt")
    return datetime.fromisoformat(started) if started else None


def _full_name(pod: Body) -> str:
    meta = pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({meta['uid']})"
