"""A switch counts errors at one of its ports; nothing that the cluster keeps says why."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter
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
    title="A core switch counts input errors at port 14 since two hours, and the cluster that watches it by SNMP knows nothing more",
    half=Half.tuned,
    story=(
        "The monitoring cluster reads the office network's switches by SNMP. The errors at a port are true and come from a cable, an optic or the"
        " other side, which nothing in this cluster can tell: whoever is on call has to look at the switch. A module added to the exporter yesterday,"
        " and a release of the dashboards two hours ago, have nothing to do with it."
    ),
    sources=[
        "https://github.com/prometheus/snmp_exporter",
        "https://www.rfc-editor.org/rfc/rfc2863",
        "https://samber.github.io/awesome-prometheus-alerts/rules",
    ],
    labels={
        "alertname": "SwitchPortErrors",
        "severity": "warning",
        "instance": "sw-core-2.net.example.com",
        "job": "snmp",
        "ifName": "Ethernet1/14",
        "ifAlias": "to building 7",
        "ifIndex": "14",
    },
    annotations={"summary": "sw-core-2.net.example.com Ethernet1/14 (to building 7) receives broken frames."},
    no_cause="insufficient-evidence",
)


def play(stage: Stage) -> None:
    modules = "auths:\n  office:\n    version: 3\nmodules:\n  if_mib:\n    walk: [ifTable, ifXTable]\n    interval: 60s\n"
    stage.apply([
        *system(),
        config_map("monitoring/snmp-modules", {"snmp.yml": modules}),
        deployment("monitoring/snmp-exporter", container("snmp-exporter", "prom/snmp-exporter:v0.29.0", port=9116, ready="/", mounts={"modules": "/etc/snmp_exporter"}),
                   pod={"volumes": [{"name": "modules", "configMap": {"name": "snmp-modules"}}]}),
        service("monitoring/snmp-exporter", 9116),
        stateful_set("monitoring/prometheus", container("prometheus", "prom/prometheus:v3.7.1", port=9090, ready="/-/ready", alive="/-/healthy", memory=("1Gi", "2Gi"))),
        service("monitoring/prometheus", 9090),
        deployment("monitoring/dashboards", container("grafana", "grafana/grafana:12.2.0", port=3000, ready="/api/health", env={"PROMETHEUS": "http://prometheus.monitoring.svc:9090"}), replicas=1),
        service("monitoring/dashboards", 3000),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("office/meetings", container("meetings", "office/meetings:6.0.4", port=8080, ready="/ready", env={"DB_HOST": "rooms.office.svc.cluster.local"})),
        service("office/meetings", 80, 8080),
        stateful_set("office/rooms", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))),
        service("office/rooms", 5432, headless=True),
        deployment("office/doors", container("doors", "office/doors:2.8.1", port=8080, ready="/ready"), replicas=1),
        service("office/doors", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=27, hours=3)
    more = modules + "  ups:\n    walk: [1.3.6.1.2.1.33]\n"
    stage.edit("configmaps/monitoring/snmp-modules", lambda body: body["data"].update({"snmp.yml": more}))
    stage.restart("deployments/monitoring/snmp-exporter")
    stage.calm()
    stage.wait(hours=19, minutes=50)
    stage.kubectl(
        "set", "image", "deployment/dashboards", "grafana=registry.example.com/grafana/grafana:12.2.1", "-n", "monitoring"
    )  # fmt: skip
    stage.calm()
    stage.wait(hours=2, minutes=4)
    stage.heartbeat()
    chatter(stage, "monitoring/snmp-exporter", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=collector.go:<200-300> msg="Finished scrape" auth=office target=sw-core-<1-2>.net.example.com module=if_mib duration_seconds=0.<200-700>',
    ], count=10)  # fmt: skip
    chatter(stage, "monitoring/prometheus", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO source=head.go:1446 msg="Head GC completed" component=tsdb caller=truncateMemory duration=<20-60>.<100-999>ms',
    ], count=3, minutes=50)  # fmt: skip
    chatter(stage, "monitoring/dashboards", ["logger=context userId=0 orgId=1 uname= t=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg=\"Request Completed\" method=GET path=/api/live/ws status=-1 duration=<1-9>ms"], count=6)  # fmt: skip
    chatter(stage, "office/meetings", ["INFO meetings: GET /rooms/<1-80> 200 <7-25>ms"])
    chatter(stage, "office/rooms", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(
        stage, "office/doors", ["INFO doors: door <1-40> opened", "WARN doors: battery of door 12 at 31 %"]
    )
    _metrics(stage)
    stage.fire(minutes_ago=96)


def _metrics(stage: Stage) -> None:
    """Every five minutes for a day."""
    count, since, step = 288, 24, 300
    port = {"job": "snmp", "instance": "sw-core-2.net.example.com", "ifName": "Ethernet1/14", "ifAlias": "to building 7"}  # fmt: skip
    other = port | {"ifName": "Ethernet1/15", "ifAlias": "to building 9"}
    stage.metric("port-errors", "rate(ifInErrors[5m])", [
        (port, [*[0.0] * (count - since), *slope(1.5, 6.8, since, noise=0.1)]), (other, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("port-octets", "rate(ifHCInOctets[5m])", [
        (port, about(8.1e6, count, noise=0.3)), (other, about(5.5e6, count, noise=0.3)),
    ], step_s=step)  # fmt: skip
    stage.metric("up", 'up{job="snmp"}', [
        ({"job": "snmp", "instance": f"sw-core-{n}.net.example.com"}, [1.0] * count) for n in (1, 2)
    ], step_s=step)  # fmt: skip
