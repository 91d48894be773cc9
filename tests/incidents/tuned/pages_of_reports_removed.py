"""A scanner was taken away with all its reports, so most of etcd's file is free pages until the night's defragmentation."""

from __future__ import annotations

from tests.incidents import crons
from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="etcdDatabaseHighFragmentationRatio after nine thousand reports of a retired scanner were deleted: 0.3 of 1.4 GiB are in use, of 8 that are allowed",
    half=Half.tuned,
    story=(
        "The registry scans its images by itself now, so the team took its scanner out of the cluster at a quarter past four, with its kind and all reports. etcd compacts them away and keeps the freed pages in its"
        " file, where they are taken before the file grows. A CronJob defragments the members each night at 03:15. Writes are as fast as ever, and the quota is far off. A web desk was scaled this morning."
    ),
    sources=[
        "https://etcd.io/docs/v3.6/op-guide/maintenance/#defragmentation",
        "https://github.com/etcd-io/etcd/blob/main/contrib/mixin/alerts/alerts.libsonnet",
        "https://runbooks.prometheus-operator.dev/runbooks/etcd/",
    ],
    labels={"alertname": "etcdDatabaseHighFragmentationRatio", "severity": "warning", "job": "kube-etcd", "namespace": "kube-system", "instance": "10.20.0.11:2381", "pod": "etcd-node-a", "endpoint": "http-metrics"},
    annotations={
        "summary": "etcd database size in use is less than 50% of the actual allocated storage.",
        "description": 'etcd cluster "kube-etcd": database size in use on instance 10.20.0.11:2381 is 22.14% of the actual allocated disk space, please run defragmentation (e.g. etcdctl defrag) to retrieve the unused fragmented disk space.',
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller", "static pods"],
)  # fmt: skip

GROUP = "scan.example.com"
GIB = 1024.0**3


