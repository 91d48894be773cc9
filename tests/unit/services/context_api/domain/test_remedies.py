"""Commands a person can paste."""

from __future__ import annotations

import shlex

import pytest

from services.context_api.domain import remedies
from tests.support.kube import config_map, deployment, kube, node, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-SEC-006")

API = kube(deployment("api")[0])


def test_commands_name_kind_namespace_and_object():
    assert remedies.kubectl(API, "edit", remedies.resource(API)) == "kubectl -n shop edit deployment/api"
    assert remedies.kubectl(kube(node()), "uncordon", "node-1") == "kubectl uncordon node-1"
    assert (
        remedies.resource(kube(thing("Cluster", "db", api="postgresql.cnpg.io/v1")))
        == "cluster.postgresql.cnpg.io/db"
    )


@pytest.mark.parametrize("evil", ["x; rm -rf /", "$(touch /tmp/x)", "a b", "`id`", "x'y"])
def test_words_from_a_recording_stay_one_word_in_a_shell(evil: str):
    fix = remedies.set_image(API, "app", evil, evil)

    assert shlex.split(fix.command or "")[-1] == f"app={evil}"
    assert shlex.split(fix.undo or "")[-1] == f"app={evil}"


@pytest.mark.parametrize(
    "fix",
    [
        remedies.undo_rollout(API),
        remedies.set_memory(API, "app", "256Mi", "128Mi"),
        remedies.set_image(API, "app", "a:1", "a:2"),
        remedies.scale(API, 1),
        remedies.edit(kube(config_map("c")), "Put it back."),
    ],
)
def test_whatever_changes_something_states_its_risk_and_how_to_undo_it(fix):
    assert fix.command
    assert fix.risk
    assert fix.undo


def test_looking_changes_nothing():
    assert "only reads" in remedies.look(API, "Look.").risk
    assert "--previous" in (remedies.read_log(API, "app", "Read.").command or "")


def test_an_edit_can_restart_what_reads_it_at_its_start():
    assert (remedies.edit(kube(config_map("c")), "x", restart=API).command or "").endswith(
        "&& kubectl -n shop rollout restart deployment/api"
    )


def test_a_cluster_role_is_bound_where_the_request_was_made():
    role = kube(thing("ClusterRole", "reader", None, api="rbac.authorization.k8s.io/v1"))

    inside, everywhere = (remedies.bind(role, "shop", "runner", place) for place in ("shop", None))

    assert (
        inside.command
        == "kubectl -n shop create rolebinding reader --clusterrole=reader --serviceaccount=shop:runner"
    )
    assert everywhere.undo == "kubectl delete clusterrolebinding reader"
