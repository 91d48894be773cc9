"""A nightly repack was started by hand at noon; it writes as fast as the node's disk can, and a database shares that disk."""

from __future__ import annotations

from typing import Any

from tests.incidents import crons
from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A repack of the archive, started by hand at noon, keeps node-b's disk busy, and the profile database waits for it",
    half=Half.tuned,
    story=(
        "`kubectl create job --from=cronjob/repack repack-again` starts at noon what runs at three in the morning. It writes some"
        " 180 MB/s to the local disk of node-b for over an hour. The disk's queue is long, and the profile database on the same"
        " disk takes half a minute for what its checkpoints sync. Every object looks well; the alert is about the node."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/node/nodediskiosaturation/",
        "https://github.com/prometheus/node_exporter/blob/master/docs/node-mixin/alerts/alerts.libsonnet",
        "https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md",
        "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_job/",
    ],
    labels={
        "alertname": "NodeDiskIOSaturation",
        "severity": "warning",
        "instance": "node-b",
        "device": "nvme0n1",
        "job": "node-exporter",
        "namespace": "monitoring",
        "container": "node-exporter",
        "service": "node-exporter",
        "endpoint": "https",
    },
    annotations={"summary": "Disk IO queue is high.", "description": "Disk IO queue (aqu-sq) is high on nvme0n1 at node-b, has been above 10 for the last 30 minutes."},
    causes=["Job/archive/repack-again", "CronJob/archive/repack"],
    says=[["disk", "I/O"], ["writes", "written", "MB/s", "MiB/s", "MB a second"]],
    innocent=["Node/_cluster/node-b", "DaemonSet/monitoring/node-exporter", "StatefulSet/accounts/profiles", "Deployment/accounts/members", "Deployment/archive/intake"],
    traits=frozenset({Trait.metrics_only, Trait.innocent}),
    authored=["cronjob-controller"],
)  # fmt: skip

HERE = {"nodeSelector": {"disk": "nvme"}}
BEFORE, SINCE = 40, 75


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-b", "disk=nvme")
    work = {**HERE, "restartPolicy": "Never", "volumes": [{"name": "packs", "hostPath": {"path": "/srv/packs", "type": "DirectoryOrCreate"}}], "containers": [
        container("repack", "archive/repack:5.0.2", cpu="500m", memory=("512Mi", "2Gi"), mounts={"packs": "/packs"}, args=["--level=9", "--jobs=8", "/packs"]),
    ]}  # fmt: skip
    stage.apply([
        *system(),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100, memory=("32Mi", "64Mi")), pod={"tolerations": [{"operator": "Exists"}]}),
        service("monitoring/node-exporter", 9100, headless=True),
        {
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "repack", "namespace": "archive", "labels": {"app": "repack"}},
            "spec": {"schedule": "0 3 * * *", "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 1,
                     "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": "repack"}}, "spec": work}}}},
        },
        deployment("archive/intake", container("intake", "archive/intake:5.0.2", port=8080, ready="/ready", mounts={"packs": "/packs"}), replicas=1,
                   pod={**HERE, "volumes": [{"name": "packs", "hostPath": {"path": "/srv/packs", "type": "DirectoryOrCreate"}}]}),
        service("archive/intake", 80, 8080),
        stateful_set("accounts/profiles", container("postgres", "postgres:17.2", port=5432, memory=("1Gi", "2Gi"), mounts={"data": "/var/lib/postgresql/data"}),
                     pod={**HERE, "volumes": [{"name": "data", "hostPath": {"path": "/srv/profiles", "type": "DirectoryOrCreate"}}]}),
        service("accounts/profiles", 5432, headless=True),
        deployment("accounts/members", container("members", "accounts/members:12.4.0", port=8080, ready="/readyz", env={"DB_HOST": "profiles.accounts.svc.cluster.local"}), replicas=3),
        service("accounts/members", 80, 8080),
        deployment("accounts/avatars", container("avatars", "accounts/avatars:2.0.6", port=8080, ready="/readyz"), pod=HERE),
        service("accounts/avatars", 80, 8080),
        deployment("letters/sender", container("sender", "letters/sender:1.1.0", port=8080, ready="/ready")),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=21, hours=17, minutes=49)
    done = crons.complete(
        stage,
        "archive/repack",
        crons.start(stage, "archive/repack", stage.now.replace(minute=0, second=0, microsecond=0)),
        lasts_s=5270,
    )
    stage.log(
        f"archive/{done['metadata']['name']}",
        printed(
            stage.ago(minutes=3),
            ["repack: 2118 packs into 96, 1.3 TiB read, 806 GiB written", "repack: done"],
        ),
    )
    stage.wait(hours=7, minutes=10)
    stage.kubectl(
        "set",
        "image",
        "deployment/members",
        "members=registry.example.com/accounts/members:12.4.1",
        "-n",
        "accounts",
    )
    stage.calm()
    stage.wait(minutes=26)
    stage.kubectl("create", "job", "repack-again", "--from=cronjob/repack", "-n", "archive")
    stage.placed("archive/repack-again")
    stage.calm()
    stage.wait(minutes=SINCE)
    stage.heartbeat()
    stage.log("archive/repack-again", printed(stage.ago(minutes=SINCE), [
        "repack: 1961 packs, 8 jobs", *[f"repack: pack {n} of 89 written" for n in range(1, 60)],
    ], every_s=75))  # fmt: skip
    stage.log("accounts/profiles", printed(stage.ago(minutes=58), [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <900-1900> buffers (1.4%); 0 WAL file(s) added, 0 removed, 2 recycled; write=<200-269>.<100-999> s, sync=<22-48>.<100-999> s, total=<270-320>.<100-999> s; sync files=<40-80>, longest=<9-21>.<100-999> s, average=0.4<10-99> s",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [4<100-999>] LOG:  duration: <1800-6400>.<100-999> ms  execute <unnamed>: UPDATE members SET seen_at = $1 WHERE id = $2",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [4<100-999>] LOG:  duration: <1200-3400>.<100-999> ms  execute <unnamed>: COMMIT",
    ] * 11, every_s=104))  # fmt: skip
    chatter(
        stage,
        "accounts/members-",
        [
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN msg="slow request" path=/me took=<1900-6600>ms db=profiles',
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="request" path=/me took=<20-900>ms',
        ],
    )
    chatter(
        stage,
        "accounts/avatars-",
        ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="avatar" size=<9-90>KiB took=<4-60>ms'],
    )
    chatter(stage, "archive/intake", ['{"level":"info","msg":"pack received","bytes":<100000-990000>}'])
    _metrics(stage)
    stage.fire(minutes_ago=41)


