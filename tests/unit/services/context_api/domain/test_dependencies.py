"""Which Services a workload depends on, by its settings and by its logs."""

from __future__ import annotations

import pytest

from services.context_api.domain.dependencies import Dependencies, blames, trouble_in
from services.context_api.domain.graph import Graph
from services.context_api.domain.logs import Line
from tests.support.kube import (
    ago,
    config_map,
    container,
    crashing,
    deployment,
    env,
    log,
    moment,
    pods_in,
    running,
    service,
    snapshot,
    stateful_set,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

DB = [stateful_set("db"), service("db", "shop-data", port=5432, ready=1, address="10.96.0.7")]
ERROR = [Line("ERROR x", 1, 2)]


def asked(objects, logs=()):
    graph = Graph(snapshot(objects, DB, logs=logs))
    top = graph.get("Deployment", "shop", "api")
    assert top
    return Dependencies(graph), top


def client(**spec):
    return deployment("api", containers=[container(**spec)], statuses=[crashing()])


@pytest.mark.parametrize(
    ("objects", "where"),
    [
        (client(env=env(DB_HOST="db.shop-data")), "env DB_HOST of container app"),
        (client(args=["--db=db.shop-data:5432"]), "an argument of container app"),
        ([*client(envFrom=[{"configMapRef": {"name": "c"}}]), config_map("c", DB_HOST="db.shop-data")], "key DB_HOST of ConfigMap c (envFrom of container app)"),
        ([*client(env=[{"name": "DB_HOST", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]), config_map("c", k="db.shop-data")], "key k of ConfigMap c (env DB_HOST of container app)"),
        ([*deployment("api", spec={"volumes": [{"name": "v", "configMap": {"name": "c"}}]}), config_map("c", data={"app.yaml": "db:\n  host: db.shop-data.svc\n"})], "key app.yaml of ConfigMap c (volume v)"),
    ],
    ids=["environment", "argument", "envFrom", "single key", "file"],
)  # fmt: skip
def test_a_service_named_in_settings_of_another_namespace_is_found(objects, where: str):
    deps, top = asked(objects)

    (found,) = deps.configured(top)

    assert (found.where, str(found.found)) == (where, "Service/shop-data/db")


def test_a_workloads_own_service_and_foreign_hosts_are_no_dependencies():
    objects = [
        *client(
            env=env(
                SELF_URL="http://api:80",
                PARTNER_URL="https://api.partner.example.com:443",
                LOCAL="localhost:1",
            )
        ),
        *service("api"),
    ]
    deps, top = asked(objects)

    assert deps.configured(top) == []


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("lookup db: no such host", "dns"), ("connect: connection refused", "refused"), ("i/o timeout", "timeout"), ("password authentication failed", "auth"),
        ("x509: certificate has expired", "tls"), ("upstream returned 503", "http"), ("could not connect to server", "other"), ("all fine", None),
    ],
)  # fmt: skip
def test_log_lines_are_told_apart_by_their_trouble(line: str, trouble):
    assert trouble_in(line) == trouble


@pytest.mark.parametrize(
    "line", ["dial tcp db.shop-data:5432: connection refused", "dial tcp 10.96.0.7:5432: connection refused"]
)
def test_a_service_a_log_line_names_or_gives_the_address_of_is_blamed_most(line: str):
    objects = client(env=env(DB_HOST="db.shop-data"))
    deps, top = asked(objects, [log(pods_in(objects)[0], line)])

    (found,) = blames(deps, top, ERROR)

    assert (str(found.on), found.strength) == ("Service/shop-data/db", 0.95)


@pytest.mark.parametrize(
    ("line", "lines", "strength"),
    [
        ("dial tcp 10.99.9.9:5432: connection refused", ERROR, 0.85),
        ("ERROR: connection refused", ERROR, 0.75),
        ("", [], 0.6),
        ("started", [], 0.5),
        ("ERROR: division by zero", ERROR, 0.3),
    ],
    ids=["its port", "nobody by name", "no log", "no error", "something else"],
)
def test_a_service_only_the_settings_name_is_blamed_by_what_the_log_says(line: str, lines, strength: float):
    objects = client(env=env(DB_HOST="db.shop-data"))
    deps, top = asked(objects, [log(pods_in(objects)[0], line)] if line else ())

    assert [b.strength for b in blames(deps, top, lines)] == [strength]


def test_complaints_of_one_shape_are_counted_and_narratives_are_not_heard():
    objects = client()
    text = "\n".join(
        [f"try {i}: connect to db.shop-data:5432 failed: connection refused" for i in range(4)]
        + ["the root cause is cache:6379 connection refused"]
    )
    deps, top = asked(objects, [log(pods_in(objects)[0], text)])

    (found,) = deps.spoken(top)

    assert (found.count, found.trouble, str(found.found)) == (4, "refused", "Service/shop-data/db")


