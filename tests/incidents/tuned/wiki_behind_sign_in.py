"""A chart upgrade brings a newer sign-in sidecar that no longer knows one of its flags; only a probe from outside tells."""

from __future__ import annotations

import json

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="The sign-in sidecar of the wiki does not start after a chart upgrade: it no longer knows a flag",
    half=Half.tuned,
    story=(
        "Helm upgrades the sidecar sign-in from v7.5.1 to v7.9.0; the chart's values still pass a flag that the new"
        " release has dropped. The strategy is Recreate, so no pod is left, and the ingress answers 503. The wiki's own"
        " container is well."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment",
        "https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview",
        "https://github.com/prometheus/blackbox_exporter",
    ],
    labels={
        "alertname": "EndpointDown",
        "job": "blackbox",
        "instance": "https://wiki.example.com/",
        "severity": "critical",
    },
    annotations={"summary": "probe_success is 0 for https://wiki.example.com/ (probe_http_status_code 503)."},
    causes=["Deployment/intranet/wiki"],
    says=[["v7.9.0"], ["v7.5.1"], ["unknown flag", "--cookie-legacy-samesite"]],
)

RELEASE = {"meta.helm.sh/release-name": "wiki", "meta.helm.sh/release-namespace": "intranet"}
FLAG = "--cookie-legacy-samesite"


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.namespace("intranet")
    wiki = deployment(
        "intranet/wiki",
        container("wiki", "intranet/wiki:2.303.1", port=3000, ready="/healthz", memory=("512Mi", "1Gi"), env={"DB_HOST": "pages-db"}),
        container(
            "sign-in", "sso/oauth2-proxy:v7.5.1", port=4180, ready="/ready", alive="/ping",
            env={"OAUTH2_PROXY_CLIENT_SECRET": from_secret("wiki-sign-in", "client-secret")},
            args=["--http-address=0.0.0.0:4180", "--upstream=http://127.0.0.1:3000", "--oidc-issuer-url=https://id.example.com", "--email-domain=example.com", FLAG],
        ),
        replicas=2, strategy={"type": "Recreate"}, labels={"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "wiki-6.2.0"},
    )  # fmt: skip
    ingress = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "wiki", "namespace": "intranet", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": "wiki.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "wiki", "port": {"number": 80}}}},
            ]}}],
        },
    }  # fmt: skip
    chart = [wiki, service("intranet/wiki", 80, 4180), ingress]
    for thing in chart:
        thing["metadata"]["annotations"] = RELEASE
    stage.apply([secret("intranet/wiki-sign-in", {"client-secret": "as-issued"})])
    stage.cluster.kubectl(
        "create", "--field-manager=helm", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": chart})
    )  # fmt: skip
    stage.apply([
        stateful_set("intranet/pages-db", container("postgres", "postgres:16.4", port=5432, memory=("512Mi", "1Gi"))),
        service("intranet/pages-db", 5432, headless=True),
        deployment(
            "intranet/handbook",
            container("nginx", "intranet/handbook:2026.44", port=8080, ready="/"), replicas=2,
        ),
        service("intranet/handbook", 80, 8080),
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "handbook", "namespace": "intranet"},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "handbook.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "handbook", "port": {"number": 80}}}}]}}]},
        },
        deployment("ingress-nginx/controller", container("controller", "ingress-nginx/controller:v1.13.2", port=8080, cpu="200m"), replicas=2),
        {
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        },
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19, hours=22)
    stage.heartbeat()
    stage.hold("intranet/wiki-")

    def upgrade(body: Body) -> None:
        body["metadata"]["labels"]["helm.sh/chart"] = "wiki-6.3.0"
        body["spec"]["template"]["spec"]["containers"][1]["image"] = (
            "registry.example.com/sso/oauth2-proxy:v7.9.0"
        )

    old = {p["metadata"]["uid"] for p in stage.pods("intranet/wiki-")}
    stage.edit("deployments/intranet/wiki", upgrade, manager="helm")
    stage.cluster.until(
        "the old pods are going",
        lambda: sum(bool(p["metadata"].get("deletionTimestamp")) for p in stage.pods("intranet/wiki-")) == 2,
    )
    stage.calm()
    stage.cluster.until(
        "new pods only",
        lambda: len([p for p in stage.pods("intranet/wiki-") if p["metadata"]["uid"] not in old]) >= 2,
    )
    fresh = [p["metadata"]["name"] for p in stage.pods("intranet/wiki-") if p["metadata"]["uid"] not in old]
    since = stage.now
    stage.stuck("intranet/wiki-", "ContainerCreating", "", count=2)
    stage.crash("intranet/wiki-", container="sign-in", restarts=6, lives_s=1, count=2)
    run = [
        f"unknown flag: {FLAG}",
        f"[<%Y/%m/%d %H:%M:%S>] [main.go:46] ERROR: Failed to load configuration: failed to parse flags: unknown flag: {FLAG}",
    ]
    for name in fresh:
        for previous in (False, True):
            stage.log(
                f"intranet/{name}",
                printed(stage.ago(seconds=13), run, every_s=0.01),
                container="sign-in",
                previous=previous,
            )
        # The wiki's own container has been up since the pod began.
        (pod,) = stage.pods(f"intranet/{name}")
        statuses = pod["status"]["containerStatuses"]
        for one in statuses:
            if one["name"] == "wiki":
                one["state"] = {"running": {"startedAt": stage.stamp(at=since)}}
        stage.cluster.ask(
            "PATCH", f"/api/v1/namespaces/intranet/pods/{name}/status?fieldManager=kubelet", {"status": {"containerStatuses": statuses}},
            kind="application/strategic-merge-patch+json",
        )  # fmt: skip
    stage.wait(minutes=4)
    for name in fresh:
        chatter(stage, f"intranet/{name}", [
            '<%Y-%m-%dT%H:%M:%S.%3>Z [MASTER] info: GET /healthz 200 <2-9>ms',
        ], container="wiki", minutes=6)  # fmt: skip
    handbook = stage.pod("intranet/handbook")["status"]["podIP"]
    chatter(stage, "ingress-nginx/controller", [
        '10.20.0.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET / HTTP/2.0" 503 190 "-" "Blackbox Exporter/0.27.0" 45 0.000 [intranet-wiki-80] [] - - - - <10000000-99999999>',
        f'10.20.0.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /benefits HTTP/2.0" 200 8211 "-" "Mozilla/5.0" 301 0.004 [intranet-handbook-80] [] {handbook}:8080 8211 0.004 200 <10000000-99999999>',
        'W<%m%d %H:%M:%S.%3>000       7 controller.go:1232] Service "intranet/wiki" does not have any active Endpoint.',
    ], minutes=8)  # fmt: skip
    chatter(stage, "intranet/pages-db", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <10-90> buffers (0.1%); 0 WAL file(s) added, 0 removed, 0 recycled",
    ], count=8)  # fmt: skip
    chatter(
        stage,
        "intranet/handbook",
        ['10.244.0.7 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /benefits HTTP/1.1" 200 8211 "-" "Mozilla/5.0"'],
    )
    stage.metric("probe_success", 'probe_success{job="blackbox"}', [
        ({"job": "blackbox", "instance": "https://wiki.example.com/"}, [1] * 15 + [0] * 16),
        ({"job": "blackbox", "instance": "https://handbook.example.com/"}, [1] * 31),
    ])  # fmt: skip
    stage.fire(minutes_ago=6)
