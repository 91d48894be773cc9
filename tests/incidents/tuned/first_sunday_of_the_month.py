"""A node's mirror of two disks is read through on the first Sunday of a month, and the disks are busy meanwhile."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
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
    title="NodeDiskIOSaturation of node-b while its mirror is checked, as on the first Sunday of each month at one in the night",
    half=Half.tuned,
    story=(
        "The disks of each node are a mirror, whose monthly check reads both of them through: first Sunday of the month, one o'clock, for about five hours on node-b, which has the largest"
        " disks. The check gives way to every other request, so answers are no slower. No disk has failed. Last month was the same. A cache was made larger on Friday."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/node/nodediskiosaturation/",
        "https://github.com/md-raid-utilities/mdadm/blob/main/systemd/mdcheck_start.timer",
        "https://docs.kernel.org/admin-guide/md.html",
        "https://github.com/prometheus/node_exporter/blob/master/collector/mdadm_linux.go",
    ],
    labels={
        "alertname": "NodeDiskIOSaturation", "severity": "warning", "job": "node-exporter", "namespace": "monitoring", "instance": "10.20.0.12:9100", "device": "nvme1n1",
        "container": "node-exporter", "node": "node-b",
    },
    annotations={
        "summary": "Disk IO queue is high.",
        "description": "Disk IO queue (aqu-sq) is high on nvme1n1 at 10.20.0.12:9100, has been above 10 for the last 30 minutes, is currently at 14.20.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

NODE = {"namespace": "monitoring", "job": "node-exporter", "instance": "10.20.0.12:9100", "node": "node-b"}


def play(stage: Stage) -> None:
    here = {"nodeSelector": {"kubernetes.io/hostname": "node-b"}}
    stage.apply([
        *system(),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.10.2", port=9100, args=["--collector.mdadm", "--collector.systemd"]), pod={"hostNetwork": True, "tolerations": [{"operator": "Exists"}]}),
        daemon_set("monitoring/host-journal", container("reader", "monitoring/host-journal:2.2.0", args=["--units=mdadm,mdmonitor,mdcheck_start,kernel"]), pod={"tolerations": [{"operator": "Exists"}]}),
        stateful_set("herbarium/specimens", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi")), pod=here), service("herbarium/specimens", 5432, headless=True),
        config_map("herbarium/sheet-cache", {"size": "256Mi"}),
        deployment("herbarium/sheets", container("sheets", "herbarium/sheets:6.2.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "specimens.herbarium.svc"}, envFrom=[{"configMapRef": {"name": "sheet-cache"}}]), replicas=3), service("herbarium/sheets", 80, 8080),
        deployment("herbarium/labels-printer", container("printer", "herbarium/labels-printer:1.3.0", port=8080, ready="/ready"), replicas=1), service("herbarium/labels-printer", 80, 8080),
        stateful_set("seedbank/accessions", container("mongod", "mongodb:8.0.15", port=27017, memory=("512Mi", "1Gi")), pod=here), service("seedbank/accessions", 27017, headless=True),
        deployment("seedbank/vault", container("vault", "seedbank/vault:3.1.8", port=8080, ready="/up", env={"MONGO": "mongodb://accessions.seedbank.svc"})), service("seedbank/vault", 80, 8080),
        deployment("visitors/guidebook", container("guidebook", "visitors/guidebook:20.1.0", port=3000, ready="/", env={"SHEETS_URL": "http://sheets.herbarium.svc"})), service("visitors/guidebook", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=52, hours=3)
    stage.recovered("herbarium/labels-printer", restarts=1, code=1, lived_s=90000, waited_s=12)
    stage.calm()
    stage.wait(days=7, hours=1, minutes=14)
    stage.edit("configmaps/herbarium/sheet-cache", lambda body: body["data"].update(size="384Mi"))
    stage.restart("deployments/herbarium/sheets")
    stage.calm()
    # Sunday, 3 January, twenty to three in the night.
    stage.wait(days=1, hours=13, minutes=10)
    stage.heartbeat()
    began = stage.now.replace(hour=1, minute=0, second=0, microsecond=0)
    for pod in stage.pods("monitoring/host-journal"):
        node = pod["spec"]["nodeName"]
        text = printed(began, [
            f"<%b %d %H:%M:%S> {node} systemd[1]: Starting mdcheck_start.service - MD array scrubbing...",
            f"<%b %d %H:%M:%S> {node} root[<100000-999999>]: mdcheck start checking /dev/md127",
            f"<%b %d %H:%M:%S> {node} kernel: md: data-check of RAID array md127",
        ])  # fmt: skip
        if node != "node-b":
            text += "\n" + printed(began + timedelta(minutes=44), [
                f"<%b %d %H:%M:%S> {node} kernel: md: md127: data-check done.",
                f"<%b %d %H:%M:%S> {node} systemd[1]: mdcheck_start.service: Deactivated successfully.",
            ])  # fmt: skip
        stage.log(f"monitoring/{pod['metadata']['name']}", text)
    chatter(stage, "monitoring/node-exporter", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR source=collector.go:168 msg="collector failed" name=hwmon duration_seconds=0.00<10-90> err="read /host/sys/class/hwmon/hwmon4/temp3_input: no data available"'], count=6, minutes=60)  # fmt: skip
    chatter(stage, "herbarium/specimens", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <200-900> buffers (1.1%), 0 removed; write=<30-90>.1 s, sync=0.0<10-40> s, total=<90-99>.4 s",
    ], count=24, minutes=120)  # fmt: skip
    chatter(
        stage,
        "herbarium/sheets-",
        ["INFO sheets: GET /sheets/<1000-9999> 200 <9-30>ms"],
        count=24,
        minutes=60,
    )
    chatter(stage, "herbarium/labels-printer", ["INFO printer: no label waits", "WARN printer: tray 2 is empty, tray 1 taken"], count=12, minutes=60)  # fmt: skip
    chatter(stage, "seedbank/accessions", ['{"t":{"$date":"<%Y-%m-%dT%H:%M:%S.%3>+00:00"},"s":"I","c":"WTCHKPT","id":22430,"ctx":"Checkpointer","msg":"WiredTiger message","attr":{"message":"saving checkpoint snapshot min: <100-900>"}}'], count=10, minutes=60)  # fmt: skip
    chatter(stage, "seedbank/vault", ["GET /accessions/<100-999> 200 <8-25>ms"], minutes=60)
    chatter(
        stage,
        "visitors/guidebook",
        ["GET /guide/alpine 200 <10-40>ms", "GET /favicon.svg 404 1ms"],
        minutes=60,
    )
    _metrics(stage)
    stage.fire(minutes_ago=62)


def _metrics(stage: Stage) -> None:
    """Once an hour for 30 days. The check of December began 673 hours ago and took five; today's began less than two ago."""
    count = 720
    at = [count - 1 - (28 * 24 + 1) + n for n in range(5)]

    def checked(usual: float, while_checked: float, of: str) -> list[float]:
        values = about(usual, count, noise=0.3, of=of)
        busy = about(while_checked, 7, noise=0.05, of=of)
        for n, place in enumerate(at):
            values[place] = busy[n]
        return [*values[:-2], *busy[5:]]

    stage.metric("queue", 'rate(node_disk_io_time_weighted_seconds_total{job="node-exporter",device=~"nvme.+"}[5m])', [
        ({**NODE, "device": device}, checked(0.6, 14.1, device)) for device in ("nvme0n1", "nvme1n1")
    ], step_s=3600)  # fmt: skip
    stage.metric("read", 'rate(node_disk_read_bytes_total{job="node-exporter",device=~"nvme.+"}[5m])', [({**NODE, "device": device}, checked(3.1e6, 2.1e8, device + "r")) for device in ("nvme0n1", "nvme1n1")], step_s=3600)  # fmt: skip
    check = [0.0] * count
    for place in [*at, count - 2, count - 1]:
        check[place] = 1.0
    stage.metric("md-check", 'node_md_state{state="check"}', [({**NODE, "device": "md127", "state": "check"}, check)], step_s=3600)  # fmt: skip
    stage.metric("md-disks", "node_md_disks", [({**NODE, "device": "md127", "state": state}, [number] * count) for state, number in (("active", 2.0), ("failed", 0.0), ("spare", 0.0))], step_s=3600)  # fmt: skip
    stage.metric("md-synced", "node_md_blocks_synced / node_md_blocks", [({**NODE, "device": "md127"}, slope(0.0, 0.34, 96, noise=0))])  # fmt: skip
    for namespace, name, level in (("herbarium", "sheets", 0.031), ("seedbank", "vault", 0.022)):
        query = f'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{{service="{name}"}}[5m])))'  # fmt: skip
        stage.metric(f"seconds-{name}", query, [({"namespace": namespace, "service": name}, about(level, count, noise=0.1, of=name))], step_s=3600)  # fmt: skip
