"""Labels to target: the order of labels, the owner chain, gone pods, exporters, and the named reason."""

from __future__ import annotations

import pytest

from services.context_api.domain.resolve import LABELS, is_exporter, resolve
from tests.support.kube import container, deployment, env, node, pod, service, snapshot, stateful_set, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-016")

POD = "api-7c9d5b6f8-x2k9d"


def answer(*objects, cluster: str = "local", **labels: str):
    return resolve(snapshot(*objects), labels, cluster)


def test_a_pods_incident_is_about_its_deployment():
    found = answer(deployment("api"), namespace="shop", pod=POD, container="app", job="kube-state-metrics")

    assert (str(found.target), str(found.owner)) == (f"Pod/shop/{POD}", "Deployment/shop/api")
    assert (found.exists, found.reason) == (True, "label:pod")
    assert "Deployment api owns" in found.detail


def test_a_jobs_incident_is_about_its_cron_job():
    cron = thing("CronJob", "report", api="batch/v1", spec={"jobTemplate": {}})
    made = thing("Job", "report-29384000", api="batch/v1", owner=cron, spec={})

    assert (
        str(answer(cron, made, namespace="shop", job_name="report-29384000").owner) == "CronJob/shop/report"
    )


def test_a_custom_resource_that_owns_the_workload_is_the_owner():
    cluster = thing("Cluster", "db", "shop-data", api="postgresql.cnpg.io/v1", spec={})

    assert (
        str(answer(cluster, stateful_set("db", owner=cluster), namespace="shop-data", pod="db-0").owner)
        == "Cluster/shop-data/db"
    )


@pytest.mark.parametrize("first", range(len(LABELS) - 1))
def test_the_earlier_label_decides(first: int):
    word, spellings, kind, _ = LABELS[first]
    names = {spelling[0]: "x" for _, spelling, _, _ in LABELS[first:]}

    found = resolve(snapshot(), {"namespace": "shop", **names}, "local")

    assert found.reason == f"label:{word}"
    assert found.target
    assert found.target.kind == kind
    assert spellings[0] == word


@pytest.mark.parametrize(
    ("label", "kind"),
    [("horizontalpodautoscaler", "HorizontalPodAutoscaler"), ("persistentvolumeclaim", "PersistentVolumeClaim"), ("poddisruptionbudget", "PodDisruptionBudget"), ("buildconfig", "BuildConfig")],
)  # fmt: skip
def test_kube_state_metrics_own_spellings_are_understood(label: str, kind: str):
    found = answer(namespace="shop", **{label: "x"})

    assert found.target
    assert found.target.kind == kind


def test_the_exported_labels_are_the_objects_own_and_the_exporter_is_not_the_target():
    found = answer(
        deployment("api"), namespace="monitoring", pod="kube-state-metrics-6c8f9d7b5-abcde", service="kube-state-metrics",
        exported_namespace="shop", exported_pod=POD,
    )  # fmt: skip

    assert str(found.owner) == "Deployment/shop/api"


def test_labels_of_an_exporter_alone_name_nothing():
    found = answer(
        namespace="monitoring",
        pod="node-exporter-x7k2p",
        service="node-exporter",
        instance="10.0.0.1:9100",
        job="node-exporter",
        endpoint="metrics",
    )

    assert (found.target, found.owner, found.reason) == (None, None, "no-target-label")


def test_the_job_is_read_last_and_only_where_a_service_of_the_namespace_bears_its_name():
    objects = [deployment("api"), deployment("web"), service("api"), thing("Namespace", "shop", None)]

    assert str(answer(objects, namespace="shop", job="api").target) == "Service/shop/api"
    assert str(answer(objects, namespace="shop", job="api", app="web").target) == "Deployment/shop/web"
    assert str(answer(objects, namespace="shop", job="kube-state-metrics").target) == "Namespace/_cluster/shop"  # fmt: skip


def test_a_label_whose_object_exists_is_preferred_to_one_whose_object_does_not():
    assert (
        str(answer(deployment("api"), namespace="shop", service="api-metrics", pod=POD).target)
        == f"Pod/shop/{POD}"
    )


@pytest.mark.parametrize(
    ("objects", "pod", "owner"),
    [
        (deployment("api"), "api-7c9d5b6f8-zzzzz", "Deployment/shop/api"),
        (deployment("api")[:1], "api-55d5f8b6c7-zzzzz", "Deployment/shop/api"),
        (stateful_set("db", "shop"), "db-7", "StatefulSet/shop/db"),
        ([thing("DaemonSet", "agent", api="apps/v1", spec={})], "agent-k2x9p", "DaemonSet/shop/agent"),
    ],
    ids=["its replica set is there", "only its deployment is there", "stateful set", "daemon set"],
)
def test_a_gone_pods_owner_follows_from_its_name_and_the_reason_says_so(objects, pod: str, owner: str):
    found = answer(objects, namespace="shop", pod=pod)

    assert (str(found.target), str(found.owner), found.exists) == (f"Pod/shop/{pod}", owner, False)
    assert found.reason == "label:pod+owner-by-name"
    assert "not in the evidence" in found.detail


