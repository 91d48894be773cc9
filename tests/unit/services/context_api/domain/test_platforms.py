"""What platform objects name and make."""

from __future__ import annotations

import json

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.platforms import Platforms, walk
from services.context_api.domain.snapshot import KubeObject
from tests.support.kube import Doc, deployment, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

FLUX, HELM, SOURCE = (
    "kustomize.toolkit.fluxcd.io/v1",
    "helm.toolkit.fluxcd.io/v2",
    "source.toolkit.fluxcd.io/v1",
)


def built(*objects: object) -> tuple[Platforms, Graph]:
    graph = Graph(snapshot(*objects))
    return Platforms(graph), graph


def find(graph: Graph, place: str) -> KubeObject:
    kind, namespace, name = place.split("/")
    found = graph.find(kind, namespace, name)
    assert found is not None
    return found


def needed(of: Doc, *others: object) -> set[str]:
    platforms, graph = built(of, *others)
    obj = graph.snapshot.by_uid(of["metadata"]["uid"])
    assert obj is not None
    return {str(link.to) for link in platforms.needs(obj)}


@pytest.mark.parametrize(
    ("obj", "other", "named"),
    [
        (
            thing("Kustomization", "apps", "flux-system", api=FLUX, spec={"sourceRef": {"kind": "GitRepository", "name": "git"}}),
            thing("GitRepository", "git", "flux-system", api=SOURCE),
            "GitRepository/flux-system/git",
        ),
        (
            thing("Kustomization", "apps", "flux-system", api=FLUX, spec={"dependsOn": [{"name": "base", "namespace": "infra"}]}),
            thing("Kustomization", "base", "infra", api=FLUX),
            "Kustomization/infra/base",
        ),
        (
            thing("HelmRelease", "web", api=HELM, spec={"valuesFrom": [{"kind": "Secret", "name": "values"}]}),
            thing("Secret", "values"),
            "Secret/shop/values",
        ),
        (
            thing("Certificate", "tls", api="cert-manager.io/v1", spec={"issuerRef": {"kind": "ClusterIssuer", "name": "ca"}}),
            thing("ClusterIssuer", "ca", None, api="cert-manager.io/v1"),
            "ClusterIssuer/_cluster/ca",
        ),
        (
            thing("ClusterIssuer", "ca", None, api="cert-manager.io/v1", spec={"acme": {"solvers": [{"dns01": {"route53": {"region": "eu", "secretAccessKeySecretRef": {"name": "aws", "key": "k"}}}}]}}),
            thing("Secret", "aws", "cert-manager"),
            "Secret/cert-manager/aws",
        ),
        (
            thing("Subscription", "op", api="operators.coreos.com/v1alpha1", spec={"source": "cat", "sourceNamespace": "olm"}),
            thing("CatalogSource", "cat", "olm", api="operators.coreos.com/v1alpha1"),
            "CatalogSource/olm/cat",
        ),
        (
            thing("VirtualService", "web", api="networking.istio.io/v1", spec={"gateways": ["edge/public", "mesh"]}),
            thing("Gateway", "public", "edge", api="networking.istio.io/v1"),
            "Gateway/edge/public",
        ),
        (
            thing("BuildConfig", "web", api="build.openshift.io/v1", spec={"strategy": {"dockerStrategy": {"from": {"kind": "ImageStreamTag", "name": "base:9"}}}}),
            thing("ImageStream", "base", api="image.openshift.io/v1"),
            "ImageStream/shop/base",
        ),
    ],
    ids=["source", "dependency", "values", "issuer", "credentials", "catalogue", "gateway", "base-image"],
)  # fmt: skip
def test_an_object_needs_what_its_fields_name(obj: Doc, other: Doc, named: str):
    assert needed(obj, other) == {named}


def test_a_namesake_of_another_api_is_not_meant():
    virtual = thing("VirtualService", "web", api="networking.istio.io/v1", spec={"gateways": ["public"]})
    other = thing("Gateway", "public", api="gateway.networking.k8s.io/v1")

    assert needed(virtual, other) == set()


def test_what_is_named_and_not_there_is_told():
    platforms, graph = built(
        thing("Certificate", "tls", api="cert-manager.io/v1", spec={"issuerRef": {"name": "ca"}})
    )

    ((_, kind, namespace, name),) = platforms.unmet(find(graph, "Certificate/shop/tls"))

    assert (kind, namespace, name) == ("Issuer", "shop", "ca")


