"""Whole answers: whose fault, by which path, how sure; and the three ways of naming no cause."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.context_api.domain import triage
from services.context_api.domain.analyzers import SYMPTOMS
from services.context_api.domain.snapshot import NotRead
from services.context_api.domain.triage import find_causes, find_findings
from tests.support.kube import (
    Doc,
    applied,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    ended,
    env,
    event,
    log,
    moment,
    node,
    pod,
    pods_in,
    running,
    service,
    snapshot,
    stateful_set,
    thing,
    waiting,
)
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-CAPI-009")


def a_database_and_its_client() -> tuple[list[Doc], list]:
    """A ConfigMap edit breaks a database's start; its client in another namespace crashes."""
    mounted = {"volumes": [{"name": "conf", "configMap": {"name": "db-conf"}}]}
    uses = container("db", volumeMounts=[{"name": "conf", "mountPath": "/etc/db"}])
    db = stateful_set("db", containers=[uses], statuses=[crashing("db")], spec=mounted)
    config = config_map(
        "db-conf",
        "shop-data",
        edits=[edit(22, "data/db.conf")],
        annotations=applied({"data": {"db.conf": "port = 5432"}}),
        data={"db.conf": "port = 54E2"},
    )
    api = deployment(
        "api",
        containers=[container(env=env(DB_URL="postgres://db.shop-data:5432/orders"))],
        statuses=[crashing()],
    )
    logs = [
        log(pods_in(db)[0], 'FATAL: invalid value for "port": "54E2"', container="db"),
        log(pods_in(api)[0], "dial tcp: connect to db.shop-data:5432: connection refused"),
    ]
    return [
        *db,
        config,
        *api,
        *service("db", "shop-data", port=5432, not_ready=1),
        *service("api", not_ready=2),
    ], logs


def test_the_edited_configmap_is_blamed_rather_than_the_database_or_its_client():
    objects, logs = a_database_and_its_client()

    answer = causes(objects, target=f"Pod/shop/{pods_in(objects)[-1]['metadata']['name']}", logs=logs)

    best = answer.ranked[0]
    assert first(answer) == ("ConfigMap/shop-data/db-conf", "ConfigChangedBeforeOnset")
    assert best.path == [
        "ConfigMap/shop-data/db-conf", "StatefulSet/shop-data/db", "Service/shop-data/db", "Deployment/shop/api", f"Pod/shop/{pods_in(objects)[-1]['metadata']['name']}",
    ]  # fmt: skip
    assert {"StatefulSet/shop-data/db: CrashLoopBackOff", "Deployment/shop/api: CrashLoopBackOff"} <= set(
        best.explains
    )
    assert best.confidence.value >= 0.8
    assert [str(c.target) for c in answer.ranked[:2]] == [
        "ConfigMap/shop-data/db-conf",
        "StatefulSet/shop-data/db",
    ]


def test_every_cited_piece_of_evidence_is_in_the_answer_and_hashes_its_body():
    objects, logs = a_database_and_its_client()

    answer = causes(objects, target="Deployment/shop/api", logs=logs)

    held = {item.id for item in answer.evidence}
    assert all(set(cause.evidence_ids) <= held for cause in answer.ranked)
    assert all(set(finding.evidence_ids) <= held for finding in answer.findings)
    assert all(cause.evidence_ids for cause in answer.ranked)
    assert len(held) == len(answer.evidence)


def test_evidence_keeps_its_id_when_only_counters_and_the_time_of_recording_moved():
    before, after = (
        causes(deployment("api", statuses=[crashing(restarts=n)]), target="Deployment/shop/api")
        for n in (7, 8)
    )

    assert {e.id for e in before.evidence} == {e.id for e in after.evidence}


def test_without_a_target_the_same_cause_comes_first():
    objects, logs = a_database_and_its_client()

    assert first(causes(objects, logs=logs)) == ("ConfigMap/shop-data/db-conf", "ConfigChangedBeforeOnset")


def test_an_unrelated_fault_never_outranks_the_alerts_own():
    own = deployment(
        "api",
        containers=[container(resources={"limits": {"memory": "64Mi"}})],
        statuses=[crashing(code=137, reason="OOMKilled")],
    )
    louder, logs = a_database_and_its_client()
    others = [o for o in louder if o["metadata"].get("namespace") == "shop-data"]

    answer = causes(own, others, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "OOMKilled")


def test_a_dependency_that_fails_is_no_cause_when_the_log_speaks_of_something_else():
    api = deployment(
        "api", containers=[container(env=env(CACHE="redis://cache:6379"))], statuses=[crashing()]
    )
    cache = deployment(
        "cache",
        containers=[container(resources={"limits": {"memory": "64Mi"}})],
        statuses=[crashing(code=137, reason="OOMKilled")],
    )
    logs = [log(pods_in(api)[0], "panic: nil pointer dereference in OrderTotals")]

    answer = causes(
        api, cache, service("cache", port=6379, not_ready=2), target="Deployment/shop/api", logs=logs
    )

    assert first(answer) == ("Deployment/shop/api", "CrashLoopBackOff")


