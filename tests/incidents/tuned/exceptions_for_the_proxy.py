"""The list of hosts that are asked without the outbound proxy lost the cluster's own; it acts at the next restart."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="NO_PROXY lost the cluster's own names nine days ago; since today's restart intake asks assess through the proxy",
    half=Half.tuned,
    story=(
        "Three workloads take the proxy's settings from one ConfigMap as environment. Nine days ago NO_PROXY was"
        " rewritten for the new intranet and lost .svc and .cluster.local. Environment is read at the start: nothing"
        " happened until intake was restarted for a rotated signing key. Its calls inside the cluster now go to the"
        " proxy, which allows listed outside hosts only and answers 403; the portal in front shows errors."
    ),
    sources=[
        "https://pkg.go.dev/golang.org/x/net/http/httpproxy",
        "https://about.gitlab.com/blog/2021/01/27/we-need-to-talk-no-proxy/",
        "https://wiki.squid-cache.org/Features/LogFormat",
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "web", "service": "portal", "severity": "critical", "slo": "portal-claims",
        "long": "1h", "short": "5m",
    },
    causes=["ConfigMap/claims/outbound"],
    says=[["NO_PROXY", "no_proxy"], ["proxy"]],
    innocent=[
        "Service/web/portal", "Deployment/web/portal", "Deployment/claims/intake", "Deployment/claims/assess", "Deployment/egress/web-out",
        "ConfigMap/egress/web-out-hosts", "Secret/claims/intake-signing",
    ],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

OUTBOUND = {
    "HTTP_PROXY": "http://web-out.egress.svc.cluster.local:3128",
    "HTTPS_PROXY": "http://web-out.egress.svc.cluster.local:3128",
    "NO_PROXY": "localhost,127.0.0.1,.svc,.cluster.local,.corp.example.com",
}
HOSTS = ".registry.example.net\n.maps.example.net\n.pay.example.net\n"
SQUID = """\
acl inside src 10.244.0.0/16
acl listed dstdomain "/etc/squid/hosts/allowed"
http_port 3128
http_access allow inside listed
http_access deny all
"""


def play(stage: Stage) -> None:
    stage.apply(system())
    from_map = [{"configMapRef": {"name": "outbound"}}]
    stage.apply([
        config_map("claims/outbound", OUTBOUND),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "intake-signing", "namespace": "claims"}, "type": "Opaque", "stringData": {"key-id": "k17", "key": "signing-key-17"}},
        deployment("claims/intake", container("intake", "claims/intake:6.1.4", port=8080, ready="/healthz", alive="/healthz", env={
            "ASSESS_URL": "http://assess.claims.svc.cluster.local:8080", "DOCUMENTS_URL": "http://documents.claims.svc.cluster.local:8080", "MAPS_URL": "https://api.maps.example.net",
        }, envFrom=[*from_map, {"secretRef": {"name": "intake-signing"}}]), replicas=2),
        service("claims/intake", 8080),
        deployment("claims/assess", container("assess", "claims/assess:3.8.0", port=8080, ready="/healthz", env={"CLAIMS_DB": "claims-db.claims.svc.cluster.local:5432"}, envFrom=from_map), replicas=2),
        service("claims/assess", 8080),
        deployment("claims/documents", container("documents", "claims/documents:2.2.2", port=8080, ready="/healthz", envFrom=from_map), replicas=2),
        service("claims/documents", 8080),
        stateful_set("claims/claims-db", container("postgres", "postgres:16.6", port=5432, memory=("1Gi", "2Gi"))),
        service("claims/claims-db", 5432, headless=True),
        config_map("egress/web-out", {"squid.conf": SQUID}),
        config_map("egress/web-out-hosts", {"allowed": HOSTS}),
        deployment("egress/web-out", container("squid", "squid:6.12", port=3128, readinessProbe={"tcpSocket": {"port": 3128}}, mounts={"conf": "/etc/squid/conf", "hosts": "/etc/squid/hosts"}), pod={
            "volumes": [{"name": "conf", "configMap": {"name": "web-out"}}, {"name": "hosts", "configMap": {"name": "web-out-hosts"}}],
        }),
        service("egress/web-out", 3128),
        deployment("web/portal", container("portal", "web/portal:19.0.3", port=8080, ready="/healthz", alive="/healthz", env={"INTAKE_URL": "http://intake.claims.svc.cluster.local:8080"}), replicas=3),
        service("web/portal", 80, 8080),
        deployment("web/help", container("help", "web/help:1.7.0", port=8080, ready="/")),
        service("web/help", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=31, hours=4)
    stage.edit(
        "configmaps/claims/outbound",
        lambda body: body["data"].update(NO_PROXY="localhost,127.0.0.1,.intra.example.com,.corp.example.com"),
    )
    stage.wait(days=9, hours=1)
    stage.edit(
        "configmaps/egress/web-out-hosts",
        lambda body: body["data"].update(allowed=HOSTS + ".weather.example.net\n"),
    )
    stage.wait(hours=1, minutes=12)
    stage.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "intake-signing", "namespace": "claims"},
                "type": "Opaque",
                "stringData": {"key-id": "k18", "key": "signing-key-18"},
            }
        ]
    )
    stage.restart("deployments/claims/intake")
    stage.calm()
    stage.wait(minutes=24)
    _logs(stage)
    stage.fire(minutes_ago=18)


def _logs(stage: Stage) -> None:
    denied = [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"ERROR","msg":"assessment not started","claim":"c-<100000-999999>","url":"http://assess.claims.svc.cluster.local:8080/v1/assessments","status":403,"server":"squid/6.12","x_squid_error":"ERR_ACCESS_DENIED 0"}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"WARN","msg":"request","method":"POST","path":"/claims","status":502,"ms":<8-19>}',
    ]
    start = [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"signing with key","kid":"k18"}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"listening","port":8080}',
    ]
    for pod in stage.pods("claims/intake"):
        stage.log(
            f"claims/{pod['metadata']['name']}",
            printed(stage.ago(minutes=24), [*start, *(denied * 20)], every_s=33),
        )
    for pod in stage.pods("web/portal"):
        lines = [
            '<%Y-%m-%dT%H:%M:%S.%3>Z INFO  GET /help 200 <3-9>ms',
            '<%Y-%m-%dT%H:%M:%S.%3>Z ERROR POST /claims: http://intake.claims.svc.cluster.local:8080/claims answered 502 Bad Gateway',
            '<%Y-%m-%dT%H:%M:%S.%3>Z INFO  GET /claims/<1000-9999> 200 <20-60>ms',
        ] * 12  # fmt: skip
        stage.log(f"web/{pod['metadata']['name']}", printed(stage.ago(minutes=20), lines, every_s=33))
    for pod in stage.pods("egress/web-out"):
        lines = []
        for n in range(14):
            at = int(stage.ago(minutes=21).timestamp()) + n * 88
            lines += [
                f"{at}.<100-999>      0 10.244.<0-2>.<4-9> TCP_DENIED/403 3894 POST http://assess.claims.svc.cluster.local:8080/v1/assessments - HIER_NONE/- text/html",
                f"{at + 41}.<100-999>    <80-99> 10.244.<0-2>.<4-9> TCP_TUNNEL/200 <5000-9000> CONNECT api.maps.example.net:443 - HIER_DIRECT/203.0.113.40 -",
            ]
        stage.log(f"egress/{pod['metadata']['name']}", printed(stage.ago(minutes=21), lines, every_s=44))
    chatter(
        stage,
        "claims/assess",
        ['{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"idle","queue":0}'],
        count=14,
    )
    chatter(
        stage,
        "claims/documents",
        ['{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"stored","bytes":<20000-90000>}'],
        count=14,
    )