def test_a_gone_pod_nothing_fits_is_its_own_owner():
    found = answer(namespace="shop", pod="stranger-abc")

    assert found.owner == found.target
    assert not found.exists


def test_a_cluster_scoped_target_has_no_namespace():
    found = answer(thing("Node", "worker-1", None), namespace="monitoring", node="worker-1")

    assert str(found.target) == "Node/_cluster/worker-1"


def test_application_labels_and_at_last_the_namespace_lead_to_something_that_exists():
    objects = deployment("api", containers=[container()])

    assert str(answer(objects, namespace="shop", app="api").target) == "Deployment/shop/api"
    assert (
        str(answer(objects, service("x"), namespace="shop", alertname="X").target)
        == "Namespace/_cluster/shop"
    )
    assert answer(objects, namespace="elsewhere", alertname="X").target is None


def test_the_cluster_is_carried_through():
    found = answer(deployment("api"), cluster="eu-1", namespace="shop", pod=POD)

    assert found.owner
    assert found.target
    assert {found.owner.cluster, found.target.cluster} == {"eu-1"}


def test_labels_of_namespace_and_owner_come_along_without_documents():
    place = thing(
        "Namespace",
        "shop",
        None,
        labels={"environment": "production"},
        annotations={"note": "x" * 5000, "team": "web"},
    )

    found = answer(deployment("api"), place, namespace="shop", pod=POD)

    assert found.namespace_labels == {"environment": "production"}
    assert found.namespace_annotations == {"team": "web"}
    assert found.owner_labels == {"app": "api"}


@pytest.mark.parametrize("value", ["", "10.0.0.1:9100/x", "a b", "../etc", "x" * 300])
def test_values_no_object_can_have_name_nothing(value: str):
    assert answer(namespace="shop", pod=value).target is None


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("postgres-exporter", True),
        ("kube-state-metrics-abc", True),
        ("exporter-api", True),
        ("importer", False),
        ("api", False),
    ],
)
def test_exporters_are_told_by_name(name: str, is_one: bool):
    assert is_exporter(name) is is_one


def certificate(name: str = "web-tls"):
    return thing("Certificate", name, api="cert-manager.io/v1")


def test_a_platforms_own_metric_names_its_object_beside_the_scraped_program():
    scraped = deployment("cert-manager", "cert-manager")
    labels = {
        "exported_namespace": "shop",
        "namespace": "cert-manager",
        "pod": "cert-manager-7c9d5b6f8-x2k9d",
        "container": "c",
    }

    found = answer(certificate(), scraped, alertname="CertNotReady", name="web-tls", **labels)

    assert (str(found.target), found.reason) == ("Certificate/shop/web-tls", "label:name")


def test_of_namesakes_the_one_is_meant_whose_kind_is_said():
    two = [
        thing("Kustomization", "apps", "flux-system", api="kustomize.toolkit.fluxcd.io/v1"),
        thing("GitRepository", "apps", "flux-system", api="source.toolkit.fluxcd.io/v1"),
    ]

    by_kind = answer(*two, namespace="flux-system", name="apps", customresource_kind="GitRepository")
    by_alert = answer(*two, namespace="flux-system", name="apps", alertname="KustomizationNotReady")
    by_none = answer(*two, namespace="flux-system", name="apps", alertname="NotReady")

    assert str(by_kind.target) == "GitRepository/flux-system/apps"
    assert str(by_alert.target) == "Kustomization/flux-system/apps"
    assert str(by_none.target) == "Namespace/_cluster/flux-system"


def test_a_name_label_that_is_no_custom_resource_decides_nothing():
    found = answer(certificate(), namespace="shop", name="api", alertname="X")

    assert str(found.target) == "Namespace/_cluster/shop"


# -- consumer groups -----------------------------------------------------------------------------------

LAG = {
    "alertname": "LagGrows",
    "namespace": "streaming",
    "pod": "kafka-exporter-7f9c-x2x4z",
    "consumergroup": "biller",
}


def test_an_alert_about_a_consumer_group_is_about_the_workload_that_names_it():
    worker = deployment("worker", "billing", containers=[container(env=env(GROUP_ID="biller"))])

    found = resolve(snapshot(service("broker", "streaming"), worker), LAG)

    assert (str(found.target), found.reason) == ("Deployment/billing/worker", "label:consumergroup")