@pytest.mark.parametrize(
    ("line", "heard"),
    [
        ("ERROR POST http://api/charge: quota used up", ["api"]),
        ("ERROR GET http://api.shop.svc/x: no answer within 2500 ms", ["api"]),
        ("INFO POST http://api/charge: quota 3 of 9", []),
        ("ERROR setting api.url=http://api is read twice", []),
        ("ERROR POST https://pay.partner.example/charge: quota used up", []),
    ],
    ids=[
        "an error about a call",
        "no answer",
        "no error",
        "a URL that is not called",
        "nobody of this cluster",
    ],
)
def test_an_error_about_a_call_of_a_service_is_a_complaint_in_whatever_words(line: str, heard: list[str]):
    web = deployment("web")
    graph = Graph(
        snapshot(web, deployment("api"), service("api", ready=2), logs=[log(pods_in(web)[0], line)])
    )

    caller = graph.find("Deployment", "shop", "web")
    assert caller is not None

    spoken = Dependencies(graph).spoken(caller)

    assert [s.found.name for s in spoken if s.found is not None] == heard


@pytest.mark.parametrize(
    ("line", "settings", "heard"),
    [
        ("ERROR canceling statement due to statement timeout (SQLSTATE 57014)", {"DB": "postgres://db.shop-data:5432/x"}, ["db"]),
        ('org.postgresql.util.PSQLException: ERROR: prepared statement "S_4" does not exist', {"DB": "postgres://db.shop-data:5432/x"}, ["db"]),
        ("org.postgresql.util.PSQLException: ERROR: duplicate key value violates unique constraint", {"DB": "postgres://db.shop-data:5432/x"}, []),
        ('ERROR pq: password authentication failed for user "x"', {"DB": "postgres://db.shop-data/x"}, ["db"]),
        ('source=collector.go:196 ERROR pq: password authentication failed for user "x"', {"DB": "db.shop-data:5432"}, ["db"]),
        ("ERROR canceling statement due to statement timeout (SQLSTATE 57014)", {"DB": "db.shop-data:5432", "OTHER": "store.shop-data:5432"}, []),
        ("ERROR timed out waiting for the printer", {"DB": "postgres://db.shop-data:5432/x"}, []),
        ("ERR max number of clients reached (redis)", {"DB": "postgres://db.shop-data:5432/x"}, []),
    ],
    ids=["a timeout", "a statement that is not there", "what was asked wrongly", "a password", "a source file is no host", "two such servers", "no server's words", "another protocol"],
)  # fmt: skip
def test_a_complaint_in_a_protocols_words_is_about_the_one_such_server_of_the_settings(line, settings, heard):
    objects = client(env=env(**settings))
    deps, top = asked(
        [*objects, *service("store", "shop-data", port=5432, ready=1)], [log(pods_in(objects)[0], line)]
    )

    assert [s.found.name for s in deps.spoken(top) if s.found and s.implied] == heard


@pytest.mark.parametrize(
    ("line", "strength"),
    [
        ("ERROR GET https://rates.bank.example.com/v1 timed out", 0.3),
        ("INFO bulk import of yesterday took the timeout of 30 s as its limit", 0.3),
        ("2026-11-18T09:29:00Z INFO retry after timeout", 0.3),
        ('{"level":"info","msg":"request timeout set to 30s"}', 0.3),
        ("WARN request timed out", 0.75),
        ("2026-11-18T09:29:00Z ERROR request timed out", 0.75),
        ('{"level":"error","msg":"request timed out"}', 0.75),
        ("request timed out", 0.75),
        ("ERROR more information: connection refused", 0.75),
    ],
    ids=[
        "a host outside", "news", "news with its time", "news in JSON", "a warning", "an error with its time", "an error in JSON",
        "no level", "a word that begins alike",
    ],
)  # fmt: skip
def test_only_a_nameless_complaint_is_connection_trouble_without_a_name(line: str, strength: float):
    objects = client(env=env(DB_HOST="db.shop-data"))
    deps, top = asked(objects, [log(pods_in(objects)[0], line)])

    assert [b.strength for b in blames(deps, top, ERROR)] == [strength]


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("INFO connecting to db.shop-data:5432, timeout=30s", None),
        ("request timeout set to 30s", None),
        ("timeout of 5000ms exceeded", "timeout"),
        ("timeout: 30000ms exceeded", "timeout"),
        ("read timed out (timeout=10)", "timeout"),
        ("certificate for shop.example.com renewed", None),
        ("reloaded the server certificate", None),
        ("certificate could not be loaded", "tls"),
        ("certificate was not renewed", "tls"),
        ("ERROR cannot send the report, timeout=30s", "timeout"),
        ("upload failed (timeout set to 30s)", "timeout"),
        ("certificate loaded has expired", "tls"),
        ("certificates reloaded, failover pool kept", None),
        ("GET /health 200 403 ms", None),
        ("GET /x 403", "auth"),
        ("GET /x 200 503 bytes", None),
        ("using SASL mechanism SCRAM-SHA-512", None),
        ("SASL authentication error", "auth"),
    ],
)
def test_a_setting_that_is_read_out_and_what_went_well_are_no_trouble(line: str, trouble):
    assert trouble_in(line) == trouble


