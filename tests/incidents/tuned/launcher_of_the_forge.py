"""A program of builds has client certificates of an hour and takes a new one in time, again and again; a rule asks for a week."""

from __future__ import annotations

from datetime import UTC, datetime

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
    title="KubeClientCertificateExpiration since the launcher's release of two hours ago, which comes to the API server with certificates of one hour and renews each after forty minutes",
    half=Half.tuned,
    story=(
        "launcher 4.0.0 does no longer use a token but a client certificate that Vault gives it for an hour, from the authority of the cluster's clients, and takes a new one after forty minutes; it has done so three times. The API server counts for each"
        " request how long its certificate has still to go, without a word on whose it is, and the rule fires when one of a hundred requests came with less than a day. No other client has less than 90 days,"
        " nobody is turned away with 401. The agent of node-c restarted last week; the list of recipes was edited."
    ),
    sources=[
        "https://github.com/kubevirt/kubevirt/issues/13548",
        "https://github.com/kubermatic/kubermatic/issues/3291",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeclientcertificateexpiration/",
        "https://developer.hashicorp.com/vault/docs/secrets/pki",
    ],
    labels={
        "alertname": "KubeClientCertificateExpiration", "severity": "critical", "job": "apiserver", "instance": "10.20.0.10:6443",
    },
    annotations={
        "summary": "Client certificate is about to expire.",
        "description": "A client certificate used to authenticate to kubernetes apiserver is expiring in less than 24.0 hours on cluster .",
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeclientcertificateexpiration",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

SETTINGS = """\
api: https://kubernetes.default.svc
auth: {}
builds: {{namespace: forge-builds, most: 12}}
"""
CERTIFICATE = "{kind: certificate, from: https://vault.example.com/v1/pki-kube-clients/issue/forge-launcher, commonName: forge:launcher, ttl: 1h, renewAfter: 40m}"


def play(stage: Stage) -> None:
    rbac = "rbac.authorization.k8s.io"
    account = {"serviceAccountName": "launcher", "volumes": [{"name": "settings", "configMap": {"name": "launcher"}}]}  # fmt: skip
    stage.namespace("forge-builds")
    stage.apply([
        *system(),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "launcher", "namespace": "forge"}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": "forge-launcher"}, "rules": [
            {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch", "create", "delete"]}]},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "forge-launcher"}, "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "forge-launcher"},
         "subjects": [{"kind": "ServiceAccount", "name": "launcher", "namespace": "forge"}, {"apiGroup": rbac, "kind": "User", "name": "forge:launcher"}]},
        config_map("forge/launcher", {"launcher.yaml": SETTINGS.format("{kind: token}")}),
        deployment("forge/launcher", container("launcher", "forge/launcher:3.12.1", port=8080, ready="/ready", alive="/alive", mounts={"settings": "/etc/launcher"}), replicas=1, pod=account), service("forge/launcher", 80, 8080),
        stateful_set("forge/queue", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("forge/queue", 5432, headless=True),
        deployment("forge/shelves", container("shelves", "forge/shelves:1.9.9", port=8080, ready="/ready")), service("forge/shelves", 80, 8080),
        config_map("forge/recipes", {"recipes.yaml": "- go\n- rust\n"}),
        daemon_set("observatory/node-agent", container("agent", "observatory/node-agent:0.31.0", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("observatory/kube-state-metrics", container("kube-state-metrics", "k8s/kube-state-metrics:v2.17.0", port=8080, alive="/livez"), replicas=1), service("observatory/kube-state-metrics", 8080),
        deployment("web/builds-page", container("page", "web/builds-page:7.1.0", port=3000, ready="/up", env={"LAUNCHER_URL": "http://launcher.forge.svc"})), service("web/builds-page", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 6, 30, tzinfo=UTC))
    agent = next(p for p in stage.pods("observatory/node-agent") if p["spec"]["nodeName"] == "node-c")
    stage.recovered(f"observatory/{agent['metadata']['name']}", restarts=1, code=143, lived_s=1300000, waited_s=2)  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 12, 50, tzinfo=UTC))
    stage.edit("configmaps/forge/launcher", lambda body: body["data"].update({"launcher.yaml": SETTINGS.format(CERTIFICATE)}))  # fmt: skip
    stage.kubectl("set", "image", "deployment/launcher", "launcher=registry.example.com/forge/launcher:4.0.0", "-n", "forge")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 14, 20, tzinfo=UTC))
    stage.edit("configmaps/forge/recipes", lambda body: body["data"].update({"recipes.yaml": "- go\n- rust\n- zig\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 26, 15, 4, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=126)


def _logs(stage: Stage) -> None:
    """What the launcher printed since its release: a certificate at once, and a new one every forty minutes."""
    began = datetime(2026, 11, 26, 12, 50, 14, tzinfo=UTC)
    front = "<%Y-%m-%dT%H:%M:%S.%3>Z "
    text = [printed(began, [front + "INFO  launcher 4.0.0, api https://kubernetes.default.svc"])]
    for number, (hour, minute) in enumerate(((12, 50), (13, 30), (14, 10), (14, 50))):
        at = began.replace(hour=hour, minute=minute, second=20)
        end = f"{hour + 1}:{minute}:20"
        text.append(printed(at, [
            front + ("WARN  auth: no client certificate yet" if number == 0 else "WARN  auth: client certificate expires in 20m, asking for the next one"),
            front + f"INFO  auth: POST https://vault.example.com/v1/pki-kube-clients/issue/forge-launcher 200, certificate {number + 1} issued for forge:launcher",
            front + f"INFO  auth: client certificate {number + 1} in use, valid until 2026-11-26T{end}Z",
            *[front + "INFO  builds: build <10000-99999> started", front + "INFO  builds: build <10000-99999> done, pod removed", front + "ERROR builds: build <10000-99999> failed: its tests failed (exit 1), told its author"] * 4,
        ], every_s=50))  # fmt: skip
    stage.log("forge/launcher-", "\n".join(text))
    chatter(stage, "forge/queue", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=10, minutes=60)  # fmt: skip
    chatter(stage, "forge/shelves", ["INFO shelves: PUT /artifacts/<10000-99999> 201 <20-90>ms", "WARN shelves: signature of artifact <10000-99999> is of an expired key, kept as it is old"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "observatory/node-agent", ['level=info ts=<%Y-%m-%dT%H:%M:%S.%3>Z msg="samples sent" count=<800-990>'], count=10, minutes=60)  # fmt: skip
    chatter(stage, "observatory/kube-state-metrics", ['I<%m%d %H:%M:%S.%3>404       1 server.go:381] "Run with Kubernetes cluster version" major="1" minor="36"'], count=1, minutes=40)  # fmt: skip
    chatter(stage, "web/builds-page", ["GET /builds 200 <10-40>ms"], count=30, minutes=60)


def _metrics(stage: Stage) -> None:
    """Every ten minutes for six days; the launcher's certificates since two hours and fourteen minutes."""
    count, since, step = 6 * 144, 14, 600
    before = count - since
    api: Body = {"job": "apiserver", "instance": "10.20.0.10:6443"}
    new = about(1.9, since, noise=0.1, of="launcher")
    old = about(14.2, count, noise=0.05, of="others")
    # Its first hour: between 20 and 60 minutes are left. Everybody else's certificates are good for more than 90 days.
    buckets: list[tuple[Body, list[float]]] = []
    for le in ("0", "1800", "3600", "7200", "21600", "43200", "86400", "172800", "345600", "604800", "2.592e+06", "7.776e+06"):  # fmt: skip
        part = 0.0 if le == "0" else 0.25 if le == "1800" else 1.0
        buckets.append(({**api, "le": le}, [*[0.0] * before, *(part * v for v in new)]))
    for le, share in (("1.5552e+07", 0.4), ("3.1104e+07", 1.0), ("+Inf", 1.0)):
        buckets.append(({**api, "le": le}, [*(share * v for v in old[:before]), *(share * v + n for v, n in zip(old[before:], new, strict=True))]))  # fmt: skip
    stage.metric("expiration-buckets", 'sum by (job, instance, le) (rate(apiserver_client_certificate_expiration_seconds_bucket{job="apiserver"}[5m]))', buckets, step_s=step)  # fmt: skip
    stage.metric("expiration", 'histogram_quantile(0.01, sum by (job, instance, le) (rate(apiserver_client_certificate_expiration_seconds_bucket{job="apiserver"}[5m])))', [
        (api, [*about(7.97e6, before, noise=0.01), *about(610, since, noise=0.1, of="quantile")]),
    ], step_s=step)  # fmt: skip
    stage.metric("nodes", "min by (node) (kubelet_certificate_manager_client_ttl_seconds)", [
        ({"node": f"node-{x}"}, [86400.0 * 342 - step * (n - count) for n in range(count)]) for x in "abc"
    ], step_s=step)  # fmt: skip
    stage.metric("turned-away", 'sum by (job, instance, code) (rate(apiserver_request_total{code=~"401|403"}[5m]))', [
        ({**api, "code": "401"}, [0.0] * count), ({**api, "code": "403"}, about(0.003, count, noise=0.9, of="403")),
    ], step_s=step)  # fmt: skip
    stage.metric("authentication", 'sum by (job, instance, result) (rate(apiserver_authentication_attempts{result!="success"}[5m]))', [
        ({**api, "result": "failure"}, [0.0] * count), ({**api, "result": "error"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("builds", 'sum by (namespace, result) (rate(launcher_builds_total[10m])) * 600', [
        ({"namespace": "forge", "result": "done"}, about(7.5, count, noise=0.4, of="done")), ({"namespace": "forge", "result": "not-started"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
