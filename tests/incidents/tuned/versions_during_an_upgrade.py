"""Nodes are brought to the next patch version one after another; a rule counts two versions meanwhile."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.kubelets import MERGE
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="KubeVersionMismatch while nodes go from v1.36.3 to v1.36.4 one after another: two are done, the third is drained right now",
    half=Half.tuned,
    story=(
        "The platform team upgrades the kubelets as every month: cordon, drain, upgrade, uncordon, the next one. node-a and"
        " node-b run v1.36.4 again since an hour; node-c was drained four minutes ago. All workloads have their pods on the"
        " other nodes. The rule counts versions and has no idea of an upgrade. A webhook warning of the drained pods is"
        " ordinary."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeversionmismatch/",
        "https://kubernetes.io/releases/version-skew-policy/",
        "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/upgrading-linux-nodes/",
    ],
    labels={"alertname": "KubeVersionMismatch", "severity": "warning", "cluster": "north"},
    annotations={
        "summary": "Different semantic versions of Kubernetes components running.",
        "description": "There are 2 different semantic versions of Kubernetes components running on cluster north.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)

NEW = "v1.36.4"


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("forum/threads", container("threads", "forum/threads:5.8.0", port=8080, ready="/readyz", alive="/livez", env={"DB_HOST": "threads-db.forum.svc.cluster.local"}), replicas=3),
        service("forum/threads", 80, 8080),
        stateful_set("forum/threads-db", container("postgres", "postgres:17.2", port=5432, memory=("512Mi", "1Gi"))),
        service("forum/threads-db", 5432, headless=True),
        deployment("forum/mentions", container("mentions", "forum/mentions:1.3.3", port=8080, ready="/ready")),
        deployment("media/avatars", container("avatars", "media/avatars:4.4.1", port=8080, ready="/ready"), replicas=3),
        service("media/avatars", 80, 8080),
        deployment("media/resize", container("resize", "media/resize:4.0.0", port=8080, ready="/ready")),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "avatars", "namespace": "media"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "avatars"}}}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=30, hours=1)
    for node in ("node-a", "node-b"):
        _drain(stage, node)
        stage.wait(minutes=6)
        _upgraded(stage, node)
        stage.wait(minutes=24)
    stage.wait(minutes=34)
    _drain(stage, "node-c")
    stage.wait(minutes=4)
    stage.heartbeat()
    chatter(stage, "forum/threads-", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET /threads 200 <8-40>ms"], count=20)
    chatter(
        stage, "media/avatars", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET /a/<100-999>.png 200 <3-9>ms"], count=10
    )
    chatter(stage, "media/resize", ["<%Y-%m-%dT%H:%M:%S.%3>Z warn  picture has no profile, sRGB taken", "<%Y-%m-%dT%H:%M:%S.%3>Z info  resized <2-9> pictures"])  # fmt: skip
    old = {"job": "kubelet", "major": "1", "minor": "36", "git_version": "v1.36.3"}
    new = old | {"git_version": NEW}
    stage.metric("versions", "kubernetes_build_info", [
        ({**new, "instance": "10.20.0.11:10250", "node": "node-a"}, [1.0] * 60),
        ({**new, "instance": "10.20.0.12:10250", "node": "node-b"}, [1.0] * 60),
        ({**old, "instance": "10.20.0.13:10250", "node": "node-c"}, [1.0] * 60),
    ])  # fmt: skip
    stage.metric("threads_errors", 'sum by (namespace, service) (rate(http_requests_total{service="threads",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{service="threads"}[5m]))', [
        ({"namespace": "forum", "service": "threads"}, about(0.0002, 90, noise=0.3)),
    ])  # fmt: skip
    stage.fire(minutes_ago=38)


def _drain(stage: Stage, node: str) -> None:
    stage.kubectl("cordon", node)
    for namespace in ("forum", "media", "kube-system"):
        for pod in stage.pods(f"{namespace}/"):
            owner = pod["metadata"]["ownerReferences"][0]["kind"]
            if pod["spec"].get("nodeName") == node and owner != "DaemonSet":
                stage.evict(f"{namespace}/{pod['metadata']['name']}")
                stage.calm()


def _upgraded(stage: Stage, node: str) -> None:
    body = stage.get(f"nodes/_cluster/{node}")
    stage.event(body, "Starting", "Starting kubelet.", kind="Normal", component="kubelet")
    stage.cluster.ask(
        "PATCH",
        f"/api/v1/nodes/{node}/status?fieldManager=kubelet",
        {"status": {"nodeInfo": {**body["status"]["nodeInfo"], "kubeletVersion": NEW}}},
        kind=MERGE,
    )
    stage.kubectl("uncordon", node)
