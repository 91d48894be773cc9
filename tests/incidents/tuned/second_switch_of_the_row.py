"""A switch of two was away for its upgrade and is back; the rule looks at the least value of the last half hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about
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
    title="BgpSessionLost of switch row-7b: it was upgraded and away for seven minutes, its sessions have been established for fourteen, and row-7a carried all meanwhile",
    half=Half.tuned,
    story=(
        "All three speakers announce the Services' addresses to two switches. The network's people upgraded row-7b; it closed its sessions with a word of why and opened them again seven minutes later."
        " row-7a had the same routes all the time, so requests came in as ever, but for a few that were on their way. The rule asks whether a session was down at any time of the last thirty"
        " minutes. An address was added to the pool an hour ago for a Service that has it. depots was restarted last week."
    ),
    sources=[
        "https://metallb.universe.tf/prometheus-metrics/",
        "https://metallb.universe.tf/concepts/bgp/",
        "https://datatracker.ietf.org/doc/html/rfc9003",
        "https://docs.frrouting.org/en/latest/bgp.html",
    ],
    labels={"alertname": "BgpSessionLost", "severity": "critical", "namespace": "metallb-system", "job": "speaker", "peer": "10.20.0.3:179"},
    annotations={"summary": "A BGP session to 10.20.0.3:179 was down.", "description": "3 speakers had no session with 10.20.0.3:179 within the last 30 minutes. Services of type LoadBalancer may not be reachable."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["metallb status", "prometheus-operator objects"],
)  # fmt: skip

GROUP = "metallb.io"
MONITORING = "monitoring.coreos.com"
PEERS = {"row-7a": "10.20.0.2", "row-7b": "10.20.0.3"}
PUBLIC = {
    "transit/front-gate": "203.0.113.81",
    "transit/tracking": "203.0.113.82",
    "partners/edi": "203.0.113.83",
}
RULE = 'count by (namespace, job, peer) (min_over_time(metallb_bgp_session_up{job="speaker"}[30m]) == 0)'


def _public(place: str, port: int, target: int) -> Body:
    body = service(place, port, target)
    body["metadata"]["annotations"] = {"metallb.io/loadBalancerIPs": PUBLIC[place]}
    body["spec"]["type"] = "LoadBalancer"
    return body


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta2", "BGPPeer", "bgppeers")
    stage.crd(GROUP, "v1beta1", "IPAddressPool", "ipaddresspools")
    stage.crd(GROUP, "v1beta1", "BGPAdvertisement", "bgpadvertisements")
    stage.crd(MONITORING, "v1", "PrometheusRule", "prometheusrules")
    host = {"hostNetwork": True, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}]}  # fmt: skip
    stage.apply([
        *system(),
        daemon_set("metallb-system/speaker", container("speaker", "metallb/speaker:v0.15.2", ports=[{"name": "monitoring", "containerPort": 7472}]), container("frr", "frrouting/frr:10.4.1", cpu="50m"), pod=host),
        deployment("metallb-system/controller", container("controller", "metallb/controller:v0.15.2", port=7472), replicas=1),
        *({"apiVersion": f"{GROUP}/v1beta2", "kind": "BGPPeer", "metadata": {"name": name, "namespace": "metallb-system"}, "spec": {"myASN": 64620, "peerASN": 64600, "peerAddress": address, "holdTime": "9s", "keepaliveTime": "3s"}} for name, address in PEERS.items()),
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "public", "namespace": "metallb-system"}, "spec": {"addresses": ["203.0.113.81-203.0.113.82"], "autoAssign": False}},
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "BGPAdvertisement", "metadata": {"name": "public", "namespace": "metallb-system"}, "spec": {"ipAddressPools": ["public"], "aggregationLength": 32}},
        deployment("transit/front-gate", container("envoy", "envoy:v1.36.2", port=8443, ready="/ready", env={"UPSTREAM": "depots.transit.svc:8080"}), replicas=3), _public("transit/front-gate", 443, 8443),
        deployment("transit/depots", container("depots", "transit/depots:9.1.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "wagons.transit.svc"}), replicas=3), service("transit/depots", 8080),
        deployment("transit/tracking", container("tracking", "transit/tracking:2.7.3", port=8080, ready="/ready", env={"DEPOTS_URL": "http://depots.transit.svc:8080"})), _public("transit/tracking", 443, 8080),
        stateful_set("transit/wagons", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("transit/wagons", 5432, headless=True),
        config_map("transit/lines", {"lines.yaml": "r1: every 10\nr2: every 20\n"}),
        {"apiVersion": f"{MONITORING}/v1", "kind": "PrometheusRule", "metadata": {"name": "speakers", "namespace": "metallb-system"}, "spec": {"groups": [{"name": "bgp", "rules": [
            {"alert": "BgpSessionLost", "expr": RULE, "for": "1m", "labels": {"severity": "critical"}, "annotations": {"summary": "A BGP session to {{ $labels.peer }} was down."}},
            {"alert": "BgpNoSessionAtAll", "expr": 'sum by (namespace, job, instance) (metallb_bgp_session_up{job="speaker"}) == 0', "for": "1m", "labels": {"severity": "critical"}},
        ]}]}},
    ])  # fmt: skip
    stage.calm()
    for place in ("transit/front-gate", "transit/tracking"):
        _assigned(stage, place)
    stage.wait(days=11, hours=2)
    stage.recovered(f"transit/{stage.pods('transit/depots')[1]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=950000)  # fmt: skip
    stage.calm()
    stage.wait(days=6, hours=13, minutes=40)
    stage.edit(f"ipaddresspools.{GROUP}/metallb-system/public", lambda body: body["spec"].update(addresses=["203.0.113.81-203.0.113.83"]))  # fmt: skip
    stage.wait(minutes=4)
    stage.apply([
        deployment("partners/edi", container("edi", "partners/edi:1.0.0", port=8443, ready="/ready", env={"DEPOTS_URL": "http://depots.transit.svc:8080"})), _public("partners/edi", 443, 8443),
    ])  # fmt: skip
    stage.calm()
    _assigned(stage, "partners/edi")
    _announced(stage, "partners/edi", 3)
    stage.wait(minutes=33)
    down = stage.now
    stage.wait(minutes=7)
    back = stage.now
    for place in PUBLIC:
        _announced(stage, place, 3)
    stage.wait(minutes=2)
    stage.edit("configmaps/transit/lines", lambda body: body["data"].update({"lines.yaml": "r1: every 10\nr2: every 15\n"}))  # fmt: skip
    stage.wait(minutes=12)
    stage.heartbeat()
    _logs(stage, down, back)
    _metrics(stage)
    stage.fire(minutes_ago=20)


def _assigned(stage: Stage, place: str) -> None:
    stage.status(f"services/{place}", {"loadBalancer": {"ingress": [{"ip": PUBLIC[place], "ipMode": "VIP"}]}}, manager="metallb-controller")  # fmt: skip
    stage.event(stage.get(f"services/{place}"), "IPAllocated", f'Assigned IP ["{PUBLIC[place]}"]', kind="Normal", component="metallb-controller")  # fmt: skip


def _announced(stage: Stage, place: str, nodes: int) -> None:
    about_ = stage.get(f"services/{place}")
    for node in ("node-a", "node-b", "node-c")[:nodes]:
        stage.event(about_, "nodeAssigned", f'announcing from node "{node}" with protocol "bgp"', kind="Normal", component="metallb-speaker")  # fmt: skip


def _logs(stage: Stage, down: datetime, back: datetime) -> None:
    front = "<%Y/%m/%d %H:%M:%S> BGP: "
    for n, pod in enumerate(stage.pods("metallb-system/speaker-")):
        place, shift = f"metallb-system/{pod['metadata']['name']}", timedelta(seconds=n)
        stage.log(place, "\n".join([
            printed(down + shift, [
                front + '[HZN6M-XRM1G] %NOTIFICATION: received from neighbor 10.20.0.3 6/2 (Cease/Administrative Shutdown) "row-7b goes to 4.34.1, back in ten minutes"',
                front + "[M59KS-A3ZXZ] %ADJCHANGE: neighbor 10.20.0.3 in vrf default Down BGP Notification received",
            ], every_s=0.1),
            printed(down + timedelta(seconds=21) + shift, [front + "[ZTDX0-4JRWX] 10.20.0.3 [Error] connect failed: Connection refused"] * 13, every_s=30),
            printed(back + shift, [
                front + "[M59KS-A3ZXZ] %ADJCHANGE: neighbor 10.20.0.3 in vrf default Up",
                front + "[PKAXE-3RYHW] 10.20.0.3 sent End-of-RIB for IPv4 Unicast, 3 prefixes announced",
            ], every_s=1),
        ]), container="frr")  # fmt: skip
        said = '{{"caller":"speakerlist.go:<200-400>","level":"{level}","msg":"{words}","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z"}}'
        stage.log(place, printed(stage.ago(minutes=55), [
            said.format(level="info", words="service has IP, announcing"), said.format(level="info", words="node event - forcing sync"),
            said.format(level="error", words="failed to join a member of the list, tried again: i/o timeout"), said.format(level="info", words="service has IP, announcing"),
        ] * 3, every_s=270), container="speaker")  # fmt: skip
    chatter(stage, "metallb-system/controller", ['{"caller":"service.go:<100-200>","event":"ipAllocated","level":"info","msg":"IP address assigned by controller","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z"}'], count=2, minutes=57)  # fmt: skip
    line = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /depots/<1-40> HTTP/2" 200 - via_upstream - 0 <300-900> <9-40> <9-40> "198.51.100.<2-250>" "depots.transit.svc:8080"'
    cut = '[<%Y-%m-%dT%H:%M:%S.%3>Z] "GET /depots/<1-40> HTTP/2" 0 DC downstream_remote_disconnect - 0 0 <800-4000> - "198.51.100.<2-250>" "depots.transit.svc:8080"'
    for n, pod in enumerate(stage.pods("transit/front-gate")):
        stage.log(f"transit/{pod['metadata']['name']}", "\n".join([
            printed(down - timedelta(minutes=12) + timedelta(seconds=3 * n), [line] * 30, every_s=23),
            printed(down + timedelta(seconds=1 + n), [cut, line, *[line] * 52], every_s=23),
        ]))  # fmt: skip
    chatter(stage, "transit/depots", ["INFO  depots: GET /depots/<1-40> 200 <5-20>ms", "WARN  depots: wagon <1000-9999> was seen twice"], count=36, minutes=50)  # fmt: skip
    chatter(
        stage, "transit/tracking", ["INFO  tracking: position of <1000-9999> stored"], count=30, minutes=50
    )
    chatter(stage, "transit/wagons", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=50)  # fmt: skip
    chatter(stage, "partners/edi", ["INFO  edi: message <100000-999999> accepted", "INFO  edi: no connection for 60 s, idle"], count=20, minutes=50)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once a minute for six hours: the switch was away from 21 to 14 minutes ago."""
    count, since, away = 360, 14, 7
    up, gap = [1.0] * (count - since - away), [1.0] * since
    nodes = {name: f"10.20.0.{11 + n}:7472" for n, name in enumerate(("node-a", "node-b", "node-c"))}
    here: Body = {"namespace": "metallb-system", "job": "speaker"}
    stage.metric("session", 'metallb_bgp_session_up{job="speaker"}', [
        ({**here, "instance": instance, "peer": f"{address}:179"}, [*up, *[0.0 if name == "row-7b" else 1.0] * away, *gap])
        for instance in nodes.values() for name, address in PEERS.items()
    ])  # fmt: skip
    prefixes = [2.0] * (count - 54) + [3.0] * 54
    stage.metric("announced", 'metallb_bgp_announced_prefixes_total{job="speaker"}', [
        ({**here, "instance": instance, "peer": f"{address}:179"}, [0.0 if name == "row-7b" and since <= count - 1 - n < since + away else p for n, p in enumerate(prefixes)])
        for instance in nodes.values() for name, address in PEERS.items()
    ])  # fmt: skip
    gate: Body = {"namespace": "transit", "service": "front-gate"}
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="transit"}[1m]))', [(gate, about(38, count, noise=0.1))])  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="transit",code=~"5.."}[1m])) / sum by (namespace, service) (rate(http_requests_total{namespace="transit"}[1m]))', [(gate, about(0.0003, count, noise=0.9))])  # fmt: skip
    stage.metric("probe", 'probe_success{job="blackbox-outside"}', [
        ({"job": "blackbox-outside", "instance": f"{address}:443"}, [1.0] * (54 if place == "partners/edi" else count)) for place, address in PUBLIC.items()
    ])  # fmt: skip
