"""Ceph moves a part of its placement groups to a disk that was added; all copies of everything are there meanwhile."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="CephPGsUnclean of pool blocks while placement groups move to a disk added this morning: none is degraded, and the misplaced ones get fewer",
    half=Half.tuned,
    story=(
        "A fourth disk was given to the cluster at ten, on node-c. CRUSH lets a sixth of the copies live there, and Ceph moves them with low priority; groups on their way are active and remapped,"
        " not clean, and keep all three copies where they were. Health is HEALTH_OK, clients are as fast as ever, and in two hours all will have moved. The rule counts what is not clean."
        " A pod of the film desk was restarted last week; the exporter of another namespace got a new version at eleven."
    ),
    sources=[
        "https://docs.ceph.com/en/latest/rados/operations/pg-states/",
        "https://docs.ceph.com/en/latest/rados/operations/add-or-rm-osds/",
        "https://github.com/ceph/ceph/blob/main/monitoring/ceph-mixin/prometheus_alerts.libsonnet",
        "https://rook.io/docs/rook/latest-release/CRDs/Cluster/ceph-cluster-crd/",
    ],
    labels={
        "alertname": "CephPGsUnclean", "severity": "warning", "type": "ceph_default", "namespace": "rook-ceph", "job": "rook-ceph-mgr", "pool_id": "2", "name": "blocks",
        "instance": "rook-ceph-mgr-a:9283",
    },
    annotations={
        "summary": "One or more placement groups are marked unclean",
        "description": "38 PGs have been unclean for more than 15 minutes in pool blocks. Unclean PGs have not recovered from a previous failure.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["rook status", "rook objects"],
)  # fmt: skip

GROUP = "ceph.rook.io"
IMAGE = "ceph/ceph:v19.2.3"


def _disk(number: int, node: str) -> Body:
    return deployment(f"rook-ceph/rook-ceph-osd-{number}", container("osd", IMAGE, port=6800, memory=("512Mi", "2Gi"), cpu="200m"), replicas=1,
                      labels={"ceph-osd-id": str(number), "topology-location-host": node}, pod={"nodeSelector": {"kubernetes.io/hostname": node}}, strategy={"type": "Recreate"})  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "CephCluster", "cephclusters")
    stage.crd(GROUP, "v1", "CephBlockPool", "cephblockpools")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "CephCluster", "metadata": {"name": "rook-ceph", "namespace": "rook-ceph"}, "spec": {
            "cephVersion": {"image": f"registry.example.com/{IMAGE}"}, "dataDirHostPath": "/var/lib/rook", "mon": {"count": 3},
            "storage": {"useAllNodes": False, "useAllDevices": False, "nodes": [{"name": f"node-{x}", "devices": [{"name": "nvme1n1"}]} for x in "abc"]},
        }},
        {"apiVersion": f"{GROUP}/v1", "kind": "CephBlockPool", "metadata": {"name": "blocks", "namespace": "rook-ceph"}, "spec": {"failureDomain": "host", "replicated": {"size": 3}}},
        deployment("rook-ceph/rook-ceph-operator", container("rook-ceph-operator", "rook/ceph:v1.18.6"), replicas=1),
        *(deployment(f"rook-ceph/rook-ceph-mon-{x}", container("mon", IMAGE, port=6789), replicas=1, pod={"nodeSelector": {"kubernetes.io/hostname": f"node-{x}"}}) for x in "abc"),
        deployment("rook-ceph/rook-ceph-mgr-a", container("mgr", IMAGE, port=9283), replicas=1), service("rook-ceph/rook-ceph-mgr", 9283, selector={"app": "rook-ceph-mgr-a"}),
        daemon_set("monitoring/smart-exporter", container("exporter", "monitoring/smart-exporter:0.13.0", port=9633)),
        stateful_set("filmdesk/reels", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("filmdesk/reels", 5432, headless=True),
        deployment("filmdesk/cutting", container("cutting", "filmdesk/cutting:4.7.1", port=8080, ready="/ready", env={"DB_HOST": "reels.filmdesk.svc"})), service("filmdesk/cutting", 80, 8080),
        config_map("filmdesk/presets", {"default": "1080p25"}),
        stateful_set("scores/sheets", container("mariadb", "mariadb:11.8.3", port=3306, memory=("512Mi", "1Gi"))), service("scores/sheets", 3306, headless=True),
        deployment("scores/archive-desk", container("desk", "scores/archive-desk:1.9.0", port=8080, ready="/up", env={"DB_HOST": "sheets.scores.svc"})), service("scores/archive-desk", 80, 8080),
    ])  # fmt: skip
    stage.apply([_disk(n, f"node-{x}") for n, x in enumerate("abc")], manager="rook")
    stage.calm()
    _cluster(stage, "HEALTH_OK", 3)
    stage.wait(days=34, hours=2)
    stage.recovered("filmdesk/cutting", restarts=1, code=139, lived_s=410000, waited_s=10)
    stage.calm()
    stage.wait(days=6, hours=22, minutes=50)

    def further(body: Body) -> None:
        body["spec"]["storage"]["nodes"][2]["devices"].append({"name": "nvme2n1"})

    stage.edit(f"cephclusters.{GROUP}/rook-ceph/rook-ceph", further)
    stage.wait(minutes=2)
    stage.apply([_disk(3, "node-c")], manager="rook")
    stage.calm()
    _cluster(stage, "HEALTH_OK", 4)
    added = stage.now
    stage.wait(hours=1, minutes=4)
    stage.kubectl("set", "image", "daemonset/smart-exporter", "exporter=registry.example.com/monitoring/smart-exporter:0.14.0", "-n", "monitoring")  # fmt: skip
    stage.calm()
    stage.wait(minutes=51)
    stage.status(f"cephclusters.{GROUP}/rook-ceph/rook-ceph", {"ceph": {"lastChecked": stage.stamp(minutes_ago=0.5)}}, manager="rook")  # fmt: skip
    stage.heartbeat()
    stage.log("rook-ceph/rook-ceph-operator", printed(added, [
        "<%Y-%m-%d %H:%M:%S.%3>112 I | op-osd: OSD orchestration status for node node-c is \"completed\"",
        "<%Y-%m-%d %H:%M:%S.%3>408 I | op-osd: creating OSD 3 on node \"node-c\"",
        "<%Y-%m-%d %H:%M:%S.%3>771 I | op-osd: finished running OSDs in namespace \"rook-ceph\"",
        "<%Y-%m-%d %H:%M:%S.%3>230 I | clusterdisruption-controller: osd \"rook-ceph-osd-3\" is in, pgs are not clean yet: [{StateName:active+clean Count:93} {StateName:active+remapped+backfill_wait Count:66} {StateName:active+remapped+backfilling Count:2}]",
    ], every_s=11))  # fmt: skip
    chatter(stage, "rook-ceph/rook-ceph-mgr", [
        "debug <%Y-%m-%dT%H:%M:%S.%3>+0000 7f21a4d3c640  0 log_channel(cluster) log [DBG] : pgmap v<88000-88999>: 161 pgs: 2 active+remapped+backfilling, 36 active+remapped+backfill_wait, 123 active+clean; 1.9 TiB data, 5.8 TiB used, 8.2 TiB / 14 TiB avail; <3-9> MiB/s rd, <4-9> MiB/s wr, <300-500> op/s; <67-69>000/1494000 objects misplaced; <84-97> MiB/s, <21-25> objects/s recovering",
    ], count=30, minutes=30)  # fmt: skip
    for x in "abc":
        chatter(stage, f"rook-ceph/rook-ceph-mon-{x}", [f"debug <%Y-%m-%dT%H:%M:%S.%3>+0000 7f88c15e6640  1 mon.{x}@0(electing) e3 handle_timecheck drop unexpected msg" if x == "b" else "cluster <%Y-%m-%dT%H:%M:%S.%3>+0000 mgr.a (mgr.4210) <1000-9999> : cluster [DBG] overall HEALTH_OK"], count=4, minutes=60)  # fmt: skip
    for n in range(4):
        chatter(stage, f"rook-ceph/rook-ceph-osd-{n}", [f"debug <%Y-%m-%dT%H:%M:%S.%3>+0000 7fd20c1ff640  0 log_channel(cluster) log [DBG] : 2.<10-59> {'backfill starts' if n == 3 else 'scrub ok'}"], count=10, minutes=60)  # fmt: skip
    chatter(
        stage, "monitoring/smart-exporter", ['level=info msg="collected" devices=<2-3> failed=0'], count=8
    )
    chatter(stage, "filmdesk/reels", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=6, minutes=60)  # fmt: skip
    chatter(stage, "filmdesk/cutting", ["INFO cutting: clip <1000-9999> cut in <2-9>s", "WARN cutting: clip has no sound, error of the track is ignored"], count=24, minutes=60)  # fmt: skip
    chatter(stage, "scores/sheets", ["<%Y-%m-%d %H:%M:%S> 0 [Note] InnoDB: Buffer pool(s) dump completed"], count=1, minutes=30)  # fmt: skip
    chatter(stage, "scores/archive-desk", ["GET /scores/<100-900> 200 <8-30>ms"], minutes=60)
    _metrics(stage)
    stage.fire(minutes_ago=98)


def _cluster(stage: Stage, health: str, disks: int) -> None:
    now = stage.stamp()
    tera = 1024**4
    stage.status(f"cephclusters.{GROUP}/rook-ceph/rook-ceph", {
        "phase": "Ready", "state": "Created", "message": "Cluster created successfully", "observedGeneration": 1 if disks == 3 else 2,
        "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterCreated", "message": "Cluster created successfully", "lastHeartbeatTime": now, "lastTransitionTime": now}],
        "ceph": {"health": health, "lastChecked": now, "capacity": {"bytesTotal": int(3.5 * tera * disks), "bytesUsed": int(5.8 * tera), "bytesAvailable": int(3.5 * tera * disks - 5.8 * tera), "lastUpdated": now}},
        "storage": {"deviceClasses": [{"name": "nvme"}], "osd": {"storeType": {"bluestore": disks}}},
    }, manager="rook")  # fmt: skip
    if disks == 3:
        stage.status(f"cephblockpools.{GROUP}/rook-ceph/blocks", {"phase": "Ready", "observedGeneration": 1}, manager="rook")  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every minute for four hours; the disk came an hour and 56 minutes ago."""
    before, since = 124, 116
    here = {"namespace": "rook-ceph", "job": "rook-ceph-mgr", "instance": "rook-ceph-mgr-a:9283"}
    pool = {**here, "pool_id": "2", "name": "blocks"}
    moving = [float(round(v)) for v in slope(68, 38, since, noise=0)]
    stage.metric("unclean", "ceph_pool_metadata * on (pool_id) group_left () (ceph_pg_total - ceph_pg_clean)", [(pool, [*[0.0] * before, *moving])])  # fmt: skip
    stage.metric("active", "ceph_pg_total - ceph_pg_active", [({**here, "pool_id": "2"}, [*[0.0] * before, 3.0, *[0.0] * (since - 1)])])  # fmt: skip
    for state in ("degraded", "undersized", "backfill_toofull", "down"):
        stage.metric(state, f"ceph_pg_{state}", [({**here, "pool_id": "2"}, [0.0] * (before + since))])
    stage.metric("misplaced", "ceph_num_objects_misplaced", [(here, [*[0.0] * before, *(float(round(v)) for v in slope(122000, 67000, since, noise=0.002))])])  # fmt: skip
    stage.metric("degraded-objects", "ceph_num_objects_degraded", [(here, [0.0] * (before + since))])
    stage.metric("health", "ceph_health_status", [(here, [0.0] * (before + since))])
    stage.metric("disks", "sum by (ceph_daemon) (ceph_osd_up * ceph_osd_in)", [
        *(({"ceph_daemon": f"osd.{n}"}, [1.0] * (before + since)) for n in range(3)), ({"ceph_daemon": "osd.3"}, [1.0] * since),
    ])  # fmt: skip
    stage.metric("filled", "ceph_osd_stat_bytes_used / ceph_osd_stat_bytes", [
        ({**here, "ceph_daemon": "osd.0"}, about(0.55, before + since, noise=0.002, of="0")), ({**here, "ceph_daemon": "osd.1"}, about(0.55, before + since, noise=0.002, of="1")),
        ({**here, "ceph_daemon": "osd.2"}, [*about(0.55, before, noise=0.002, of="2"), *slope(0.55, 0.43, since, noise=0.002)]), ({**here, "ceph_daemon": "osd.3"}, slope(0.0, 0.12, since, noise=0.002)),
    ])  # fmt: skip
    stage.metric("latency", "ceph_osd_commit_latency_ms", [({**here, "ceph_daemon": f"osd.{n}"}, about(2.1, before + since, noise=0.4, of=f"l{n}")) for n in range(3)])  # fmt: skip
    for namespace, name, level in (("filmdesk", "cutting", 0.044), ("scores", "archive-desk", 0.026)):
        stage.metric(f"seconds-{name}", f'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{{service="{name}"}}[5m])))', [({"namespace": namespace, "service": name}, about(level, before + since, noise=0.15, of=name))])  # fmt: skip
