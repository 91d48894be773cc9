"""The service whole: API, PostgreSQL, worker, and a Context API that behaves as it pleases."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from libs.contracts.causes import NoCause
from libs.contracts.investigations import Investigation, InvestigationPage
from tests.fakes.context_api import FakeContextApi, Mood
from tests.support.holmesgpt import Place, as_go_sends_it, ended, serving, working
from tests.support.investigations import CHECKOUT, nothing

pytestmark = pytest.mark.requirement("HAPI-001", "HAPI-004", "HAPI-011", "HAPI-166")

INVESTIGATE = "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}


async def test_a_synchronous_caller_gets_the_cause_with_its_evidence(here: Place, context: FakeContextApi):
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        answer = await api.post(INVESTIGATE, json=ALERT)

    body = Investigation.model_validate(answer.json())
    assert answer.status_code == 200
    assert (body.status, body.engine, body.degraded_reason) == ("completed", "triage", "no-model-configured")
    assert body.results is not None
    assert body.results.cause is not None
    assert body.results.cause.target.name == "orders-db-config"
    carried = {item.id for item in body.results.evidence}
    assert all(set(claim.evidence_ids) <= carried for claim in body.results.claims)
    assert context.asked("/api/v1/context/causes") == [
        "GET /api/v1/context/causes/shop/Deployment.apps/checkout?cluster=local"
    ]
    assert all(credential and credential.startswith("Bearer ") for credential in context.credentials)


@pytest.mark.requirement("HAPI-005", "HAPI-037")
@pytest.mark.parametrize(
    ("path", "more", "headers"),
    [
        (f"{INVESTIGATE}/async", {}, {}),
        (INVESTIGATE, {"async_processing": True}, {}),
        (INVESTIGATE, {}, {"Prefer": "respond-async"}),
    ],
)
async def test_an_asynchronous_caller_gets_an_id_to_ask_by(
    here: Place, path: str, more: dict[str, object], headers: dict[str, str]
):
    settings = here.settings()
    async with serving(settings, here.api_key) as api:
        taken = await api.post(path, json={**ALERT, **more}, headers=headers)
        id_ = taken.json()["investigation_id"]
        waiting = (await api.get(f"{INVESTIGATE}/{id_}")).json()
        async with working(settings):
            body = await ended(api, id_)

    assert (taken.status_code, taken.json()["status"]) == (202, "started")
    assert taken.headers["location"] == f"{INVESTIGATE}/{id_}"
    assert (waiting["status"], waiting["progress"], waiting["results"]) == ("started", 0, None)
    assert (body["status"], body["progress"]) == ("completed", 100)


@pytest.mark.requirement("HAPI-045", "HAPI-001")
async def test_the_go_application_gets_200_and_what_it_reads_without_a_credential(here: Place):
    trusted = {"127.0.0.0/8": {"principal": "kubernaut", "roles": ["api_user"]}}
    settings = here.settings(trusted_networks=trusted)
    headers = {"Content-Type": "application/json", "User-Agent": "Kubernaut-HolmesGPT-Client/1.0"}
    async with working(settings), serving(settings) as api:
        answer = await api.post(INVESTIGATE, json=as_go_sends_it(), headers=headers)

    body = answer.json()
    assert answer.status_code == 200
    assert "orders-db-config" in body["investigation"]["summary"]
    assert [strategy["name"] for strategy in body["strategies"]] == [
        "Put the old value back (ConfigMap/data/orders-db-config)"
    ]
    assert isinstance(body["patterns"], list)
    assert isinstance(body["context"], dict)
    assert body["metadata"]["request_id"] == "inv-1731921850"


@pytest.mark.requirement("HAPI-044")
async def test_yaml_is_understood_too(here: Place):
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        answer = await api.post(
            INVESTIGATE,
            content="alert_name: KubePodCrashLooping\nlabels: {pod: checkout-1, namespace: shop}\n",
            headers={"Content-Type": "application/yaml"},
        )

    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


async def test_no_cause_is_completed_and_says_so(here: Place, context: FakeContextApi):
    context.causes = nothing(NoCause.nothing_wrong)
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        body = (await api.post(INVESTIGATE, json=ALERT)).json()

    assert (body["status"], body["root_cause"], body["strategies"]) == ("completed", None, [])
    assert body["results"]["no_cause_reason"] == "nothing-wrong"


@pytest.mark.requirement("HAPI-005")
async def test_the_same_key_gives_the_same_investigation_and_another_body_422(
    here: Place, context: FakeContextApi
):
    settings, key = here.settings(), {"Idempotency-Key": "incident-7"}
    async with working(settings), serving(settings, here.api_key) as api:
        first = await api.post(f"{INVESTIGATE}/async", json=ALERT, headers=key)
        again = await api.post(f"{INVESTIGATE}/async", json=ALERT, headers=key)
        other = await api.post(f"{INVESTIGATE}/async", json={"alert_name": "Other"}, headers=key)
        late = await api.post(INVESTIGATE, json=ALERT, headers=key)

    ids = {answer.json()["investigation_id"] for answer in (first, again, late)}
    assert len(ids) == 1
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert (late.status_code, late.json()["status"]) == (200, "completed")
    assert len(context.asked("/api/v1/context/causes")) == 1


@pytest.mark.requirement("HAPI-130", "HAPI-029")
@pytest.mark.parametrize("mood", ["hangs", "unavailable", "garbage"])
async def test_who_cannot_wait_is_told_the_state_and_the_result_comes_later(
    here: Place, context: FakeContextApi, mood: Mood
):
    context.mood = mood
    settings = here.settings(sync_answer_timeout=2.5, context_api_timeout=0.3)
    async with working(settings), serving(settings, here.api_key) as api:
        answer = await api.post(INVESTIGATE, json=ALERT)
        body = answer.json()
        context.mood = "answers"
        context.let_go()
        later = await ended(api, body["investigation_id"])

    assert (answer.status_code, body["status"], body["engine"]) == (200, "running", None)
    assert body["degraded_reason"] == "triage-not-done"
    assert body["metadata"]["degraded_detail"] in body["summary"]
    assert body["investigation"]["summary"].startswith("No result yet")
    # It waits to try again, or tries again at that very moment.
    states = ("Context API does not answer", "resolving the alert's labels")
    assert any(state in body["summary"] for state in states), body["summary"]
    assert (body["results"], body["strategies"]) == (None, [])
    assert (later["status"], later["engine"]) == ("completed", "triage")
    assert later["metadata"]["runs"] > 1


@pytest.mark.requirement("HAPI-130")
async def test_the_callers_own_deadline_is_kept(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        async with asyncio.timeout(5):
            answer = await api.post(INVESTIGATE, json=ALERT, headers={"X-Request-Deadline": "0.9"})

    body = answer.json()
    assert (body["status"], body["degraded_reason"]) == ("started", "triage-not-done")


@pytest.mark.requirement("HAPI-029", "HAPI-043")
async def test_a_context_api_that_stays_away_ends_in_a_failure_that_names_it(
    here: Place, context: FakeContextApi
):
    context.mood = "unavailable"
    settings = here.settings(investigation_timeout=1.5)
    async with working(settings) as metrics, serving(settings, here.api_key) as api:
        answer = await api.post(INVESTIGATE, json=ALERT)
        body = await ended(api, answer.headers["location"].rpartition("/")[2])
        counted = metrics.exposition().decode()

    assert (answer.status_code, answer.json()["code"]) == (503, "investigation-failed")
    assert (body["status"], body["error_code"]) == ("failed", "context-unavailable")
    assert "http-503" in body["error"]
    assert (body["results"], body["root_cause"], body["strategies"]) == (None, None, [])
    series = 'holmesgpt_api_investigations_total{engine="triage",outcome="context-unavailable"} 1.0'
    assert series in counted


@pytest.mark.requirement("HAPI-043")
async def test_a_refusal_fails_at_once(here: Place, context: FakeContextApi):
    context.mood = "refuses"
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        answer = await api.post(INVESTIGATE, json=ALERT)

    assert answer.status_code == 503
    assert "context-refused" in answer.json()["detail"]


@pytest.mark.requirement("HAPI-005")
async def test_without_any_worker_an_investigation_ends_once_one_comes_after_its_deadline(here: Place):
    settings = here.settings(investigation_timeout=0.2, sync_answer_timeout=0.6)
    async with serving(settings, here.api_key) as api:
        taken = (await api.post(INVESTIGATE, json=ALERT)).json()
        async with working(settings):
            body = await ended(api, taken["investigation_id"])

    assert taken["status"] == "started"
    assert (body["status"], body["error_code"]) == ("failed", "deadline-passed")


@pytest.mark.requirement("HAPI-038", "HAPI-131")
async def test_fifty_at_once_are_all_answered(here: Place, context: FakeContextApi):
    settings = here.settings()
    async with working(settings), serving(settings, here.api_key) as api:
        answers = await asyncio.gather(
            *(api.post(INVESTIGATE, json={**ALERT, "alert_name": f"A{n}"}) for n in range(50))
        )

    assert [answer.json()["status"] for answer in answers] == ["completed"] * 50
    assert len({answer.json()["investigation_id"] for answer in answers}) == 50
    assert len(context.asked("/api/v1/context/causes")) == 50


@pytest.mark.requirement("HAPI-073", "HAPI-103", "HAPI-043")
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ('{"alert_name": ""}', 422, "alert_name"),
        ("{}", 422, "alert_name"),
        ('{"alert_name": "A", "priority": "urgent"}', 422, "priority"),
        ('{"alert_name": "A", "labels": {"a": 1}}', 422, "labels"),
        ('{"alert_name": "A", "target": {"kind": "Pod", "name": "../x"}}', 422, "target"),
        ('{"alert_name": "A"', 400, "malformed"),
        ('{"alert_name": "a\\u0000b"}', 400, "U+0000"),
        ("[]", 422, "body"),
        ('{"alert_name": "A", "context": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}", 400, "malformed"),
    ],
)
async def test_bad_input_is_refused_by_name_and_leaves_nothing(
    here: Place, body: str, status: int, named: str
):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(INVESTIGATE, content=body, headers={"Content-Type": "application/json"})
        kept = InvestigationPage.model_validate((await api.get(INVESTIGATE)).json())

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert named in answer.text
    assert kept.items == []


@pytest.mark.requirement("HAPI-041")
async def test_a_list_is_read_page_by_page(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        for number in range(5):
            await api.post(f"{INVESTIGATE}/async", json={"alert_name": f"A{number}"})
        seen, cursor = [], ""
        while cursor is not None:
            page = (
                await api.get(INVESTIGATE, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
            ).json()
            seen += [item["alert_name"] for item in page["items"]]
            cursor = page["next_cursor"]
        wrong = await api.get(INVESTIGATE, params={"cursor": "made-up"})

    assert seen == ["A4", "A3", "A2", "A1", "A0"]
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-cursor")


@pytest.mark.requirement("HAPI-066", "HAPI-068", "HAPI-178")
async def test_callers_see_what_they_may(here: Place):
    networks = {
        "127.0.0.1/32": {"principal": "shop-team", "roles": ["api_user"], "namespaces": ["shop"]},
    }
    async with serving(here.settings(trusted_networks=networks), here.api_key) as api:
        mine = (await api.post(f"{INVESTIGATE}/async", json={**ALERT, "namespace": "data"})).json()
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            foreign = await team.get(f"{INVESTIGATE}/{mine['investigation_id']}")
            refused = await team.post(INVESTIGATE, json={"alert_name": "A", "namespace": "data"})
            listed = (await team.get(INVESTIGATE)).json()["items"]
        unknown = await api.get(f"{INVESTIGATE}/inv-unknown")

    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["code"] == unknown.json()["code"] == "unknown-investigation"
    assert (refused.status_code, refused.json()["code"]) == (403, "namespace-not-readable")
    assert listed == []


@pytest.mark.requirement("HAPI-066")
async def test_without_a_credential_nothing_is_taken(here: Place):
    async with serving(here.settings()) as api:
        answer = await api.post(INVESTIGATE, json=ALERT)

    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


@pytest.mark.requirement("HAPI-016", "HAPI-017")
async def test_health_tells_of_all_it_stands_on_and_of_the_missing_model_under_the_names_of_both_contracts(
    here: Place, context: FakeContextApi
):
    async with serving(here.settings()) as api:
        health = (await api.get("/health")).json()
        ready = await api.get("/ready")

    assert {name: check["status"] for name, check in health["checks"].items()} == {
        "database": "healthy",
        "context_api": "healthy",
        "kubernetes": "healthy",
        "redis": "not_configured",
        "llm": "not_configured",
    }
    assert (
        health["services"]["holmesgpt_sdk"] == ready.json()["services"]["holmesgpt_sdk"] == "not_configured"
    )
    assert (health["status"], ready.status_code) == ("healthy", 200)


async def test_what_a_given_target_is_asked_is_about_that_target_alone(here: Place, context: FakeContextApi):
    settings = here.settings()
    target = CHECKOUT.model_copy(update={"name": "storefront"})
    onset = "2026-11-18T09:22:14.512Z"
    async with working(settings), serving(settings, here.api_key) as api:
        await api.post(INVESTIGATE, json={**ALERT, "target": target.model_dump(), "starts_at": onset})

    assert [call.partition("?")[0] for call in context.asked("/api/v1/context/")][-1] == (
        "GET /api/v1/context/causes/shop/Deployment.apps/storefront"
    )
    assert context.asked("/api/v1/context/resolve") == []
    assert "onset=2026-11-18T09%3A22%3A14.512000%2B00%3A00" in context.calls[-1]
