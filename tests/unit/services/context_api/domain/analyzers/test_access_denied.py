"""Forbidden requests: evaluated against the recorded roles, blamed on what must change."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import access_denied
from services.context_api.domain.analyzers.access_denied import Request, read
from tests.support.kube import ago, crashing, deployment, edit, log, moment, pods_in, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

LINE = 'E1118 reflector.go:150] configmaps is forbidden: User "system:serviceaccount:shop:runner" cannot list resource "configmaps" in API group "" in the namespace "shop"'


def workload(line: str = LINE):
    objects = deployment("api", statuses=[crashing()], spec={"serviceAccountName": "runner"})
    return objects, [log(pods_in(objects)[0], line)]


def role(*verbs: str, name: str = "reader", edits=()):
    return thing(
        "Role",
        name,
        api="rbac.authorization.k8s.io/v1",
        rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}],
        edits=edits,
    )


def binding(account: str = "runner", name: str = "reader", namespace: str = "shop"):
    return thing(
        "RoleBinding", "bind", api="rbac.authorization.k8s.io/v1", roleRef={"kind": "Role", "name": name},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    )  # fmt: skip


def test_the_refused_request_is_read():
    assert read(LINE) == Request("shop", "runner", "list", "configmaps", "", "shop")
    assert read(
        'User \\"system:serviceaccount:a:b\\" cannot get resource \\"nodes\\" in API group \\"\\" at the cluster scope'
    ) == Request("a", "b", "get", "nodes", "", None)
    assert read("permission denied") is None


@pytest.mark.parametrize(
    ("objects", "target", "reason"),
    [
        ([role("get", edits=[edit(22, "rules")]), binding()], "Role/shop/reader", "RoleLacksPermission"),
        ([binding(name="gone")], "RoleBinding/shop/bind", "BindingToMissingRole"),
        ([role("list"), binding(account="runer")], "RoleBinding/shop/bind", "BindingLacksSubject"),
        ([], "Deployment/shop/api", "NoRoleBound"),
    ],
)
def test_what_must_change_is_blamed(objects, target: str, reason: str):
    api, logs = workload()

    answer = causes(api, objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == (target, reason)
    assert "list configmaps in namespace shop" in answer.ranked[0].text


def test_a_refusal_that_the_recorded_roles_would_not_repeat_is_history():
    api, logs = workload()

    assert seen(access_denied, api, role("*"), binding(), logs=logs) == []


def test_a_group_binding_and_a_cluster_role_count():
    api, logs = workload()
    wide = thing(
        "ClusterRole",
        "all",
        None,
        api="rbac.authorization.k8s.io/v1",
        rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    )
    bound = thing(
        "ClusterRoleBinding",
        "all",
        None,
        api="rbac.authorization.k8s.io/v1",
        roleRef={"kind": "ClusterRole", "name": "all"},
        subjects=[{"kind": "Group", "name": "system:serviceaccounts:shop"}],
    )

    assert said(seen(access_denied, api, wide, bound, logs=logs)) == []


def test_a_role_that_grants_it_and_that_no_binding_names_is_what_a_deleted_binding_leaves():
    api, logs = workload()

    answer = causes(api, role("list"), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Role/shop/reader", "RoleNotBound")
    assert "no binding names that role" in answer.ranked[0].text
    fix = answer.ranked[0].remediation
    assert fix
    assert fix.command == (
        "kubectl -n shop create rolebinding reader --role=reader --serviceaccount=shop:runner"
    )


def test_a_cluster_role_that_waits_for_anybody_is_not_the_missing_one():
    api, logs = workload()
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    waiting = [
        thing("ClusterRole", name, None, api="rbac.authorization.k8s.io/v1", rules=rules)
        for name in ("some-operator-view", "runner-config")
    ]

    found = said(seen(access_denied, api, waiting[0], logs=logs))
    named = said(seen(access_denied, api, waiting, logs=logs))

    assert found == [("Deployment/shop/api", "NoRoleBound")]
    assert named == [("ClusterRole/_cluster/runner-config", "RoleNotBound")]


ACCOUNT = thing("ServiceAccount", "runner")


def test_a_binding_whose_subject_got_another_namespace_is_what_must_change():
    api, logs = workload()
    strayed = binding(name="kept-elsewhere", namespace="netops")
    strayed["roleRef"] = {"kind": "ClusterRole", "name": "system:left-out-of-recordings"}

    answer = causes(
        api, ACCOUNT, role("list", name="unused"), strayed, target="Deployment/shop/api", logs=logs
    )

    assert first(answer) == ("RoleBinding/shop/bind", "BindingLacksSubject")
    assert "names ServiceAccount netops/runner, which does not exist" in answer.ranked[0].text


def test_an_account_of_that_name_elsewhere_that_exists_has_its_own_binding():
    api, logs = workload()
    elsewhere = thing("ServiceAccount", "runner", "netops")
    others = binding(name="left-out", namespace="netops")

    answer = causes(api, ACCOUNT, elsewhere, others, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "NoRoleBound")


GOES_ON = "\n".join(f"{ago(40 - n)} INFO served {n}" for n in range(40))


def runs_on(*minutes: float):
    """A program that is ready, was refused so many minutes ago, and serves."""
    objects = deployment("api", spec={"serviceAccountName": "runner"})
    text = "\n".join(f"{ago(m)} {LINE}" for m in minutes)
    return objects, [log(pods_in(objects)[0], f"{text}\n{GOES_ON}")]


@pytest.mark.parametrize("minutes", [(600,), (300, 299)], ids=["only at its start", "hours ago"])
def test_what_a_ready_program_asked_for_and_does_without_is_no_fault(minutes: tuple[float, ...]):
    api, logs = runs_on(*minutes)

    assert causes(
        api, role("get"), binding(), target="Deployment/shop/api", onset=moment(10), logs=logs
    ).no_cause


def test_what_it_was_refused_long_before_the_alert_and_is_still_counts_only_where_it_fails():
    refused = (599, *range(170, 2, -10))
    api, logs = runs_on(*refused)
    full = [log(pods_in(api)[0], "\n".join(f"{ago(m)} ERROR {LINE}" for m in refused if m > 15) + "\n" + "\n".join(f"{ago(m)} ERROR {LINE}" for m in (9, 7, 5, 3)))]  # fmt: skip

    def asked(logs):
        return causes(api, role("get"), binding(), target="Deployment/shop/api", onset=moment(10), logs=logs)

    assert asked(logs).no_cause
    assert asked(full).ranked[0].reason == "RoleLacksPermission"


def test_what_it_is_refused_since_an_hour_or_two_before_the_alert_may_be_why():
    api, logs = runs_on(*range(170, 2, -10))

    answer = causes(api, role("get"), binding(), target="Deployment/shop/api", onset=moment(10), logs=logs)

    assert first(answer) == ("Role/shop/reader", "RoleLacksPermission")


def test_what_it_is_refused_since_the_alert_is_a_fault_though_its_pods_are_ready():
    api, logs = runs_on(12, 8, 4)

    answer = causes(api, role("get"), binding(), target="Deployment/shop/api", onset=moment(10), logs=logs)

    assert first(answer) == ("Role/shop/reader", "RoleLacksPermission")
