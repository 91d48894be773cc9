"""Callers find the episodes they may see, page by page, and learn of others not even that they exist."""

import pytest

from libs.contracts.alerts import AlertEpisodeDetail, AlertPage, IncidentSummary
from libs.contracts.problem import Problem
from tests.support.alerts import a_body, an_alert, house, resolved
from tests.support.alerts_api import running_app

pytestmark = pytest.mark.requirement("INT-BR-AP-020", "INT-BR-AP-021@3.2", "INT-BR-AP-025@3.1.4")

ALERTS = "/api/v1/alerts"


@pytest.fixture
def database(fresh_database):
    return fresh_database("alerts", migrated=True)


@pytest.fixture
async def alerts(database):
    async with house(database) as running:
        yield running


@pytest.fixture
async def api(alerts, database):
    async with running_app(database) as running:
        yield running


async def page(api, **query):
    answer = await api.get(ALERTS, **query)
    assert answer.status_code == 200, answer.text
    return AlertPage.model_validate_json(answer.content)


async def pods(api, **query):
    return sorted(one.labels["pod"] for one in (await page(api, **query)).items)


async def some_alerts(alerts):
    await alerts.receive(
        a_body(
            an_alert("checkout-1"),
            resolved("payments-1", labels={"severity": "info"}),
            an_alert("db-1", labels={"namespace": "data", "alertname": "DiskFull"}),
        )
    )
    await alerts.work_off()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["checkout-1", "db-1", "payments-1"]),
        ({"state": "firing"}, ["checkout-1", "db-1"]),
        ({"state": "resolved"}, ["payments-1"]),
        ({"severity": "info"}, ["payments-1"]),
        ({"environment": "production"}, ["checkout-1", "db-1", "payments-1"]),
        ({"environment": "staging"}, []),
        ({"priority": "P0"}, ["checkout-1", "db-1"]),
        ({"priority": "critical"}, ["checkout-1", "db-1"]),
        ({"priority": "medium"}, ["payments-1"]),
        ({"alertname": "DiskFull"}, ["db-1"]),
        ({"namespace": "shop"}, ["checkout-1", "payments-1"]),
        ({"namespace": "shop", "state": "firing"}, ["checkout-1"]),
        ({"target": "Deployment/shop/checkout"}, ["checkout-1"]),
        ({"target": "Pod/shop/checkout-1"}, ["checkout-1"]),
        ({"target": "Pod/shop/nobody"}, []),
    ],
)
async def test_filters_narrow_the_list(alerts, api, query, expected):
    await some_alerts(alerts)

    assert await pods(api, **query) == expected


async def test_an_alert_is_found_by_its_fingerprint_and_by_no_part_of_it(alerts, api):
    await some_alerts(alerts)
    (wanted,) = (await page(api, alertname="DiskFull")).items

    assert await pods(api, fingerprint=wanted.fingerprint) == ["db-1"]
    assert await pods(api, fingerprint=wanted.fingerprint[:8]) == []


async def test_an_alerts_past_is_found_without_reading_everybodys(alerts, api):
    await some_alerts(alerts)
    (one,) = (await page(api, alertname="DiskFull")).items
    await alerts.rows(
        "INSERT INTO episode SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'id', e.id || n, 'fingerprint', 'other-' || n, 'starts_at', e.starts_at + n * interval '1 s', 'state', 'expired'"
        "))).* FROM episode AS e, generate_series(1, 5000) AS n WHERE e.id = %s RETURNING id",
        (one.id,),
    )
    async with alerts.record.begin() as work:
        await work.execute("ANALYZE episode")

    plan = await alerts.rows(
        "EXPLAIN SELECT id FROM episode WHERE tenant = 'default' AND fingerprint = %s "
        "ORDER BY starts_at DESC, id DESC LIMIT 10",
        (one.fingerprint,),
    )

    assert "episode_page_fingerprint" in str(plan)
    assert [found.id for found in (await page(api, fingerprint=one.fingerprint)).items] == [one.id]


async def test_pages_are_newest_first_and_hold_every_episode_once(alerts, api):
    sent = [an_alert(f"p-{n}", startsAt=f"2026-11-21T05:00:{n % 20:02}Z") for n in range(45)]
    await alerts.receive(a_body(*sent))
    await alerts.work_off(only="drain")

    seen, cursor = [], None
    while True:
        found = await page(api, limit=10, **({"cursor": cursor} if cursor else {}))
        seen += found.items
        cursor = found.next_cursor
        if cursor is None:
            break

    assert len(seen) == len({one.id for one in seen}) == 45
    assert [(one.starts_at, one.id) for one in seen] == sorted(
        ((one.starts_at, one.id) for one in seen), reverse=True
    )


