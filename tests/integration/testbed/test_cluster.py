"""The test bed is the real thing: what a cluster does by itself happens here too, and nothing outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.source import ROOT
from tests.testbed.clock import Clock
from tests.testbed.cluster import DEFAULT_CLASS, CallFailed, Cluster, ClusterFailed
from tests.testbed.kubelet import Kubelet, terminated, waiting
from tests.testbed.programs import NotBuilt, Programs

pytestmark = [pytest.mark.needs("testbed"), pytest.mark.requirement("INT-BR-TEST-005", "INT-BR-TEST-009")]

LABELS = {"app": "web"}
WAIT = "--timeout=60s"


def template(**spec: object) -> dict[str, object]:
    return {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}], **spec},
    }


def deployment(name: str = "web", replicas: int = 2, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template(**spec)},
    }


def stateful_set(storage_class: str) -> dict[str, object]:
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": template(),
            "volumeClaimTemplates": [claim],
        },
    }


def service(name: str = "web") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": LABELS, "ports": [{"port": 80}]},
    }


# --- what a cluster does ----------------------------------------------------------------------------------------


def test_a_deployments_pods_become_ready_and_are_endpoints_of_their_service(cluster: Cluster, namespace: str):
    cluster.apply(deployment(), service(), namespace=namespace)

    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, WAIT)

    slices = cluster.get("endpointslices", "-n", namespace)["items"]
    cluster.until("two endpoints", lambda: sum(ready_endpoints(cluster, namespace)) == 2)
    assert len(slices) == 1
    managers = {
        entry["manager"]
        for entry in cluster.get("deployment/web", "-n", namespace, "--show-managed-fields")["metadata"][
            "managedFields"
        ]
    }
    assert managers == {"kubectl-client-side-apply", "kube-controller-manager"}


def ready_endpoints(cluster: Cluster, namespace: str) -> Iterator[bool]:
    for piece in cluster.get("endpointslices", "-n", namespace)["items"]:
        yield from (bool(endpoint["conditions"]["ready"]) for endpoint in piece.get("endpoints") or [])


def test_a_stateful_set_gets_its_volume_and_becomes_ready(cluster: Cluster, namespace: str):
    cluster.apply(stateful_set(DEFAULT_CLASS), namespace=namespace)

    cluster.kubectl("rollout", "status", "statefulset/db", "-n", namespace, WAIT)

    assert cluster.get("pvc/data-db-0", "-n", namespace)["status"]["phase"] == "Bound"


def test_a_claim_of_another_class_waits_for_the_volume_that_a_test_makes(cluster: Cluster, namespace: str):
    cluster.add_storage_class(namespace)
    try:
        cluster.apply(stateful_set(namespace), namespace=namespace)
        cluster.until("a pending claim", lambda: cluster.get("pvc", "-n", namespace)["items"])
        assert cluster.get("pvc/data-db-0", "-n", namespace)["status"]["phase"] == "Pending"

        cluster.add_volume(namespace, size="1Gi", storage_class=namespace)

        cluster.kubectl("rollout", "status", "statefulset/db", "-n", namespace, WAIT)
    finally:
        cluster.kubectl("delete", "pv", namespace, "--wait=false", "--ignore-not-found")
        cluster.kubectl("delete", "storageclass", namespace)


def test_a_service_account_may_do_what_its_role_says_and_no_more(cluster: Cluster, namespace: str):
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods", "-n", namespace)
    cluster.kubectl(
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        f"--serviceaccount={namespace}:reader",
        "-n",
        namespace,
    )
    config: list[str | Path] = ["--kubeconfig", cluster.kubeconfig_for(namespace, "reader"), "-n", namespace]

    cluster.kubectl("get", "pods", *config)
    with pytest.raises(CallFailed, match='cannot list resource "secrets"'):
        cluster.kubectl("get", "secrets", *config)
    with pytest.raises(CallFailed, match='cannot create resource "configmaps"'):
        cluster.kubectl("create", "configmap", "mine", *config)


def test_a_namespace_under_pod_security_refuses_a_privileged_pod(cluster: Cluster, namespace: str):
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, **template(hostNetwork=True)}
    pod["metadata"] = {"name": "bad"}

    with pytest.raises(CallFailed, match="violates PodSecurity"):
        cluster.apply(pod, namespace=namespace)


def test_helm_installs_and_waits_and_rolls_back(cluster: Cluster, namespace: str, tmp_path: Path):
    chart = tmp_path / "web"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 0.1.0\n")
    (chart / "values.yaml").write_text("replicas: 1\n")
    (chart / "templates" / "web.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        "spec:\n  replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {app: web}}\n"
        "  template:\n    metadata: {labels: {app: web}}\n"
        "    spec: {containers: [{name: app, image: example.com/app:1}]}\n"
    )
    where = ["-n", namespace]

    cluster.helm("install", "web", chart, "--wait", "--timeout", "60s", *where)
    cluster.helm("upgrade", "web", chart, "--set", "replicas=2", "--wait", "--timeout", "60s", *where)
    assert cluster.get("deployment/web", *where)["status"]["readyReplicas"] == 2
    cluster.helm("rollback", "web", "1", "--wait", "--timeout", "60s", *where)

    assert cluster.get("deployment/web", *where)["spec"]["replicas"] == 1
    cluster.helm("uninstall", "web", "--wait", *where)


def test_each_namespace_is_its_own_and_goes_afterwards(cluster: Cluster):
    with cluster.namespace() as first, cluster.namespace() as second:
        assert first != second
        cluster.apply(deployment(), namespace=first)

    cluster.kubectl("wait", "--for=delete", f"namespace/{first}", f"namespace/{second}", WAIT)


# --- what a test plays ------------------------------------------------------------------------------------------


@pytest.fixture
def kubelet(cluster: Cluster, namespace: str) -> Iterator[Kubelet]:
    """Of a node that nothing plays but the test; named like the namespace, and for its pods alone."""
    cluster.add_node(namespace, managed_by_kwok=False, labels={"only": namespace})
    yield Kubelet(cluster, namespace)
    cluster.remove_node(namespace)


def test_on_a_node_that_kwok_leaves_alone_nothing_happens_but_what_is_reported(
    cluster: Cluster, namespace: str, kubelet: Kubelet
):
    cluster.apply(deployment(replicas=1, nodeSelector={"only": namespace}), service(), namespace=namespace)
    cluster.until("a pod on the node", kubelet.pods)
    (pod,) = kubelet.pods()
    assert pod["status"]["phase"] == "Pending"
    now = datetime.now(UTC)

    kubelet.begin(pod, at=now - timedelta(seconds=60))
    kubelet.ready(kubelet.pods()[0], at=now - timedelta(seconds=50))

    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, WAIT)
    cluster.until("an endpoint", lambda: list(ready_endpoints(cluster, namespace)) == [True])


def test_a_crash_that_is_reported_takes_the_pod_out_of_its_service(
    cluster: Cluster, namespace: str, kubelet: Kubelet
):
    cluster.apply(deployment(replicas=1, nodeSelector={"only": namespace}), service(), namespace=namespace)
    cluster.until("a pod on the node", kubelet.pods)
    began = datetime.now(UTC) - timedelta(seconds=60)
    kubelet.ready(kubelet.pods()[0], at=began)
    (pod,) = kubelet.pods()

    ended = terminated(137, began, began + timedelta(seconds=9), reason="OOMKilled")
    kubelet.report(
        pod,
        {"app": waiting("CrashLoopBackOff", "back-off 10s", restarts=3, last=ended)},
        at=began + timedelta(seconds=9),
    )
    for minute in (1, 2):
        at = began + timedelta(minutes=minute)
        kubelet.tell(pod, "BackOff", "Back-off restarting", at=at, count=4, type_="Warning", container="app")

    (status,) = cluster.get("pods", "-n", namespace)["items"][0]["status"]["containerStatuses"]
    assert status["restartCount"] == 3
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    cluster.until("no endpoint that is ready", lambda: list(ready_endpoints(cluster, namespace)) == [False])
    events = cluster.get("events", "-n", namespace)["items"]
    assert [event["count"] for event in events if event["reason"] == "BackOff"] == [8]


def test_time_passes_without_waiting(cluster: Cluster, namespace: str):
    cluster.apply(deployment(), namespace=namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, WAIT)
    born = cluster.get("deployment/web", "-n", namespace)["metadata"]["creationTimestamp"]
    start = datetime(2026, 1, 5, 12, tzinfo=UTC)
    clock = Clock(cluster, start)
    try:
        clock.wait(3600)
        aged = cluster.get("deployment/web", "-n", namespace)["metadata"]["creationTimestamp"]
        # Whole seconds are skipped, so that the story's clock may stand half of one before its start.
        assert timedelta(minutes=59, seconds=59) < clock.now() - start < timedelta(minutes=62)
    finally:
        clock.close()

    assert datetime.fromisoformat(born) - datetime.fromisoformat(aged) == timedelta(hours=1)
    cluster.kubectl("scale", "deployment/web", "--replicas=3", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, WAIT)


# --- its life ---------------------------------------------------------------------------------------------------


class Up:
    """`./kubernaut testbed up` as a person starts it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [str(ROOT / "kubernaut"), "testbed", "up", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.startswith("Ctrl-C"):
                break

    @property
    def kubeconfig(self) -> Path:
        return Path(next(line for line in self.said if "KUBECONFIG=" in line).partition("=")[2])

    def end(self, word: signal.Signals) -> int:
        self.process.send_signal(word)
        code = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.said += self.process.stdout.read().splitlines()
        self.process.stdout.close()
        return code


def living_in(folder: Path) -> list[str]:
    """Processes whose working directory is there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "comm").read_text().strip())
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return found


def gone(folder: Path) -> bool:
    deadline = time.monotonic() + 20
    while living_in(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return living_in(folder) == []


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM], ids=lambda word: word.name)
def test_a_person_gets_a_cluster_and_ctrl_c_ends_all_of_it(word: signal.Signals):
    up = Up()
    home = up.kubeconfig.parent
    assert len(living_in(home)) == 5
    assert home.stat().st_mode & 0o077 == 0
    assert up.kubeconfig.stat().st_mode & 0o077 == 0

    code = up.end(word)

    assert code == 0
    assert up.said[-1] == "All processes ended."
    assert living_in(home) == []
    assert not home.exists()


def test_when_the_owner_is_killed_nothing_stays_and_the_next_one_cleans_up():
    up = Up()
    home = up.kubeconfig.parent
    assert len(living_in(home)) == 5

    up.end(signal.SIGKILL)

    assert gone(home)
    with Cluster() as following:
        assert following.directory != home
        assert not home.exists()


def test_a_directory_in_use_is_refused_and_may_be_used_again_afterwards(tmp_path: Path):
    home = tmp_path / "bed"
    with Cluster(directory=home) as first:
        assert first.ask("GET", "/version")["minor"] == "36"
        with pytest.raises(ClusterFailed, match="belongs to a control plane that is running"):
            Cluster(directory=home).start()

    with Cluster(directory=home) as second:
        assert second.get("nodes")["items"] == []


def test_halted_it_does_nothing_by_itself_and_can_still_be_read_and_written():
    with Cluster() as bed:
        bed.halt()

        assert set(bed.pids) == {"etcd", "kube-apiserver"}
        bed.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "quiet"}})
        assert bed.get("namespaces", "quiet")["status"]["phase"] == "Active"
        assert bed.get("serviceaccounts", "-n", "quiet")["items"] == []


def test_a_program_that_does_not_start_is_named_with_its_last_words(cluster: Cluster, tmp_path: Path):
    for name in (
        "etcd",
        "kubectl",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "helm",
        "kwok-stages",
    ):
        (tmp_path / name).symlink_to(cluster.program(name))
    (tmp_path / "kube-apiserver").write_text("#!/bin/sh\necho 'no such flag: --fancy' >&2\nexit 3\n")
    (tmp_path / "kube-apiserver").chmod(0o755)

    with pytest.raises(ClusterFailed, match=r"kube-apiserver ended at once \(3\): no such flag: --fancy"):
        Cluster(Programs(tmp_path)).start()


def test_without_programs_the_remedy_is_named(tmp_path: Path):
    with pytest.raises(NotBuilt, match="run: make testbed"):
        Cluster(Programs(tmp_path))


def test_without_programs_the_command_says_so(tmp_path: Path):
    done = subprocess.run(
        [str(ROOT / "kubernaut"), "testbed", "up"],
        env={**os.environ, "KUBERNAUT_CACHE": str(tmp_path), "KUBEBUILDER_ASSETS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "run: make testbed" in done.stderr