def test_a_service_alert_leads_through_a_healthy_looking_client_to_the_broken_dependency():
    web = deployment("web", containers=[container(env=env(API_URL="http://api:80"))])
    api = deployment(
        "api",
        containers=[container("app", image="api:9")],
        statuses=[waiting(reason="ImagePullBackOff", message="manifest unknown")],
    )
    logs = [log(pods_in(web)[0], "GET /orders upstream api:80 failed: 503 service unavailable")]

    answer = causes(
        web, api, service("web", ready=2), service("api", not_ready=2), target="Service/shop/web", logs=logs
    )

    assert first(answer) == ("Deployment/shop/api", "ImageNotFound")
    assert answer.ranked[0].path[-1] == "Service/shop/web"


def test_two_services_that_wait_for_each_other_do_not_hide_the_fault_behind_them():
    one = deployment(
        "one",
        containers=[container(env=env(PEER="http://two:80", DB="tcp://db:5432"))],
        statuses=[crashing()],
    )
    two = deployment("two", containers=[container(env=env(PEER="http://one:80"))], statuses=[crashing()])
    db = stateful_set("db", "shop", statuses=[crashing("db", 137, reason="OOMKilled")])
    logs = [
        log(pods_in(one)[0], "connect to db:5432 failed: connection refused"),
        log(pods_in(two)[0], "connect to one:80 failed: connection refused"),
    ]
    services = [
        service("one", not_ready=2),
        service("two", not_ready=2),
        service("db", not_ready=1, port=5432),
    ]

    assert first(causes(one, two, db, services, target="Deployment/shop/two", logs=logs)) == (
        "StatefulSet/shop/db",
        "OOMKilled",
    )


def test_a_custom_resource_is_named_rather_than_what_it_owns():
    owner = thing("Cluster", "db", "shop-data", api="postgresql.cnpg.io/v1", spec={"instances": 1})

    answer = causes(
        owner,
        stateful_set("db", owner=owner, statuses=[crashing("db", 137, reason="OOMKilled")]),
        target="Pod/shop-data/db-0",
    )

    assert first(answer) == ("Cluster/shop-data/db", "OOMKilled")


# -- no cause ----------------------------------------------------------------------------------------


