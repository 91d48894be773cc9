"""Every node already holds as many disks of the CSI driver as it can; somebody else's database needs one more."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="Build runners were doubled and hold most of the disks that the nodes can attach, so a new archive finds no node",
    half=Half.tuned,
    story=(
        "The driver can attach five volumes to a node of this size. Yesterday the build runners, each with a disk of its own, were"
        " scaled from six to twelve for the release week, which used the last free slots. Today the invoices team adds an archive"
        " database and lets the next version of its API wait for it: the archive's pod stays Pending and the rollout stands still."
        " Unrelated: thumbnails are evicted again and again, as their scratch directory may take 512 MiB only."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/storage/storage-limits/",
        "https://kubernetes-csi.github.io/docs/volume-limits.html",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/plugins/nodevolumelimits/csi.go",
        "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/eviction/helpers.go",
    ],
    labels=kube_prometheus("KubeDeploymentRolloutStuck", namespace="invoices", deployment="api"),
    causes=["StatefulSet/ci/runner"],
    says=[["max volume count", "volume limit", "volumes per node", "attach", "CSINode"], ["12", "twelve", "scaled", "doubled"]],
    innocent=[
        "Deployment/invoices/api", "StatefulSet/invoices/archive", "StatefulSet/invoices/ledger", "StorageClass/_cluster/block",
        "PersistentVolumeClaim/invoices/data-archive-0",
    ],
    second=["Deployment/media/thumbnails"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)  # fmt: skip

DRIVER, SLOTS = "disk.csi.example.com", 5
TRY = 'Usage of EmptyDir volume "scratch" exceeds the limit "512Mi". '


def _volume(namespace: str, claim: str, size: str, number: int) -> Body:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pvc-5d{number:02}c1a0-7be1-4f0e-9a51-60d2f1c3{number:04}"},
        "spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "block",
            "claimRef": {"namespace": namespace, "name": claim}, "csi": {"driver": DRIVER, "volumeHandle": f"vol-0a{number:04}"},
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": {"attachRequired": True, "podInfoOnMount": False}},
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "block"}, "provisioner": DRIVER, "volumeBindingMode": "Immediate", "allowVolumeExpansion": True},
        *({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": node},
           "spec": {"drivers": [{"name": DRIVER, "nodeID": f"i-{node}", "topologyKeys": [], "allocatable": {"count": SLOTS}}]}} for node in stage.kubelets),
        *(_volume("ci", f"work-runner-{n}", "50Gi", n) for n in range(6)),
        _volume("invoices", "data-ledger-0", "40Gi", 20), _volume("search", "data-index-0", "30Gi", 21), _volume("search", "data-index-1", "30Gi", 22),
        stateful_set("invoices/ledger", container("postgres", "postgres:17.2", port=5432, memory=("512Mi", "1Gi"), mounts={"data": "/var/lib/postgresql/data"}), claims={"data": ("block", "40Gi")}),
        service("invoices/ledger", 5432, headless=True),
        stateful_set("search/index", container("opensearch", "opensearch:2.19.1", port=9200, memory=("1Gi", "2Gi"), mounts={"data": "/usr/share/opensearch/data"}), replicas=2, claims={"data": ("block", "30Gi")}),
        service("search/index", 9200, headless=True),
        stateful_set("ci/runner", container("runner", "ci/runner:18.5.0", memory=("256Mi", "2Gi"), cpu="200m", mounts={"work": "/builds"}), replicas=6, podManagementPolicy="Parallel",
                     claims={"work": ("block", "50Gi")}, pod={"topologySpreadConstraints": [{
                         "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "runner"}}}]}),
        deployment("invoices/api", container("api", "invoices/api:6.2.0", port=8080, ready="/readyz", env={"LEDGER_HOST": "ledger.invoices.svc.cluster.local"}), progressDeadlineSeconds=900),
        service("invoices/api", 80, 8080),
        deployment("media/thumbnails", container("thumbnails", "media/thumbnails:3.1.0", port=8080, mounts={"scratch": "/scratch"}), replicas=1,
                   pod={"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "512Mi"}}]}),
        service("media/thumbnails", 80, 8080),
        deployment("media/gallery", container("gallery", "media/gallery:1.0.9", port=8080, ready="/", env={"THUMBNAILS": "http://thumbnails.media.svc"})),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=18, hours=22)
    stage.apply([_volume("ci", f"work-runner-{n}", "50Gi", n) for n in range(6, 12)])
    stage.kubectl("scale", "statefulset/runner", "-n", "ci", "--replicas=12")
    stage.calm()
    stage.wait(hours=25, minutes=4)
    for _ in range(3):
        (up,) = [
            p["metadata"]["name"] for p in stage.pods("media/thumbnails") if p["status"]["phase"] == "Running"
        ]
        stage.evicted(f"media/{up}", TRY)
        stage.calm()
        stage.wait(minutes=11)
    # The archive and the version of the API that needs it come together.
    stage.apply([
        _volume("invoices", "data-archive-0", "100Gi", 30),
        stateful_set("invoices/archive", container("postgres", "postgres:17.2", port=5432, memory=("512Mi", "1Gi"), mounts={"data": "/var/lib/postgresql/data"}), claims={"data": ("block", "100Gi")}),
        service("invoices/archive", 5432, headless=True),
    ])  # fmt: skip
    stage.hold("invoices/api")
    before = {p["metadata"]["name"] for p in stage.pods("invoices/api")}
    stage.apply([
        deployment("invoices/api", container("api", "invoices/api:6.3.0", port=8080, ready="/readyz", env={
            "LEDGER_HOST": "ledger.invoices.svc.cluster.local", "ARCHIVE_HOST": "archive.invoices.svc.cluster.local",
        }), progressDeadlineSeconds=900),
    ])  # fmt: skip
    (fresh,) = [
        p["metadata"]["name"] for p in stage.placed("invoices/api", 3) if p["metadata"]["name"] not in before
    ]
    stage.cluster.until(
        "the archive's pod was looked at",
        lambda: bool(stage.get("pods/invoices/archive-0")["status"].get("conditions")),
    )
    stage.unready(f"invoices/{fresh}", "HTTP probe failed with statuscode: 503", failures=120)
    stage.wait(minutes=19)
    stage.unready(f"invoices/{fresh}", "HTTP probe failed with statuscode: 503", failures=110)
    stage.heartbeat()
    stage.log(f"invoices/{fresh}", printed(stage.ago(minutes=19), [
        '{"level":"INFO","msg":"starting","version":"6.3.0"}', '{"level":"INFO","msg":"connected","db":"ledger"}',
        *['{"level":"WARN","msg":"not ready","check":"archive","error":"failed to connect to `host=archive.invoices.svc.cluster.local user=api database=archive`: hostname resolving error (lookup archive.invoices.svc.cluster.local on 10.96.0.10:53: no such host)"}'] * 20,
    ], every_s=52))  # fmt: skip
    for name in sorted(before & {p["metadata"]["name"] for p in stage.pods("invoices/api")}):
        chatter(
            stage,
            f"invoices/{name}",
            ['{"level":"INFO","msg":"invoice issued","number":<100000-999999>,"ms":<9-60>}'],
        )
    chatter(
        stage,
        "ci/runner-",
        [
            "Checking for jobs... received  job=<100000-999999> repo_url=https://git.example.com/shop/web.git runner=r<100-999>",
            "Job succeeded  duration_s=<40-600> job=<100000-999999>",
        ],
    )
    chatter(
        stage, "invoices/ledger", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4
    )
    stage.fire(minutes_ago=3)