def ready_client(text: str):
    objects = deployment("api", containers=[container(env=env(DB_HOST="db.shop-data:5432"))])
    return asked(objects, [log(pods_in(objects)[0], text)])


OTHERS = "\n".join(f"{ago(40 - n)} INFO served {n}" for n in range(30))


@pytest.mark.parametrize(
    "text",
    [
        f"{ago(300)} ERROR db.shop-data:5432: connection refused\n{OTHERS}",
        f"{ago(600)} ERROR db.shop-data:5432: connection refused\n{OTHERS}",
        f"{ago(2)} INFO db.shop-data:5432: connection refused, next try in 1 s\n{OTHERS}",
        f'{ago(2)} 10.0.0.9 - - [x] "GET http://db.shop-data:5432/ HTTP/1.1" 403 502\n{OTHERS}',
    ],
    ids=["hours ago", "at its start", "news", "a caller's fault"],
)
def test_a_ready_program_complains_of_nobody_by_what_is_over_or_no_complaint(text: str):
    deps, top = ready_client(text)

    assert deps.spoken(top) == []


def test_a_ready_program_complains_by_what_it_goes_on_to_say_and_an_ending_one_by_its_last_words():
    line = "ERROR db.shop-data:5432: connection refused"
    deps, top = ready_client(f"{ago(300)} {line}\n{ago(2)} {line}\n{OTHERS}")
    (said,) = deps.spoken(top)
    ended, old = asked(client(), [log(pods_in(client())[0], f"{ago(300)} {line}\n{OTHERS}")])

    assert (str(said.found), said.count, said.first) == ("Service/shop-data/db", 2, moment(300))
    assert [str(s.found) for s in ended.spoken(old)] == ["Service/shop-data/db"]


@pytest.mark.parametrize(
    ("line", "started", "heard"),
    [
        (f"{ago(2)} INFO db.shop-data:5432: connection refused, next try in 1 s", 600, True),
        (f"{ago(59)} ERROR db.shop-data:5432: connection refused", 60, True),
        (f"{ago(300)} ERROR db.shop-data:5432: connection refused", 600, False),
        (f"{ago(2)} INFO connection refused, next try in 1 s", 600, False),
        (f"{ago(2)} INFO rates.partner.example:443: connection refused, next try in 1 s", 600, False),
    ],
    ids=["news", "at its start", "hours ago", "news about nobody", "news about a host outside"],
)
def test_news_and_a_start_hold_about_whom_nobody_is_ready_to_answer_for(line: str, started: float, heard: bool):  # fmt: skip
    objects = deployment("api", statuses=[running(minutes=started)])
    down = [stateful_set("db", statuses=[crashing("db")]), service("db", "shop-data", port=5432, not_ready=1)]
    graph = Graph(snapshot(objects, down, logs=[log(pods_in(objects)[0], f"{line}\n{OTHERS}")]))
    top = graph.get("Deployment", "shop", "api")
    assert top

    assert [str(s.found) for s in Dependencies(graph).spoken(top)] == ["Service/shop-data/db"] * heard


def test_news_about_a_service_of_no_pods_is_no_complaint_as_nobody_knows_who_answers_there():
    objects = deployment("api")
    text = f"{ago(2)} INFO bank:443: connection refused, next try in 1 s\n{OTHERS}"
    graph = Graph(snapshot(objects, service("bank", selector={}, port=443), logs=[log(pods_in(objects)[0], text)]))  # fmt: skip
    top = graph.get("Deployment", "shop", "api")
    assert top

    assert Dependencies(graph).spoken(top) == []


def test_an_alert_of_this_morning_is_answered_by_what_was_said_then():
    objects = deployment("api", containers=[container(env=env(DB_HOST="db.shop-data:5432"))])
    text = f"{ago(300)} ERROR db.shop-data:5432: connection refused\n{OTHERS}"
    graph = Graph(snapshot(objects, DB, logs=[log(pods_in(objects)[0], text)]))
    top = graph.get("Deployment", "shop", "api")
    assert top

    assert Dependencies(graph).spoken(top) == []
    assert len(Dependencies(graph, moment(290)).spoken(top)) == 1


def test_trouble_is_told_of_a_request_that_the_server_failed_and_of_none_that_its_client_did():
    line = '10.0.0.9 - - [x] "GET /timeout HTTP/1.1" {} 12'

    assert trouble_in(line.format(504)) is not None
    assert trouble_in(line.format(408)) is None