def _member(node: str, address: str) -> Body:
    seal = f"4d1b9e07c2{node[-1]}63a85f0e91d7b2c48a60"
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"etcd-{node}", "namespace": "kube-system", "labels": {"component": "etcd", "tier": "control-plane"},
                     "annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": seal, "kubernetes.io/config.mirror": seal}},
        "spec": {
            "nodeName": node, "hostNetwork": True, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
            "containers": [container("etcd", "k8s/etcd:3.6.5-0", memory=("100Mi", "4Gi"), command=[
                "etcd", f"--name={node}", f"--advertise-client-urls=https://{address}:2379", "--data-dir=/var/lib/etcd", "--quota-backend-bytes=8589934592", "--listen-metrics-urls=http://0.0.0.0:2381",
            ])],
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "ImageReport", "imagereports")
    stage.apply([
        *system(),
        *(_member(f"node-{x}", f"10.20.0.{11 + n}") for n, x in enumerate("abc")),
        cron_job("kube-system/etcd-defrag", "15 3 * * *", container("defrag", "ops/etcd-defrag:0.36.0", args=["--cluster", "--defrag-rule=dbQuotaUsage > 0.1 || dbSize - dbSizeInUse > 200*1024*1024"]), successfulJobsHistoryLimit=3),
        deployment("registry-scan/image-scan", container("scan", "registry-scan/image-scan:0.22.1", port=8080, ready="/ready", memory=("256Mi", "1Gi")), replicas=1), service("registry-scan/image-scan", 8080),
        config_map("registry-scan/ignored", {"list": "CVE-2019-14697\n"}),
        *({"apiVersion": f"{GROUP}/v1", "kind": "ImageReport", "metadata": {"name": f"sha256-{n:02x}41c9", "namespace": "registry-scan"}, "spec": {"image": f"registry.example.com/tolls/gantry@sha256:{n:02x}41c9", "critical": 0, "high": n % 3}} for n in range(8)),
        deployment("tolls/gantry", container("gantry", "tolls/gantry:10.4.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "passes.tolls.svc"}), replicas=3), service("tolls/gantry", 80, 8080),
        stateful_set("tolls/passes", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("tolls/passes", 5432, headless=True),
        deployment("tolls/webdesk", container("webdesk", "tolls/webdesk:3.3.3", port=3000, ready="/", env={"GANTRY_URL": "http://gantry.tolls.svc"})), service("tolls/webdesk", 80, 3000),
        deployment("roads/closures", container("closures", "roads/closures:2.1.0", port=8080, ready="/ready")), service("roads/closures", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=36, hours=18, minutes=3)
    for _ in range(2):
        _defragment(stage)
        stage.wait(hours=23, minutes=59, seconds=20)
    _defragment(stage)
    stage.wait(hours=7, minutes=10)
    stage.edit("namespaces/_cluster/registry-scan", lambda body: body["metadata"].setdefault("annotations", {}).update({"example.com/retire-by": "2026-12-15"}))  # fmt: skip
    stage.kubectl("scale", "deployment/webdesk", "--replicas=3", "-n", "tolls")
    stage.calm()
    stage.wait(hours=5, minutes=49)
    stage.delete("deployments/registry-scan/image-scan")
    stage.delete("services/registry-scan/image-scan")
    stage.delete(f"customresourcedefinitions/_cluster/imagereports.{GROUP}")
    stage.calm()
    gone = stage.now
    stage.wait(minutes=52)
    stage.heartbeat()
    for node in ("node-a", "node-b", "node-c"):
        stage.log(f"kube-system/etcd-{node}", printed(gone, [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","caller":"mvcc/hash.go:151","msg":"storing new hash","hash":<1000000000-4000000000>,"revision":<41200000-41299999>,"compact-revision":<41100000-41199999>}',
            '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","caller":"txn/util.go:93","msg":"apply request took too long","took":"<101-140>.4ms","expected-duration":"100ms","prefix":"read-only range ","request":"key:\\"/registry/scan.example.com/imagereports/\\" limit:10000 ","response":"range_response_count:<400-500> size:<41000000-59000000>"}',
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","caller":"mvcc/kvstore_compaction.go:72","msg":"finished scheduled compaction","compact-revision":<41100000-41199999>,"took":"<400-900>.2ms","current-db-size-bytes":1503238553,"current-db-size":"1.5 GB","current-db-size-in-use-bytes":<333000000-339000000>,"current-db-size-in-use":"<333-339> MB"}',
            *['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","caller":"mvcc/kvstore_compaction.go:72","msg":"finished scheduled compaction","compact-revision":<41200000-41299999>,"took":"<40-90>.2ms","current-db-size-bytes":1503238553,"current-db-size":"1.5 GB","current-db-size-in-use-bytes":<333000000-339000000>,"current-db-size-in-use":"<333-339> MB"}'] * 8,
        ], every_s=275))  # fmt: skip
    chatter(stage, "tolls/gantry", ["INFO gantry: pass <10000-99999> let through", "WARN gantry: plate not read, picture kept for the desk"], count=36, minutes=60)  # fmt: skip
    chatter(stage, "tolls/passes", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=6, minutes=60)  # fmt: skip
    chatter(stage, "tolls/webdesk", ["GET /desk 200 <10-40>ms"], minutes=60)
    chatter(stage, "roads/closures", ["INFO closures: GET /closures 200 <2-9>ms"], minutes=60)
    _metrics(stage)
    stage.fire(minutes_ago=35)


def _defragment(stage: Stage) -> None:
    """The run of a quarter past three; takes a bit more than a minute."""
    place = "kube-system/etcd-defrag"
    name = crons.start(stage, place, stage.now.replace(minute=15, second=0, microsecond=0))
    began = stage.now
    pod = crons.complete(stage, place, name, lasts_s=41)
    stage.log(f"kube-system/{pod['metadata']['name']}", printed(began, [
        "Validating configuration.", "Performing health check.",
        *(line for n in (12, 13, 11) for line in (f"Defragmenting endpoint \"https://10.20.0.{n}:2379\"", f"Finished defragmenting etcd endpoint \"https://10.20.0.{n}:2379\". took <2-6>.1s")),
        "The defragmentation is successful.",
    ], every_s=4))  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for three and a half days; the last point but five is when the reports went."""
    since, night = 6, [84, 228, 372]
    count = 84 + 144 * 2 + 78 + since
    members = [({"job": "kube-etcd", "namespace": "kube-system", "instance": f"10.20.0.{11 + n}:2381", "pod": f"etcd-node-{x}"}, x) for n, x in enumerate("abc")]  # fmt: skip
    # From each night to the next the file grows a little above what is in use.
    file: list[float] = []
    for begin, end in zip([0, *night], [*night, count - since], strict=True):
        file += slope(1.36 * GIB, 1.40 * GIB, end - begin, noise=0.0005)
    file += [1.40 * GIB] * since
    stage.metric("file", 'etcd_mvcc_db_total_size_in_bytes{job="kube-etcd"}', [(labels, file) for labels, _ in members], step_s=600)  # fmt: skip
    stage.metric("in-use", 'etcd_mvcc_db_total_size_in_use_in_bytes{job="kube-etcd"}', [
        (labels, [*slope(1.33 * GIB, 1.36 * GIB, count - since, noise=0.002), *about(0.31 * GIB, since, noise=0.01, of=x)]) for labels, x in members
    ], step_s=600)  # fmt: skip
    stage.metric("quota", 'etcd_server_quota_backend_bytes{job="kube-etcd"}', [(labels, [8 * GIB] * count) for labels, _ in members], step_s=600)  # fmt: skip
    stage.metric("fsync", 'histogram_quantile(0.99, sum by (instance, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{job="kube-etcd"}[5m])))', [({"instance": labels["instance"]}, about(0.0041, count, noise=0.2, of=x)) for labels, x in members], step_s=600)  # fmt: skip
    stage.metric("commit", 'histogram_quantile(0.99, sum by (instance, le) (rate(etcd_disk_backend_commit_duration_seconds_bucket{job="kube-etcd"}[5m])))', [({"instance": labels["instance"]}, about(0.0079, count, noise=0.2, of=x)) for labels, x in members], step_s=600)  # fmt: skip
    stage.metric("objects", "max by (resource) (apiserver_storage_objects)", [
        ({"resource": f"imagereports.{GROUP}"}, [float(round(v)) for v in slope(9040, 9112, count - since, noise=0)]),
        ({"resource": "pods"}, [41.0] * count), ({"resource": "configmaps"}, [63.0] * count),
    ], step_s=600)  # fmt: skip
    stage.metric("leader", 'etcd_server_has_leader{job="kube-etcd"}', [(labels, [1.0] * count) for labels, _ in members], step_s=600)  # fmt: skip