def test_a_group_nobody_names_leaves_the_alert_with_its_namespace():
    found = resolve(snapshot(service("broker", "streaming"), deployment("worker", "billing")), LAG)

    assert str(found.target) == "Namespace/_cluster/streaming"


def test_a_group_two_workloads_name_is_not_guessed():
    both = [deployment(n, "billing", containers=[container(env=env(GROUP_ID="biller"))]) for n in ("a", "b")]

    found = resolve(snapshot(service("broker", "streaming"), *both), LAG)

    assert str(found.target) == "Namespace/_cluster/streaming"


EXPORTER = {"namespace": "monitoring", "service": "agent", "device": "nvme0n1"}


def on_each_node(kind: str = "DaemonSet"):
    top = thing(
        kind, "agent", "monitoring", api="apps/v1", spec={"selector": {"matchLabels": {"app": "agent"}}}
    )
    return [top, pod("agent-x7k2p", "monitoring", owner=top, labels={"app": "agent"}), service("agent", "monitoring"), node("node-1")]  # fmt: skip


@pytest.mark.parametrize("named", [{"service": "node-exporter"}, {"job": "node-exporter"}])
def test_an_exporter_of_nodes_speaks_of_the_node_that_is_its_instance(named: dict[str, str]):
    found = answer(node("node-1"), thing("Namespace", "monitoring", None), namespace="monitoring", instance="node-1", **named)  # fmt: skip

    assert str(found.target) == "Node/_cluster/node-1"


def test_a_program_on_each_node_under_any_name_speaks_of_its_nodes_devices():
    assert str(answer(on_each_node(), **EXPORTER, instance="node-1").target) == "Node/_cluster/node-1"


@pytest.mark.parametrize(
    ("objects", "labels"),
    [
        (on_each_node("StatefulSet"), {**EXPORTER, "instance": "node-1"}),
        (on_each_node(), {**EXPORTER, "instance": "10.244.1.7:9100"}),
        (on_each_node(), {"namespace": "monitoring", "service": "agent", "instance": "node-1"}),
    ],
    ids=["it does not run on each node", "its instance is a pod", "it does not speak of a device"],
)
def test_a_service_stays_what_an_alert_is_about_that_says_nothing_of_a_machine(
    objects, labels: dict[str, str]
):
    assert str(answer(*objects, **labels).target) == "Service/monitoring/agent"


PAGE = thing(
    "Ingress", "front", "store", api="networking.k8s.io/v1",
    spec={"rules": [{"host": "shop.example.com", "http": {"paths": [{"path": "/", "backend": {"service": {"name": "front"}}}]}}]},
)  # fmt: skip
PROBE = {"job": "blackbox", "namespace": "monitoring", "service": "blackbox-exporter"}


@pytest.mark.parametrize("label", ["instance", "target", "url"])
def test_an_alert_about_a_page_is_about_the_route_that_serves_it(label: str):
    found = answer(
        PAGE, thing("Namespace", "monitoring", None), **PROBE, **{label: "https://shop.example.com/cart"}
    )

    assert (str(found.target), found.reason) == ("Ingress/store/front", f"label:{label}")


def test_a_url_of_a_service_is_about_that_service():
    found = answer(PAGE, service("pay"), **PROBE, instance="http://pay.shop.svc.cluster.local:8080/healthz")

    assert str(found.target) == "Service/shop/pay"


def test_a_page_that_nobody_here_serves_is_not_guessed_at():
    assert answer(PAGE, **PROBE, instance="https://elsewhere.example.org/").target is None


@pytest.mark.parametrize(
    "labels",
    [
        {"alertname": "KubeAPIErrorBudgetBurn", "long": "1h"},
        {"job": "kubernetes-apiservers"},
        {"job": "apiserver"},
    ],
)
def test_an_alert_about_the_api_server_is_about_its_service(labels: dict[str, str]):
    assert str(answer(service("kubernetes", "default"), **labels).target) == "Service/default/kubernetes"


@pytest.mark.parametrize(
    "labels",
    [{"alertname": "KubeVersionMismatch"}, {"alertname": "ApiErrorsHigh"}, {"alertname": "ApiServerSlow", "namespace": "shop"}, {"job": "api-server"}],
    ids=["another rule of Kubernetes", "any API", "somebody's API server", "somebody's job"],
)  # fmt: skip
def test_other_alerts_are_not_about_the_api_server(labels: dict[str, str]):
    assert str(answer(service("kubernetes", "default"), **labels).target) != "Service/default/kubernetes"


def test_a_prober_under_any_name_is_not_what_its_alert_is_about():
    labels = {
        "job": "pages",
        "namespace": "monitoring",
        "service": "asker",
        "instance": "https://shop.example.com/",
    }

    assert str(answer(PAGE, service("asker", "monitoring"), **labels).target) == "Ingress/store/front"
