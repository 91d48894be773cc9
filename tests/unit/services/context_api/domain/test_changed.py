"""What was changed last about an object."""

from __future__ import annotations

import pytest

from libs.contracts.evidence import EvidenceKind
from services.context_api.domain.changed import changes
from services.context_api.domain.evidence import Fact
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    applied,
    config_map,
    container,
    deployment,
    edit,
    kube,
    moment,
    pods_in,
    snapshot,
    thing,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def of(kind: str, name: str, *objects) -> list[Fact]:
    scene = Scene(snapshot(*objects))
    found = scene.graph.get(kind, "shop", name)
    assert found is not None
    return list(changes(scene, found))


def test_a_rollout_is_told_once_with_what_it_changed():
    (fact,) = of(
        "Deployment",
        "api",
        deployment(
            "api", before=[container(image="a:1")], containers=[container(image="a:2")], rolled_out=30,
            edits=[edit(30, "spec/template/spec/x", by="argocd")],
        ),
    )  # fmt: skip

    assert (fact.kind, fact.at) == (EvidenceKind.change, moment(30))
    assert fact.summary == "rollout of Deployment shop/api: spec.containers[app].image: `a:1` → `a:2`"
    assert fact.body["by"] == "argocd"


def test_a_scaling_after_a_rollout_is_another_change():
    told = of(
        "Deployment",
        "api",
        deployment(
            "api", before=[container(image="a:1")], containers=[container(image="a:2")], rolled_out=90,
            edits=[edit(20, "spec.replicas", by="kubectl-scale")],
        ),
    )  # fmt: skip

    assert [fact.at for fact in told] == [moment(90), moment(20)]
    assert told[1].summary == "Deployment shop/api edited by kubectl-scale: spec.replicas changed"


def test_an_edit_of_a_config_map_tells_before_and_after():
    settings = config_map(
        "settings", data={"port": "6432"}, edits=[edit(12, "data.port")],
        annotations=applied({"data": {"port": "5432"}}),
    )  # fmt: skip

    (fact,) = of("ConfigMap", "settings", settings)

    assert fact.summary == "ConfigMap shop/settings edited by kubectl-edit: port: `5432` → `6432`"
    assert fact.at == moment(12)


def test_of_a_manager_that_applied_the_whole_object_no_change_is_claimed():
    whole = thing(
        "NetworkPolicy", "baseline", edits=[edit(12, *(f"spec.field{n}" for n in range(20)), by="helm")]
    )

    assert of("NetworkPolicy", "baseline", whole) == []


def test_what_nobody_touched_and_what_controllers_make_tells_no_change():
    api = deployment("api")
    name = pods_in(api)[0]["metadata"]["name"]

    assert of("Deployment", "api", api) == []
    assert of("Pod", name, api) == []


def test_a_secrets_values_are_not_told():
    secret = thing("Secret", "keys", edits=[edit(5, "data.password")], data={"password": "aHVudGVyMg=="})

    (fact,) = of("Secret", "keys", secret)

    assert "aHVudGVyMg" not in f"{fact.summary} {fact.body}"
    assert "data.password changed" in fact.summary
    assert kube(secret).name == "keys"
