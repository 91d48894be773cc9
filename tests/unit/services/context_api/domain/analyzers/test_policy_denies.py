"""Admission policies that were changed and refuse what they let pass before."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import policy_denies
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, ago, applied, container, deployment, edit, event, snapshot, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

KYVERNO = (
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Deployment/shop/api was blocked due to the'
    " following policies \n\nimages-of-ours:\n  autogen-images: 'validation error: ours only. rule autogen-images failed at path /spec/'\n"
)
GATEKEEPER = 'admission webhook "validation.gatekeeper.sh" denied the request: [ours-only] container <app> comes from elsewhere'
NATIVE = "pods \"api-7c\" is forbidden: ValidatingAdmissionPolicy 'ours' with binding 'ours-here' denied request: from elsewhere"


def rule(image: str) -> Doc:
    return {
        "rules": [{"name": "images", "validate": {"pattern": {"spec": {"containers": [{"image": image}]}}}}]
    }


def kyverno(minutes: float = 90, name: str = "images-of-ours") -> Doc:
    return thing(
        "ClusterPolicy", name, None, api="kyverno.io/v1", spec=rule("b.example/*"), age=60 * 24 * 30,
        edits=[edit(minutes, "spec/rules")], annotations=applied({"spec": rule("a.example/*")}),
    )  # fmt: skip


def application() -> Doc:
    result = {
        "kind": "Deployment",
        "namespace": "shop",
        "name": "api",
        "status": "SyncFailed",
        "message": KYVERNO,
    }
    operation = {
        "phase": "Failed",
        "message": "one or more objects failed to apply",
        "finishedAt": ago(9),
        "syncResult": {"resources": [result]},
    }
    return thing(
        "Application",
        "api",
        "argocd",
        api="argoproj.io/v1alpha1",
        spec={},
        status={"operationState": operation},
    )


def refused(message: str, rolled_out: float = 20) -> list[Doc]:
    """A Deployment whose newest ReplicaSet gets no pods; the one before runs."""
    objects = deployment("api", before=[container(image="api:1")], old_pods=2, rolled_out=rolled_out, pods=0)
    newest = next(
        o for o in objects if o["kind"] == "ReplicaSet" and o["metadata"]["name"].endswith("7c9d5b6f8")
    )
    newest["spec"]["replicas"] = 1
    return [*objects, event(newest, "FailedCreate", f"Error creating: {message}")]


def test_a_policy_edited_since_what_runs_was_written_is_why_a_sync_is_denied():
    answer = causes(application(), deployment("api"), kyverno(), target="Application/argocd/api")

    assert first(answer) == ("ClusterPolicy/_cluster/images-of-ours", "PolicyDenies")
    for words in ("refuses Deployment shop/api", "kubectl-edit", "`a.example/*` → `b.example/*`", "blocked"):
        assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    ("message", "policy", "named"),
    [
        (GATEKEEPER, thing("OursOnly", "ours-only", None, api="constraints.gatekeeper.sh/v1beta1", age=9000, edits=[edit(60, "spec/parameters")]), "OursOnly/_cluster/ours-only"),
        (NATIVE, thing("ValidatingAdmissionPolicy", "ours", None, api="admissionregistration.k8s.io/v1", age=9000, edits=[edit(60, "spec/validations")]), "ValidatingAdmissionPolicy/_cluster/ours"),
        (NATIVE, thing("ValidatingAdmissionPolicyBinding", "ours-here", None, api="admissionregistration.k8s.io/v1", age=60), "ValidatingAdmissionPolicyBinding/_cluster/ours-here"),
    ],
    ids=["Gatekeeper", "native", "its binding"],
)  # fmt: skip
def test_whichever_policy_refuses_pods_is_named(message: str, policy: Doc, named: str):
    answer = causes(refused(message), policy, target="Deployment/shop/api")

    assert first(answer) == (named, "PolicyDenies")


@pytest.mark.parametrize(
    "objects",
    [
        [application(), deployment("api"), kyverno(minutes=60 * 24 * 9)],
        [application(), deployment("api"), kyverno(name="images-of-theirs")],
        [application(), kyverno()],
        [refused("pods are forbidden: quota"), kyverno()],
        [deployment("api"), kyverno()],
    ],
    ids=["what runs passed it", "another policy was edited", "nothing of it runs", "something else refuses", "nothing is refused"],
)  # fmt: skip
def test_a_policy_that_did_not_change_since_is_no_cause(objects: list[object]):
    assert said(seen(policy_denies, *objects)) == []


def test_several_policies_of_one_denial_are_all_read():
    message = "blocked due to the following policies \n\none:\n  rule-a: no\nshop/two:\n  rule-b: no\n"
    policies = [
        thing("ClusterPolicy", "one", None, api="kyverno.io/v1"),
        thing("Policy", "two", api="kyverno.io/v1"),
        thing("Policy", "two", "elsewhere", api="kyverno.io/v1"),
    ]

    found = policy_denies.policies_in(Scene(snapshot(policies)), message)

    assert [str(p) for p in found] == ["ClusterPolicy/_cluster/one", "Policy/shop/two"]