def _metrics(stage: Stage) -> None:
    count, mb = BEFORE + SINCE, 1e6
    nodes = ("node-a", "node-b", "node-c")
    calm = {"node-a": 0.4, "node-b": 0.9, "node-c": 0.3}
    queue = [({"instance": node, "device": "nvme0n1", "job": "node-exporter"},
              [*about(0.9, BEFORE, noise=0.3), *slope(4, 29, 4), *about(31, SINCE - 4, noise=0.1)] if node == "node-b" else about(calm[node], count, noise=0.3)) for node in nodes]  # fmt: skip
    stage.metric("disk-queue", "rate(node_disk_io_time_weighted_seconds_total[5m])", queue)
    stage.metric("disk-written", "rate(node_disk_written_bytes_total[5m])", [
        ({"instance": node, "device": "nvme0n1", "job": "node-exporter"},
         [*about(7 * mb, BEFORE, noise=0.2), *slope(60 * mb, 190 * mb, 4), *about(194 * mb, SINCE - 4, noise=0.03)] if node == "node-b" else about(3 * mb, count, noise=0.2))
        for node in nodes
    ])  # fmt: skip
    written = []
    for namespace in ("accounts", "archive", "letters"):
        for pod in stage.pods(f"{namespace}/"):
            meta = pod["metadata"]
            if pod["status"]["phase"] != "Running":
                continue
            level = {"profiles-0": 4.1}.get(meta["name"], 0.3) * mb
            name = pod["spec"]["containers"][0]["name"]
            values = about(level, count, noise=0.2, of=meta["name"])
            if meta["name"].startswith("repack-again"):
                values = [*slope(52 * mb, 180 * mb, 4), *about(185 * mb, SINCE - 4, noise=0.03)]
            written.append(
                (
                    {
                        "namespace": namespace,
                        "pod": meta["name"],
                        "container": name,
                        "node": pod["spec"]["nodeName"],
                        "device": "/dev/nvme0n1",
                    },
                    values,
                )
            )
    stage.metric(
        "written",
        "sum by (namespace, pod, container, node, device) (rate(container_fs_writes_bytes_total[5m]))",
        written,
    )
    stage.metric("busy", 'rate(node_cpu_seconds_total{mode="iowait"}[5m])', [
        ({"instance": node, "job": "node-exporter", "mode": "iowait"}, [*about(0.01, BEFORE), *about(0.38, SINCE)] if node == "node-b" else about(0.008, count)) for node in nodes
    ])  # fmt: skip