async def test_what_comes_in_between_pages_does_not_shift_them(alerts, api):
    await alerts.receive(a_body(*(an_alert(f"old-{n}") for n in range(4))))
    await alerts.work_off(only="drain")
    first = await page(api, limit=2)
    await alerts.receive(a_body(an_alert("new-1", startsAt="2026-11-21T09:00:00Z")))
    await alerts.work_off(only="drain")

    second = await page(api, limit=2, cursor=first.next_cursor)

    assert len({one.id for one in first.items + second.items}) == 4
    assert second.next_cursor is None


async def test_a_page_costs_one_query(alerts, api, counted):
    await some_alerts(alerts)

    with counted() as sent:
        await page(api)

    assert sent.statements == 1


async def test_an_episode_is_shown_with_its_decisions_timeline_and_incident(alerts, api):
    await some_alerts(alerts)
    (listed,) = (await page(api, alertname="DiskFull")).items

    answer = await api.get(f"{ALERTS}/{listed.id}")

    shown = AlertEpisodeDetail.model_validate_json(answer.content)
    assert shown.incident is not None
    assert shown.incident.status == "explained"
    assert shown.investigation_id == shown.incident.investigation_id
    assert {"fired", "investigation-requested", "explained", "notified"} <= {
        one.event for one in shown.timeline
    }
    assert all(one.reason for one in shown.decisions)


async def test_an_incident_is_shown_by_itself(alerts, api):
    await some_alerts(alerts)
    (listed,) = (await page(api, alertname="DiskFull")).items

    answer = await api.get(f"/api/v1/incidents/{listed.incident_id}")

    shown = IncidentSummary.model_validate_json(answer.content)
    assert shown.episode_ids == [listed.id]
    assert str(shown.target) == "Deployment/data/db"


# --- who sees what


async def test_namespaces_a_caller_may_not_read_are_not_listed(alerts, api):
    await some_alerts(alerts)
    await alerts.receive(
        a_body({**an_alert(), "labels": {"alertname": "NodeDown", "node": "n1", "pod": "-"}})
    )
    await alerts.work_off()

    answer = await api.get(ALERTS, key=api.keys.shop_viewer)

    listed = AlertPage.model_validate_json(answer.content).items
    assert {one.labels.get("namespace") for one in listed} == {"shop"}


async def test_a_foreign_namespaces_episode_and_incident_are_as_unknown_as_none(alerts, api):
    await some_alerts(alerts)
    (hidden,) = (await page(api, alertname="DiskFull")).items

    for path, code in (
        (f"{ALERTS}/{hidden.id}", "unknown-alert"),
        (f"{ALERTS}/{'0' * 32}", "unknown-alert"),
        (f"/api/v1/incidents/{hidden.incident_id}", "unknown-incident"),
        ("/api/v1/incidents/none", "unknown-incident"),
    ):
        answer = await api.get(path, key=api.keys.shop_viewer)
        assert (answer.status_code, Problem.model_validate_json(answer.content).code) == (404, code)
        assert hidden.id not in answer.json()["detail"]


async def test_a_cause_in_a_foreign_namespace_is_not_told(alerts, api):
    await some_alerts(alerts)
    (listed,) = (await page(api, target="Deployment/shop/checkout")).items

    answer = await api.get(f"{ALERTS}/{listed.id}", key=api.keys.shop_viewer)

    shown = AlertEpisodeDetail.model_validate_json(answer.content)
    assert shown.incident is not None
    assert shown.incident.causes == []
    assert "postgres-config" not in answer.text


async def test_tenants_see_nothing_of_each_other(alerts, api):
    await some_alerts(alerts)
    (mine,) = (await page(api, alertname="DiskFull")).items

    listed = await api.get(ALERTS, key=api.keys.stranger)
    shown = await api.get(f"{ALERTS}/{mine.id}", key=api.keys.stranger)

    assert listed.json()["items"] == []
    assert shown.status_code == 404


async def test_who_may_only_send_may_not_look(api):
    assert (await api.get(ALERTS, key=api.keys.ingest)).status_code == 403
    assert (await api.http.get(ALERTS)).status_code == 401


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "nonsense"}, "query.cursor"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "201"}, "query.limit"),
        ({"state": "burning"}, "query.state"),
        ({"priority": "P9"}, "query.priority"),
        ({"severity": "page"}, "query.severity"),
        ({"environment": "moon"}, "query.environment"),
        ({"namespace": "x" * 2000}, "query.namespace"),
    ],
)
async def test_a_wrong_question_is_422_naming_what_was_wrong(api, query, field):
    answer = await api.get(ALERTS, **query)

    assert answer.status_code == 422
    assert field in answer.text


async def test_health_names_the_database_and_the_peers(api):
    answer = await api.http.get("/health")

    checks = answer.json()["checks"]
    assert checks["database"]["status"] == "healthy"
    assert checks["inbox"]["status"] == "healthy"
    assert {"context_api", "holmesgpt", "notifications"} <= checks.keys()
    assert (await api.http.get("/ready")).status_code == 200
