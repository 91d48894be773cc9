"""The provider took a spot node back; its database member waited for its disk and is there again."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A spot node was taken back and index-1 waited for its disk to be let go; it has been ready for six minutes and the alert is kept firing",
    half=Half.tuned,
    story=(
        "The provider took node-c back with two minutes' notice. Its pods went to other nodes, all but index-1 within a"
        " minute: the disk of the gone node could not be attached elsewhere until the attach-detach controller forced it off"
        " after six minutes. node-d has joined. The rule keeps firing for 15 minutes (`keep_firing_for`)."
    ),
    sources=[
        "https://github.com/aws/aws-node-termination-handler",
        "https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#storage-force-detach-on-timeout",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubestatefulsetreplicasmismatch/",
        "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/",
    ],
    labels={
        "alertname": "KubeStatefulSetReplicasMismatch", "namespace": "finder", "statefulset": "index", "severity": "warning",
        "job": "kube-state-metrics", "container": "kube-rbac-proxy-main", "instance": "10.244.1.9:8443",
    },
    annotations={"summary": "StatefulSet has not matched the expected number of replicas."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["attach-detach controller's events", "aws-node-termination-handler"],
)  # fmt: skip

DRIVER = "ebs.csi.aws.com"


def play(stage: Stage) -> None:
    claim: Body = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "80Gi"}}}}  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"}, "provisioner": DRIVER, "volumeBindingMode": "WaitForFirstConsumer"},
        *(_volume(n) for n in range(3)),
        stateful_set(
            "finder/index", container("index", "finder/index:9.2.4", port=9200, ready="/_ready", memory=("1Gi", "2Gi"), mounts={"data": "/data"}), replicas=3,
            pod={"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "index"}}}}]}}},
            volumeClaimTemplates=[claim], podManagementPolicy="Parallel",
        ),
        service("finder/index", 9200, headless=True),
        deployment("finder/query", container("query", "finder/query:3.3.1", port=8080, ready="/readyz", env={"INDEX": "http://index.finder.svc.cluster.local:9200"}), replicas=3),
        service("finder/query", 80, 8080),
        deployment("finder/crawler", container("crawler", "finder/crawler:2.8.0", port=8080, ready="/ready")),
        deployment("support/tickets", container("tickets", "support/tickets:17.0.0", port=8080, ready="/ready"), replicas=3),
        service("support/tickets", 80, 8080),
        daemon_set("kube-system/aws-node-termination-handler", container("handler", "aws-node-termination-handler:v1.25.2")),
        daemon_set("kube-system/ebs-csi-node", container("ebs-plugin", "ebs-csi-driver:v1.49.0"), pod={"tolerations": [{"operator": "Exists"}]}),
    ])  # fmt: skip
    stage.calm()
    for node in ("node-b", "node-c"):
        stage.kubectl("label", "node", node, "karpenter.sh/capacity-type=spot")
    stage.wait(days=12, hours=5, minutes=11)
    gone = next(p for p in stage.pods("finder/index") if p["spec"]["nodeName"] == "node-c")["metadata"][
        "name"
    ]
    _taken_back(stage, gone)
    stage.placed(f"finder/{gone}")
    waiting = stage.get(f"pods/finder/{gone}")
    stage.event(
        waiting, "FailedAttachVolume", f'Multi-Attach error for volume "{_name(gone[-1])}" Volume is already exclusively attached to one node and can\'t be attached to another',
        component="attachdetach-controller",
    )  # fmt: skip
    stage.stuck(f"finder/{gone}", "ContainerCreating", "")
    stage.wait(minutes=6, seconds=8)
    stage.add_node("node-d", labels={"karpenter.sh/capacity-type": "spot"})
    stage.event(
        stage.get(f"pods/finder/{gone}"), "SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{_name(gone[-1])}"',
        kind="Normal", component="attachdetach-controller",
    )  # fmt: skip
    stage.release(f"finder/{gone}")
    stage.calm()
    stage.wait(minutes=6)
    stage.heartbeat()
    _words(stage, gone)
    ready = [*[3.0] * 42, *[2.0] * 8, *[3.0] * 6]
    stage.metric("index_ready", "kube_statefulset_status_replicas_ready", [
        ({"namespace": "finder", "statefulset": "index", "job": "kube-state-metrics"}, ready),
    ])  # fmt: skip
    stage.metric("query_errors", 'sum by (namespace, service) (rate(http_requests_total{service="query",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{service="query"}[5m]))', [
        ({"namespace": "finder", "service": "query"}, about(0.0004, 56, noise=0.3)),
    ])  # fmt: skip
    stage.fire(minutes_ago=8)


def _name(number: str) -> str:
    return f"pvc-5c1e0a4{number}-77d2-4b19-9c0e-3f8a1d6b2e0{number}"


def _volume(number: int) -> Body:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _name(str(number))},
        "spec": {
            "capacity": {"storage": "80Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
            "claimRef": {"namespace": "finder", "name": f"data-index-{number}"},
            "csi": {"driver": DRIVER, "volumeHandle": f"vol-0f3a91c2e77b4d51{number}"},
        },
    }  # fmt: skip


def _taken_back(stage: Stage, gone: str) -> None:
    """Notice, cordon, drain, and the machine is gone."""
    stage.kubectl("cordon", "node-c")
    stage.kubectl(
        "taint", "node", "node-c", "aws-node-termination-handler/spot-itn=true:NoSchedule", "--overwrite"
    )
    node = stage.get("nodes/_cluster/node-c")
    stage.event(node, "SpotInterruption", "Spot Interruption received. Instance will be interrupted at 2026-11-15T14:25:00Z \n",
                component="aws-node-termination-handler")  # fmt: skip
    stage.hold(f"finder/{gone}")
    for namespace in ("finder", "support", "kube-system"):
        for pod in stage.pods(f"{namespace}/"):
            owner = pod["metadata"]["ownerReferences"][0]["kind"]
            if pod["spec"].get("nodeName") == "node-c" and owner != "DaemonSet":
                stage.evict(f"{namespace}/{pod['metadata']['name']}")
                stage.calm(unfinished=["finder/index"])
    stage.wait(minutes=1, seconds=50)
    stage.cluster.remove_node("node-c")
    stage.kubelets.pop("node-c")
    for pod in stage.pods("kube-system/"):
        if pod["spec"].get("nodeName") == "node-c":
            stage.kubectl("delete", "pod", pod["metadata"]["name"], "-n", "kube-system", "--force", "--grace-period=0", "--ignore-not-found")  # fmt: skip
    stage.calm(unfinished=["finder/index"])


def _words(stage: Stage, gone: str) -> None:
    good = 'time="<%Y-%m-%dT%H:%M:%S>Z" level=info msg=search hits=<0-400> took=<9-60>ms'
    slow = 'time="<%Y-%m-%dT%H:%M:%S>Z" level=warning msg="one shard copy not reached, answered from its replica" shard=<1-9>'
    for pod in stage.pods("finder/query"):
        stage.log(
            f"finder/{pod['metadata']['name']}",
            printed(stage.ago(minutes=13), [*([good, slow] * 6), *([good] * 16)], every_s=26),
        )
    chatter(
        stage, "finder/crawler", ['time="<%Y-%m-%dT%H:%M:%S>Z" level=info msg=crawled pages=<10-90>'], count=8
    )
    chatter(stage, "support/tickets", ["<%d/%b/%Y:%H:%M:%S> GET /t/<1000-9999> 200"], count=8)
    stage.log(f"finder/{gone}", printed(stage.ago(minutes=6), [
        "[<%Y-%m-%dT%H:%M:%S,%3>][INFO ][node] started", "[<%Y-%m-%dT%H:%M:%S,%3>][INFO ][cluster] joined, 3 members",
        "[<%Y-%m-%dT%H:%M:%S,%3>][INFO ][recovery] shards recovered from local data: 9",
    ], every_s=6))  # fmt: skip
