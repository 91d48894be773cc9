"""What was changed just before: rollouts and edits that the failing pods really use, and coincidences."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import recent_edit
from tests.support.kube import (
    ago,
    applied,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    ended,
    event,
    log,
    pods_in,
    running,
    service,
    stateful_set,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

MOUNTED = {"volumes": [{"name": "conf", "configMap": {"name": "db-conf"}}]}
USES = container("db", volumeMounts=[{"name": "conf", "mountPath": "/etc/db"}])


def edited_config(minutes: float = 22, data: dict[str, str] | None = None):
    before = {"db.conf": "max_connections = 100\nport = 5432\n"}
    return config_map(
        "db-conf", "shop-data", edits=[edit(60 * 24, "data/db.conf", by="helm"), edit(minutes, "data/db.conf")],
        annotations=applied({"data": before}), data=data or {"db.conf": "max_connections = 100O\nport = 5432\n"},
    )  # fmt: skip


def crashing_db(**more):
    return stateful_set("db", containers=[USES], statuses=[crashing("db")], spec=MOUNTED, **more)


def test_an_edited_configmap_is_the_cause_with_editor_time_before_and_after():
    objects = crashing_db()
    logs = [
        log(
            pods_in(objects)[0],
            'FATAL: invalid value for parameter "max_connections": "100O"',
            container="db",
        )
    ]

    answer = causes(objects, edited_config(), target="StatefulSet/shop-data/db", logs=logs)

    assert first(answer) == ("ConfigMap/shop-data/db-conf", "ConfigChangedBeforeOnset")
    for words in (
        "kubectl-edit",
        "09:08:00",
        "`max_connections = 100` → `max_connections = 100O`",
        "volume conf at /etc/db",
    ):
        assert words in answer.ranked[0].text
    assert "StatefulSet/shop-data/db: CrashLoopBackOff" in answer.ranked[0].explains


def test_a_last_applied_text_that_equals_the_current_one_does_not_tell_what_was_before():
    same = edited_config(data={"db.conf": "max_connections = 100\nport = 5432\n"})

    answer = causes(crashing_db(), same, target="StatefulSet/shop-data/db")

    assert "the value before is not recorded" in answer.ranked[0].against
    assert "before and after are recorded" not in answer.ranked[0].confidence.basis


def test_an_older_version_in_the_recording_shows_what_changed():
    old, new = (
        config_map("db-conf", "shop-data", size="10"),
        config_map("db-conf", "shop-data", edits=[edit(22, "data/size")], size="ten"),
    )
    new["metadata"]["resourceVersion"] = "2000"
    uses = container("db", envFrom=[{"configMapRef": {"name": "db-conf"}}])

    answer = causes(
        stateful_set("db", containers=[uses], statuses=[crashing("db")]),
        new,
        old,
        target="StatefulSet/shop-data/db",
    )

    assert first(answer) == ("ConfigMap/shop-data/db-conf", "ConfigChangedBeforeOnset")
    assert "`10` → `ten`" in answer.ranked[0].text


def test_an_edited_configmap_that_nothing_failing_uses_is_not_mentioned():
    other = edited_config()
    other["metadata"]["name"] = "other-conf"

    assert seen(recent_edit, crashing_db(), other) == []


def test_an_edit_while_everything_is_healthy_is_no_cause():
    assert causes(stateful_set("db", containers=[USES], spec=MOUNTED), edited_config(5)).no_cause


@pytest.mark.parametrize("minutes", [60 * 5, 3], ids=["hours before", "after the failure began"])
def test_an_edit_at_another_time_is_no_cause(minutes: float):
    assert seen(recent_edit, crashing_db(), edited_config(minutes)) == []


def test_an_edit_of_a_key_the_pods_do_not_use_is_no_cause():
    uses = container(
        "db", env=[{"name": "PORT", "valueFrom": {"configMapKeyRef": {"name": "db-conf", "key": "port"}}}]
    )
    config = config_map("db-conf", "shop-data", edits=[edit(22, "data/banner")], port="1", banner="hello")

    assert seen(recent_edit, stateful_set("db", containers=[uses], statuses=[crashing("db")]), config) == []


def test_a_rotated_secret_explains_refused_credentials_and_shows_no_value():
    secret = thing(
        "Secret", "db-creds", edits=[edit(22, "data/password")], type="Opaque", dataSummary={"password": 16}
    )
    uses = container(
        env=[{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "password"}}}]
    )
    objects = deployment("api", containers=[uses], statuses=[crashing()])
    logs = [log(pods_in(objects)[0], 'FATAL: password authentication failed for user "api"')]

    answer = causes(objects, secret, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Secret/shop/db-creds", "SecretChangedBeforeOnset")
    assert "password authentication failed" in answer.ranked[0].text


def test_a_configmap_edit_does_not_explain_a_kill_for_memory_unless_it_bears_on_memory():
    oom = [{**running("db", restarts=3, last=ended(137, "OOMKilled", minutes=2)), "ready": False}]
    objects = stateful_set("db", containers=[USES], statuses=oom, spec=MOUNTED)
    killed = event(pods_in(objects)[0], "BackOff", "Back-off restarting failed container", first=15)
    harmless, costly = (
        edited_config(data={"db.conf": "max_connections = 100\nport = 5432\n", **more})
        for more in ({"banner": "hello"}, {"cache": "64GB"})
    )

    assert said(seen(recent_edit, objects, killed, harmless)) == []
    assert said(seen(recent_edit, objects, killed, costly)) == [
        ("ConfigMap/shop-data/db-conf", "ConfigChangedBeforeOnset")
    ]


def test_the_log_decides_between_an_edit_and_a_rollout_at_the_same_time():
    all_of_it = [{"configMapRef": {"name": "api-conf"}}]
    objects = deployment(
        "api",
        before=[container(image="api:1", envFrom=all_of_it)],
        containers=[container(image="api:2", envFrom=all_of_it)],
        rolled_out=22,
        statuses=[crashing()],
    )
    config = config_map("api-conf", edits=[edit(22, "data/WORKER_MODE")], WORKER_MODE="turbo")
    logs = [log(pods_in(objects)[0], "ERROR: unknown WORKER_MODE 'turbo'")]

    assert (
        first(causes(objects, config, target="Deployment/shop/api", logs=logs))[0]
        == "ConfigMap/shop/api-conf"
    )


def settings(after: str = "mode: direct\n", minutes: float = 20):
    return config_map(
        "modes", data={"a.yaml": after}, edits=[edit(minutes, "data/a.yaml")], annotations=applied({"data": {"a.yaml": "mode: snapshot\n"}})
    )  # fmt: skip


def reader(live: bool = True):
    """A workload that runs since long and reads its settings from a mounted file, or once from its environment."""
    if live:
        used = container(volumeMounts=[{"name": "c", "mountPath": "/etc/a"}])
        return deployment(
            "api", containers=[used], spec={"volumes": [{"name": "c", "configMap": {"name": "modes"}}]}
        )
    return deployment("api", containers=[container(envFrom=[{"configMapRef": {"name": "modes"}}])])


SLOW = "\n".join(f"{ago(18 - i)} ERROR lookup failed: deadline exceeded" for i in range(17))


def test_an_edit_that_is_read_without_a_restart_is_the_cause_behind_a_client_that_complains():
    web, api = deployment("web"), reader()
    complaint = "\n".join(
        f"{ago(17 - i)} ERROR POST http://api/score: no answer within 900 ms" for i in range(16)
    )
    reloaded = f'{ago(19)} INFO settings read again changed="mode: snapshot -> direct"\n'
    logs = [log(pods_in(web)[0], complaint), log(pods_in(api)[0], reloaded + SLOW)]

    answer = causes(web, api, service("api", ready=2), settings(), target="Deployment/shop/web", logs=logs)

    assert first(answer) == ("ConfigMap/shop/modes", "ConfigChangedBeforeOnset")
    assert "`mode: snapshot` → `mode: direct`" in answer.ranked[0].text
    assert any(
        "without a restart" in basis and "read again" in basis for basis in answer.ranked[0].confidence.basis
    )
    assert answer.ranked[0].confidence.value > 0.7


@pytest.mark.parametrize(
    ("live", "minutes"),
    [(False, 20), (True, 5)],
    ids=["read at its start alone", "edited after the complaints began"],
)
def test_an_edit_that_nobody_has_read_or_that_came_later_is_no_cause(live: bool, minutes: float):
    api = reader(live)

    answer = causes(
        api, settings(minutes=minutes), target="Deployment/shop/api", logs=[log(pods_in(api)[0], SLOW)]
    )

    assert first(answer) == ("Deployment/shop/api", "ErrorsInLog")


REFUSED = 'FATAL: password authentication failed for user "api"'


def with_password(*, old_pods: int = 2, edited: float = 60 * 24 * 3, rolled_out: float = 20, old_status=None):
    """A rollout whose new pods are refused; the Secret in their environment was edited days before."""
    variable = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "password"}}}
    objects = deployment(
        "api", containers=[container(image="api:2", env=[variable])], before=[container(image="api:1", env=[variable])],
        age=60 * 24 * 9, rolled_out=rolled_out, old_pods=old_pods, statuses=[crashing()], pods=1, pod_age=None,
    )  # fmt: skip
    for one in pods_in(objects):
        old = "5d4f8c7b9" in one["metadata"]["name"]
        one["metadata"]["creationTimestamp"] = ago(60 * 24 * 9 if old else rolled_out)
        if old:
            one["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": ago(60 * 24 * 9)}}
    secret = thing(
        "Secret", "creds", age=60 * 24 * 30, edits=[edit(edited, "data/password", by="kubectl-patch")]
    )
    newest = next(p for p in pods_in(objects) if "7c9d5b6f8" in p["metadata"]["name"])
    return objects, secret, [log(newest, REFUSED)]


def test_an_edit_of_days_ago_does_its_harm_with_the_first_pods_that_read_it():
    objects, secret, logs = with_password()

    answer = causes(objects, secret, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Secret/shop/creds", "SecretChangedBeforeOnset")
    assert "password authentication failed" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("old_pods", "edited"),
    [(0, 60 * 24 * 3), (2, 60 * 24 * 12)],
    ids=["nobody runs on the old text", "the pods that run well have read it too"],
)
def test_an_old_edit_is_no_cause_without_pods_that_run_on_the_text_before(old_pods: int, edited: float):
    objects, secret, logs = with_password(old_pods=old_pods, edited=edited)

    found = seen(recent_edit, objects, secret, logs=logs)

    assert said(found) == []


def rendered(owner_edited: float):
    """A ConfigMap that an operator writes from a custom resource, and the workload that reads it."""
    spec = {"config": {"buffer": "25"}}
    owner = thing(
        "Search", "titles", api="example.org/v1", spec=spec, age=60 * 24 * 9, edits=[edit(owner_edited, "spec/config/buffer")],
        annotations=applied({"spec": {"config": {"buffer": "15"}}}),
    )  # fmt: skip
    config = config_map(
        "titles-conf", edits=[edit(20, "data/a.yaml", by="search-operator")], data={"a.yaml": "buffer: 25\n"}
    )
    config["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "example.org/v1",
            "kind": "Search",
            "name": "titles",
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
    ]
    uses = container(envFrom=[{"configMapRef": {"name": "titles-conf"}}])
    return [owner, config, deployment("api", containers=[uses], statuses=[crashing()])]


def test_what_an_operator_renders_leads_to_the_object_a_person_edited():
    answer = causes(rendered(20.2), target="Deployment/shop/api")

    assert first(answer) == ("Search/shop/titles", "SettingsChangedBeforeOnset")
    assert "`15` → `25`" in answer.ranked[0].text
    assert "written at" in answer.ranked[0].text
    assert "search-operator" in answer.ranked[0].text


def test_what_an_operator_writes_without_having_been_told_so_is_its_own_edit():
    assert first(causes(rendered(600), target="Deployment/shop/api"))[0] == "ConfigMap/shop/titles-conf"


@pytest.mark.parametrize(("placed", "told"), [(None, False), ("node-1", True)], ids=["no node", "on a node"])
def test_what_no_node_was_found_for_has_read_no_settings(placed: str | None, told: bool):
    uses = container("app", env=[{"name": "RUNS", "valueFrom": {"configMapKeyRef": {"name": "runs", "key": "runs"}}}])  # fmt: skip
    config = config_map("runs", edits=[edit(22, "data/runs")], data={"runs": "epochs: 60"})
    state = [crashing()] if placed else []
    objects = deployment("trainer", containers=[uses], statuses=state, node=placed, unready_since=20)

    found = seen(recent_edit, objects, config)

    assert bool(found) is told
