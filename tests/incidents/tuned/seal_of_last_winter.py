"""A certificate expired in a Secret that nobody reads since the shop's host got another one, which is valid."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.certificates import authority, tls_secret
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="CertificateExpired of the Secret boutique-tls, which no Ingress and no pod names since the host moved to a certificate of cert-manager five weeks ago",
    half=Half.tuned,
    story=(
        "The shop's host was served with a bought certificate, put into a Secret by hand. Five weeks ago its Ingress was pointed to the Secret that cert-manager keeps. The old Secret"
        " was left behind, and what is in it expired yesterday evening; the exporter reads every Secret there is. Visitors meet the new certificate, which is valid for eight weeks"
        " more. The Secret may be deleted, which mends nothing. sizes was released an hour ago. A notebook of"
        " somebody's trial crashes in another namespace, which has nothing to do with the shop."
    ),
    sources=[
        "https://github.com/enix/x509-certificate-exporter",
        "https://cert-manager.io/docs/usage/ingress/",
        "https://kubernetes.io/docs/concepts/services-networking/ingress/#tls",
    ],
    labels={
        "alertname": "CertificateExpired", "severity": "critical", "job": "x509-certificate-exporter", "instance": "10.244.0.9:9793", "namespace": "monitoring",
        "secret_namespace": "boutique", "secret_name": "boutique-tls", "secret_key": "tls.crt", "subject_CN": "www.boutique.example.com",
    },
    annotations={"summary": "Certificate for www.boutique.example.com in Secret boutique/boutique-tls has expired."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cert-manager status"],
)  # fmt: skip

HOST = "www.boutique.example.com"
GROUP = "cert-manager.io"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "ClusterIssuer", "clusterissuers", namespaced=False)
    stage.crd(GROUP, "v1", "Certificate", "certificates")
    began = stage.now
    root = authority("Example Issuing CA 4", began - timedelta(days=900), began + timedelta(days=2700))
    old = tls_secret("boutique/boutique-tls", HOST, began - timedelta(days=331), began + timedelta(days=34, hours=6), by=root)  # fmt: skip
    fresh = tls_secret("boutique/boutique-www", HOST, began - timedelta(hours=1), began + timedelta(days=90), by=root)  # fmt: skip
    stage.apply([old, fresh])
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "ClusterIssuer", "metadata": {"name": "house"}, "spec": {"acme": {"server": "https://acme.example.com/directory"}}},
        {"apiVersion": f"{GROUP}/v1", "kind": "Certificate", "metadata": {"name": "boutique-www", "namespace": "boutique"}, "spec": {"secretName": "boutique-www", "dnsNames": [HOST], "issuerRef": {"name": "house", "kind": "ClusterIssuer"}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "boutique", "namespace": "boutique"}, "spec": {"ingressClassName": "nginx", "tls": [{"hosts": [HOST], "secretName": "boutique-www"}],
         "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "window", "port": {"number": 80}}}}]}}]}},
        deployment("ingress-nginx/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=443, ready="/healthz", memory=("256Mi", "512Mi"))), service("ingress-nginx/ingress-nginx-controller", 443),
        deployment("cert-manager/cert-manager", container("cert-manager-controller", "jetstack/cert-manager-controller:v1.19.1", port=9402), replicas=1),
        deployment("monitoring/x509-certificate-exporter", container("exporter", "enix/x509-certificate-exporter:3.19.1", port=9793, ready="/healthz"), replicas=1), service("monitoring/x509-certificate-exporter", 9793),
        deployment("boutique/window", container("window", "boutique/window:12.3.0", port=3000, ready="/up", env={"SIZES_URL": "http://sizes.boutique.svc", "BASKET_URL": "http://basket.boutique.svc"}), replicas=3), service("boutique/window", 80, 3000),
        deployment("boutique/sizes", container("sizes", "boutique/sizes:2.2.0", port=8080, ready="/ready")), service("boutique/sizes", 80, 8080),
        deployment("boutique/basket", container("basket", "boutique/basket:7.0.4", port=8080, ready="/ready", env={"DB_HOST": "goods.boutique.svc"})), service("boutique/basket", 80, 8080),
        stateful_set("boutique/goods", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("boutique/goods", 5432, headless=True),
        config_map("boutique/seasons", {"now": "winter"}),
        deployment("lab/notebook", container("notebook", "lab/notebook:2026.11", port=8888), replicas=1), service("lab/notebook", 80, 8888),
    ])  # fmt: skip
    stage.calm()
    _ready(stage, began)
    stage.wait(days=34, hours=22, minutes=10)
    stage.kubectl("set", "image", "deployment/sizes", "sizes=registry.example.com/boutique/sizes:2.2.1", "-n", "boutique")  # fmt: skip
    stage.calm()
    stage.wait(minutes=47)
    stage.crash("lab/notebook", code=1, restarts=9, log="ModuleNotFoundError: No module named 'jupyter_ai'")
    stage.heartbeat()
    chatter(stage, "ingress-nginx/ingress-nginx-controller", [
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET / HTTP/2.0" 200 9120 "-" "Mozilla/5.0" 390 0.0<10-40> [boutique-window-80] [] 10.244.1.<4-9>:3000 9120 0.0<10-40> 200',
        '<%Y/%m/%d %H:%M:%S> [crit] 31#31: *<10000-99999> SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking, client: 192.0.2.<2-250>, server: 0.0.0.0:443',
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /sizes HTTP/2.0" 200 700 "-" "Mozilla/5.0" 390 0.0<10-30> [boutique-window-80] [] 10.244.2.<4-9>:3000 700 0.0<10-30> 200',
    ], count=36, minutes=60)  # fmt: skip
    chatter(stage, "cert-manager/cert-manager", ['I<%m%d %H:%M:%S.%3>441       1 trigger_controller.go:223] "Certificate is up to date" logger="cert-manager.controller" key="boutique/boutique-www"'], count=3, minutes=60)  # fmt: skip
    chatter(stage, "monitoring/x509-certificate-exporter", ['time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="scrape done" secrets=14 errors=0'], count=10)  # fmt: skip
    chatter(stage, "boutique/window", ["GET / 200 <10-40>ms"], minutes=60)
    chatter(stage, "boutique/sizes", ["INFO sizes: GET /sizes/<100-999> 200 <2-9>ms"], minutes=50)
    chatter(stage, "boutique/basket", ["INFO basket: PUT /b/<1000-9999> 200 <5-20>ms", "WARN basket: voucher WINTER25 has expired, ignored"], minutes=60)  # fmt: skip
    chatter(stage, "boutique/goods", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=60)  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=1020)


def _ready(stage: Stage, began) -> None:
    """What cert-manager said when it had issued the certificate, an hour before the Ingress was pointed to it."""
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "Certificate is up to date and has not expired", "observedGeneration": 1}  # fmt: skip
    since = stage.stamp(at=began - timedelta(hours=1))
    stage.status(f"certificates.{GROUP}/boutique/boutique-www", {
        "notBefore": since, "notAfter": stage.stamp(at=began + timedelta(days=90)), "renewalTime": stage.stamp(at=began + timedelta(days=60)), "revision": 1,
        "conditions": [{**ready, "lastTransitionTime": since}],
    }, manager="cert-manager-certificates-readiness")  # fmt: skip
    stage.status(f"clusterissuers.{GROUP}/_cluster/house", {"conditions": [{"type": "Ready", "status": "True", "reason": "ACMEAccountRegistered", "message": "The ACME account was registered with the ACME server", "lastTransitionTime": since}]}, manager="cert-manager-clusterissuers")  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for two days."""
    count, step, now = 288, 600, stage.now.timestamp()
    about_it = {"job": "x509-certificate-exporter", "secret_namespace": "boutique", "secret_key": "tls.crt", "subject_CN": HOST}  # fmt: skip
    expired, valid = now - 61200, now + 55 * 86400
    stage.metric("left", "(x509_cert_not_after - time()) / 86400", [
        ({**about_it, "secret_name": "boutique-tls"}, [(expired - (now - step * (count - 1 - n))) / 86400 for n in range(count)]),
        ({**about_it, "secret_name": "boutique-www"}, [(valid - (now - step * (count - 1 - n))) / 86400 for n in range(count)]),
    ], step_s=step)  # fmt: skip
    stage.metric("requests", "sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[5m]))", [({"namespace": "boutique", "ingress": "boutique"}, about(61, count, noise=0.2))], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[5m])) / sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[5m]))', [
        ({"namespace": "boutique", "ingress": "boutique"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("handshake", 'max by (instance) (probe_ssl_earliest_cert_expiry{job="blackbox"} - time()) / 86400', [
        ({"instance": f"https://{HOST}/"}, [(valid - (now - step * (count - 1 - n))) / 86400 for n in range(count)]),
    ], step_s=step)  # fmt: skip