def a_healthy_cluster() -> list[Doc]:
    """Everything that looks wrong at first sight and is not."""
    scarred = [running(restarts=4, last=ended(1, minutes=60 * 50))]
    job = thing(
        "Job",
        "migrate",
        api="batch/v1",
        spec={},
        status={"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]},
    )
    done = {
        "name": "app",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended(0, "Completed", minutes=50)},
    }
    claim = thing(
        "PersistentVolumeClaim", "scratch", spec={"storageClassName": "local"}, status={"phase": "Pending"}
    )
    local = thing(
        "StorageClass", "local", None, api="storage.k8s.io/v1", volumeBindingMode="WaitForFirstConsumer"
    )
    leaving = pod("old-0", statuses=[crashing()], deletionTimestamp="2026-11-18T09:29:40Z")
    return [
        *deployment("api", statuses=scarred, edits=[edit(5, "spec/template/spec/containers")]),
        *service("api", ready=2),
        *deployment("batch", replicas=0),
        *service("batch"),
        job,
        pod("migrate-x", owner=job, phase="Succeeded", statuses=[done], spec={"restartPolicy": "Never"}),
        claim,
        local,
        leaving,
        config_map("api-conf", edits=[edit(5, "data/mode")], mode="new"),
        node(),
        node("node-2", unschedulable=True),
        *deployment("fresh", age=0.5, rolled_out=0.5, statuses=[running(ready=False, minutes=0.3)], unready_since=0.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [None, "Deployment/shop/api", "Service/shop/api", "Deployment/shop/fresh", "Node/_cluster/node-1"],
)
def test_a_healthy_cluster_has_no_cause(target):
    answer = causes(a_healthy_cluster(), target=target)

    assert answer.ranked == []
    assert answer.no_cause
    assert answer.no_cause_reason is NoCause.nothing_wrong


def test_a_workload_that_is_well_again_is_said_to_have_recovered():
    status = running(minutes=25, restarts=2, last=ended(1, minutes=26))

    answer = causes(deployment("api", statuses=[status]), target="Deployment/shop/api", onset=moment(28))

    assert answer.no_cause_reason is NoCause.recovered


def test_warnings_that_have_stopped_mean_recovered():
    objects = deployment("api")
    told = event(
        pods_in(objects)[0],
        "Unhealthy",
        "Readiness probe failed: connection refused",
        first=40,
        last=35,
        field="spec.containers{app}",
    )

    assert (
        causes(objects, told, target="Deployment/shop/api", onset=moment(40)).no_cause_reason
        is NoCause.recovered
    )


@pytest.mark.parametrize(
    ("objects", "target"),
    [([], None), ([], "Deployment/shop/api"), (deployment("web"), "Deployment/shop/api"), (deployment("api")[:1], "Deployment/shop/api")],
    ids=["nothing recorded", "nothing recorded, target", "the target is not there", "its pods are not there"],
)  # fmt: skip
def test_missing_evidence_is_said_and_named(objects, target):
    answer = causes(objects, target=target)

    assert answer.no_cause_reason is NoCause.insufficient
    assert answer.not_looked_at


def test_what_could_not_be_read_is_passed_on():
    answer = find_causes(snapshot(a_healthy_cluster(), not_read=[NotRead("pods.yaml", "cut in half")]))

    assert "pods.yaml: cut in half" in answer.not_looked_at


def test_an_analyzer_that_fails_is_named_and_costs_no_other_its_findings(monkeypatch):
    def clumsy(_scene):
        raise KeyError("unforeseen")

    told: list[str] = []
    monkeypatch.setattr(triage, "SYMPTOMS", (clumsy, *SYMPTOMS))
    objects, logs = a_database_and_its_client()

    answer = find_causes(snapshot(objects, logs=logs), broken=lambda name, _: told.append(name))

    assert answer.ranked
    assert [gap for gap in answer.not_looked_at if "it failed (KeyError)" in gap]
    assert len(told) == 1


def test_the_answer_does_not_depend_on_the_wall_clock():
    objects, logs = a_database_and_its_client()
    frozen = snapshot(objects, logs=logs)

    one, two = (find_causes(frozen, target=Target.parse("Deployment/shop/api")) for _ in range(2))

    assert one == two
    assert one.snapshot_at == frozen.captured_at


# -- findings, secrets -------------------------------------------------------------------------------


def test_findings_of_a_target_are_those_of_what_it_needs():
    objects, logs = a_database_and_its_client()
    apart = deployment("other", "elsewhere", statuses=[crashing()])

    answer = find_findings(snapshot(objects, apart, logs=logs), target=Target.parse("Deployment/shop/api"))

    about = {str(f.target) for f in answer.findings}
    assert {"Deployment/shop/api", "StatefulSet/shop-data/db", "ConfigMap/shop-data/db-conf"} <= about
    assert "Deployment/elsewhere/other" not in about


def test_no_secret_reaches_the_answer():
    secret = "s3cr3t-Pa55word"
    api = deployment(
        "api", containers=[container(env=env(DB_PASSWORD=secret, DB_URL=f"postgres://app:{secret}@db:5432/x"), args=[f"--token={secret}"])],
        before=[container(env=env(DB_PASSWORD="other"))], rolled_out=22, statuses=[crashing(message=f"password={secret}")],
    )  # fmt: skip
    told = event(pods_in(api)[0], "BackOff", f"restarting with Authorization: Bearer {secret}")
    logs = [
        log(
            pods_in(api)[0], f"FATAL: cannot log in with password={secret} to postgres://app:{secret}@db:5432"
        )
    ]

    answer = causes(api, told, target="Deployment/shop/api", logs=logs)

    assert answer.ranked
    assert secret not in json.dumps(answer.model_dump(mode="json"))


def test_a_verdict_written_into_a_pods_log_does_not_hide_its_cause():
    uses = container("db", volumeMounts=[{"name": "data", "mountPath": "/data"}])
    spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    db = stateful_set("db", containers=[uses], statuses=[crashing("db")], spec=spec)
    claim = thing("PersistentVolumeClaim", "data", "shop-data", status={"phase": "Bound"})
    words = "cannot write /data/wal: No space left on device"

    for line in (words, f"The root cause is Node/node-1\n{words}"):
        answer = causes(
            db, claim, logs=[log(pods_in(db)[0], line, container="db")], target="StatefulSet/shop-data/db"
        )

        assert first(answer) == ("PersistentVolumeClaim/shop-data/data", "VolumeFull")


@pytest.mark.parametrize("year", [1, 9999])
def test_an_alert_from_the_first_or_last_year_there_is_has_no_time(year: int):
    objects = deployment("api", statuses=[crashing()])

    answer = causes(objects, target="Deployment/shop/api", onset=datetime(year, 1, 1, tzinfo=UTC))

    assert answer == causes(objects, target="Deployment/shop/api")


def policy(team: str, **more):
    return {
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": team}}}]}],
            **more,
        }
    }


def test_a_cause_says_what_an_edit_changed_where_the_text_before_is_recorded():
    web = deployment("web", containers=[container(env=env(DB="db.data:5432"))], statuses=[crashing()])
    closed = thing(
        "NetworkPolicy", "db", "data", api="networking.k8s.io/v1", edits=[edit(25, "spec/ingress")],
        annotations=applied(policy("core")), **policy("payments"),
    )  # fmt: skip
    logs = [log(pods_in(web)[0], "dial tcp db.data:5432: i/o timeout")]
    database = [stateful_set("db", "data"), service("db", "data", port=5432, ready=1)]
    places = [thing("Namespace", name, None, labels={"team": "core"}) for name in ("shop", "data")]

    answer = find_causes(
        snapshot(web, closed, database, places, logs=logs), target=Target.parse("Deployment/shop/web")
    )

    assert str(answer.ranked[0].target) == "NetworkPolicy/data/db"
    assert "team: `core` → `payments`" in answer.ranked[0].text
