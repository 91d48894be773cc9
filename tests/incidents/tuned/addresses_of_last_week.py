"""The nodes' proxies may no longer read endpoints: whoever's callee was rolled since then calls addresses of pods that are gone."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="An overlay's namespace went into the subject of kube-proxy's binding, and callers of services rolled since then meet addresses of pods that are gone",
    half=Half.tuned,
    story=(
        "Four days ago the network team put kubeadm's objects under an overlay with `namespace: netops`, which also rewrote"
        " the subject of kubeadm:node-proxier. kube-proxy keeps the rules it has and reads no new endpoints. Nobody noticed"
        " until this morning, when two services were rolled as usual and their callers in three namespaces began to fail."
        " Services that were not rolled are well, and so are the two rolled ones themselves."
    ),
    sources=[
        "https://kubernetes.io/docs/reference/networking/virtual-ips/",
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects",
        "https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/namespace/",
        "https://github.com/poseidon/typhoon/issues/112",
        "https://github.com/coredns/helm/issues/135",
    ],
    labels={
        "alertname": "ErrorBudgetBurn", "namespace": "shop", "service": "web", "severity": "critical", "slo": "web-availability",
        "long": "1h", "short": "5m",
    },
    annotations={"summary": "web fails more requests than its objective of 99.9 % allows."},
    causes=["ClusterRoleBinding/_cluster/kubeadm:node-proxier", "DaemonSet/kube-system/kube-proxy", "ServiceAccount/kube-system/kube-proxy"],
    says=[["kube-proxy"], ["forbidden", "cannot list", "may not", "not allowed", "permission"]],
    innocent=[
        "Deployment/shop/web", "Service/shop/web", "Deployment/accounts/sessions", "Service/accounts/sessions",
        "Deployment/catalog/search", "Service/catalog/search", "Deployment/mobile/backend", "Deployment/kube-system/coredns",
    ],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

PROXY = ("ServiceAccount", "kube-proxy", "kube-system")


def play(stage: Stage) -> None:
    *most, proxy = system()
    proxy["spec"]["template"]["spec"]["serviceAccountName"] = "kube-proxy"
    proxy["spec"]["template"]["spec"]["containers"][0]["command"] = [
        "/usr/local/bin/kube-proxy",
        "--config=/var/lib/kube-proxy/config.conf",
        "--hostname-override=$(NODE_NAME)",
    ]
    stage.apply([
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}},
        _binding("kube-system"),
        *most,
        proxy,
        deployment("shop/web", container("web", "shop/web:31.4.0", port=8080, ready="/readyz", alive="/livez", env={
            "SESSIONS_URL": "http://sessions.accounts.svc.cluster.local:8080", "SEARCH_URL": "http://search.catalog.svc.cluster.local:8080",
            "PRICES_URL": "http://prices.catalog.svc.cluster.local:8080",
        }), replicas=3),
        service("shop/web", 80, 8080),
        deployment("mobile/backend", container("backend", "mobile/backend:9.0.3", port=8080, ready="/ready", env={
            "SESSIONS_URL": "http://sessions.accounts.svc.cluster.local:8080", "PRICES_URL": "http://prices.catalog.svc.cluster.local:8080",
        })),
        service("mobile/backend", 80, 8080),
        deployment("letters/composer", container("composer", "letters/composer:2.2.1", port=8080, ready="/ready", env={"SEARCH_URL": "http://search.catalog.svc.cluster.local:8080"}), replicas=1),
        deployment("accounts/sessions", container("sessions", "accounts/sessions:6.3.1", port=8080, ready="/readyz", env={"STORE": "sessions-store.accounts.svc.cluster.local:6379"})),
        service("accounts/sessions", 8080),
        stateful_set("accounts/sessions-store", container("valkey", "valkey:8.1.4", port=6379)),
        service("accounts/sessions-store", 6379, headless=True),
        deployment("catalog/search", container("search", "catalog/search:14.0.2", port=8080, ready="/readyz"), replicas=3),
        service("catalog/search", 8080),
        deployment("catalog/prices", container("prices", "catalog/prices:5.5.0", port=8080, ready="/readyz")),
        service("catalog/prices", 8080),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=33, hours=5)
    stage.apply([_binding("netops")], manager="kustomize-controller")
    stage.wait(days=3, hours=22, minutes=4)
    stage.kubectl(
        "set",
        "image",
        "deployment/sessions",
        "sessions=registry.example.com/accounts/sessions:6.3.2",
        "-n",
        "accounts",
    )
    stage.calm()
    stage.wait(minutes=5)
    stage.kubectl(
        "set",
        "image",
        "deployment/search",
        "search=registry.example.com/catalog/search:14.1.0",
        "-n",
        "catalog",
    )
    stage.calm()
    stage.wait(minutes=21)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=17)


def _binding(namespace: str) -> Body:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "kubeadm:node-proxier"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"kind": "ServiceAccount", "name": "kube-proxy", "namespace": namespace}],
    }  # fmt: skip


def _logs(stage: Stage) -> None:
    refused = [
        (
            'E<%m%d %H:%M:%S.%3>412       1 reflector.go:204] "Failed to watch" err="failed to list *v1.EndpointSlice: endpointslices.discovery.k8s.io is forbidden: '
            'User \\"system:serviceaccount:kube-system:kube-proxy\\" cannot list resource \\"endpointslices\\" in API group \\"discovery.k8s.io\\" at the cluster scope" '
            'logger="UnhandledError" reflector="k8s.io/client-go/informers/factory.go:160" type="*v1.EndpointSlice"'
        ),
        (
            'E<%m%d %H:%M:%S.%3>118       1 reflector.go:204] "Failed to watch" err="failed to list *v1.Service: services is forbidden: '
            'User \\"system:serviceaccount:kube-system:kube-proxy\\" cannot list resource \\"services\\" in API group \\"\\" at the cluster scope" '
            'logger="UnhandledError" reflector="k8s.io/client-go/informers/factory.go:160" type="*v1.Service"'
        ),
    ]
    chatter(stage, "kube-system/kube-proxy", refused, count=40, minutes=30)
    sessions = stage.get("services/accounts/sessions")["spec"]["clusterIP"]
    search = stage.get("services/catalog/search")["spec"]["clusterIP"]
    good = (
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"request","path":"/","status":200,"ms":<20-70>}'
    )
    no_session = (
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"session","error":"Get \\"http://sessions.accounts.svc.cluster.local:8080/v1/session\\": '
        f'dial tcp {sessions}:8080: connect: no route to host","status":502}}'
    )
    no_search = (
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"search","error":"Get \\"http://search.catalog.svc.cluster.local:8080/q\\": '
        f'dial tcp {search}:8080: connect: no route to host","status":502}}'
    )
    for pod in stage.pods("shop/web"):
        stage.log(
            f"shop/{pod['metadata']['name']}",
            printed(
                stage.ago(minutes=40),
                [*([good] * 14), *([no_session, good] * 5), *([no_session, no_search] * 18)],
                every_s=39,
            ),
        )
    chatter(stage, "mobile/backend", [no_session, no_session, good], count=30)
    chatter(stage, "letters/composer", [no_search, good], count=12)
    chatter(stage, "catalog/prices", [good], count=20)
    for place in ("accounts/sessions-", "catalog/search"):
        for pod in stage.pods(place):
            if "store" not in pod["metadata"]["name"]:
                stage.log(
                    f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",
                    printed(
                        stage.ago(minutes=24),
                        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"listening","addr":":8080"}'],
                    ),
                )
    chatter(
        stage,
        "kube-system/coredns",
        ['[INFO] 10.244.1.<4-9>:<30000-60000> - <1000-60000> "A IN search.catalog.svc.cluster.local. udp 54 false 512" NOERROR qr,aa,rd 106 0.000<100-300>s'],
        count=8,
    )  # fmt: skip


def _metrics(stage: Stage) -> None:
    """An hour and a half, a value a minute."""
    ratio = 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))'
    stage.metric("error_ratio", ratio, [
        ({"namespace": "shop", "service": "web"}, [*[0.0004] * 62, *slope(0.02, 0.31, 8), *about(0.52, 20, noise=0.05)]),
        ({"namespace": "mobile", "service": "backend"}, [*[0.0003] * 62, *slope(0.05, 0.6, 8), *about(0.63, 20, noise=0.05)]),
        ({"namespace": "catalog", "service": "prices"}, about(0.0002, 90)),
    ])  # fmt: skip
    stage.metric("requests", "sum by (namespace, service) (rate(http_requests_total[5m]))", [
        ({"namespace": "accounts", "service": "sessions"}, [*about(88, 62), *slope(80, 0, 6), *[0.0] * 22]),
        ({"namespace": "catalog", "service": "search"}, [*about(41, 67), *slope(38, 0, 5), *[0.0] * 18]),
        ({"namespace": "catalog", "service": "prices"}, about(120, 90)),
    ])  # fmt: skip
    stage.metric("firing", 'ALERTS{alertname="ErrorBudgetBurn",alertstate="firing"}', [
        ({"alertname": "ErrorBudgetBurn", "alertstate": "firing", "namespace": "shop", "service": "web"}, [1.0] * 17),
        ({"alertname": "ErrorBudgetBurn", "alertstate": "firing", "namespace": "mobile", "service": "backend"}, [1.0] * 16),
        ({"alertname": "ErrorBudgetBurn", "alertstate": "firing", "namespace": "letters", "service": "composer"}, [1.0] * 9),
    ])  # fmt: skip