@pytest.mark.parametrize(
    ("maker", "labels", "annotations"),
    [
        (thing("Application", "web", "argocd", api="argoproj.io/v1alpha1", status={"resources": [{"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "api"}]}), {}, {}),
        (thing("Application", "web", "argocd", api="argoproj.io/v1alpha1"), {}, {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/api"}),
        (thing("Kustomization", "web", "flux-system", api=FLUX, status={"inventory": {"entries": [{"id": "shop_api_apps_Deployment", "v": "v1"}]}}), {}, {}),
        (thing("HelmRelease", "web", "flux-system", api=HELM), {"app": "api", "helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "flux-system"}, {}),
    ],
    ids=["resources", "tracking-id", "inventory", "labels"],
)  # fmt: skip
def test_makers_are_found_by_their_lists_and_by_the_marks_they_leave(
    maker: Doc, labels: Doc, annotations: Doc
):
    made = deployment("api", labels=labels or None)
    made[0]["metadata"]["annotations"].update(annotations)
    platforms, graph = built(maker, made)

    assert [str(m) for m in platforms.makers(find(graph, "Deployment/shop/api"))] == [
        f"{maker['kind']}/{maker['metadata']['namespace']}/web"
    ]


def test_a_tracking_id_copied_from_another_object_makes_nobody_a_maker():
    copied = deployment("api")
    copied[0]["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = "web:apps/Deployment:shop/other"
    platforms, graph = built(thing("Application", "web", "argocd", api="argoproj.io/v1alpha1"), copied)

    assert platforms.makers(find(graph, "Deployment/shop/api")) == []


def test_a_workload_with_an_image_trigger_follows_its_stream():
    rolled = deployment("api")
    trigger = [{"from": {"kind": "ImageStreamTag", "name": "api:latest"}, "fieldPath": "x"}]
    rolled[0]["metadata"]["annotations"]["image.openshift.io/triggers"] = json.dumps(trigger)
    platforms, graph = built(rolled, thing("ImageStream", "api", api="image.openshift.io/v1"))

    assert [str(s) for s in platforms.streams(find(graph, "Deployment/shop/api"))] == ["ImageStream/shop/api"]


@pytest.mark.parametrize("raw", ["{", "null", 7, "x" * 70_000, '{"from": 1}'])
def test_a_trigger_that_cannot_be_read_names_nothing(raw: object):
    rolled = deployment("api")
    rolled[0]["metadata"]["annotations"]["image.openshift.io/triggers"] = raw
    platforms, graph = built(rolled)

    assert list(platforms.streams(find(graph, "Deployment/shop/api"))) == []


def test_paths_go_through_lists_and_any_field():
    body = {"a": [{"b": {"x": 1, "y": 2}}, {"b": {"z": 3}}, 4, None], "c": "d"}

    assert list(walk(body, "a[].b.*")) == [1, 2, 3]
    assert list(walk(body, "c.d")) == []
    assert list(walk(body, "c[]")) == []


@pytest.mark.parametrize(("installed", "expected"), [(None, "cert-manager"), ("pki", "pki")])
def test_what_lies_with_the_program_is_looked_for_where_it_was_installed(
    installed: str | None, expected: str
):
    issuer = thing(
        "ClusterIssuer", "corp", None, api="cert-manager.io/v1", spec={"ca": {"secretName": "root"}},
    )  # fmt: skip
    secrets = [thing("Secret", "root", place) for place in ("cert-manager", "pki")]
    program = (
        deployment("cm", installed, labels={"app.kubernetes.io/name": "cert-manager"}) if installed else []
    )

    assert needed(issuer, *secrets, program) == {f"Secret/{expected}/root"}


@pytest.mark.parametrize("field", ["dataSource", "dataSourceRef"])
def test_a_claim_is_filled_from_what_it_names(field: str):
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "tonight"}
    claim = thing("PersistentVolumeClaim", "copy", spec={field: source})
    snap = thing("VolumeSnapshot", "tonight", api="snapshot.storage.k8s.io/v1", spec={})
    graph = Graph(snapshot(claim, snap, thing("PersistentVolumeClaim", "plain", spec={})))
    platforms = Platforms(graph)

    found = [platforms.source_of(one) for one in graph.of_kind("PersistentVolumeClaim")]

    assert [str(one) if one else None for one in found] == ["VolumeSnapshot/shop/tonight", None]
