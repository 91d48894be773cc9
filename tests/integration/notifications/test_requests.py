"""What a request comes to: committed before it is acknowledged, once per key and once per fact."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.auth.authenticator import Authenticator
from libs.auth.minter import TokenMinter
from libs.auth.permissions import Role
from tests.fakes.slack import SlackFake
from tests.support.notifications import PATH, Place, send, serving, telling, until, working

pytestmark = pytest.mark.requirement("INT-BR-REL-013", "INT-BR-REL-014", "INT-BR-NOT-013")


async def test_what_is_acknowledged_is_committed_with_its_delivery_and_its_job(here: Place):
    async with serving(here) as api:
        taken = await send(api, "k1")

    rows = await here.run(
        "SELECT n.status, d.state, d.channel, j.task_name FROM notification n JOIN told t ON t.notification_id = n.id "
        "JOIN delivery d USING (effect_id) JOIN procrastinate_jobs j ON j.task_name = 'deliver-' || d.channel"
    )
    assert rows == [
        {"status": "pending", "state": "pending", "channel": "console", "task_name": "deliver-console"}
    ]
    assert (taken["status"], taken["deliveries"][0]["recipient"]) == ("pending", "stdout")


async def test_nothing_is_left_of_a_request_whose_job_could_not_be_committed(here: Place):
    async with serving(here) as api:
        await here.run("ALTER TABLE procrastinate_jobs RENAME TO away")
        answer = await api.post(PATH, json=telling())

    assert answer.status_code == 500
    assert "procrastinate" not in answer.text
    assert await here.run("SELECT 1 FROM notification UNION ALL SELECT 1 FROM delivery") == []


async def test_the_same_key_and_request_get_the_stored_answer(here: Place):
    async with serving(here) as api, working(here):
        first = await send(api, "k1")
        await until(api, first["id"])
        again = await send(api, "k1")

    assert again == first
    assert await here.run("SELECT count(*) AS n FROM notification") == [{"n": 1}]


async def test_the_same_key_with_another_request_is_refused(here: Place):
    async with serving(here) as api:
        await send(api, "k1")
        answer = await api.post(PATH, json=telling(body="other"), headers={"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


async def test_requests_of_one_key_that_arrive_together_get_one_answer(here: Place):
    async with serving(here, database_pool_size=8) as api:
        answers = await asyncio.gather(*(send(api, "k1") for _ in range(8)))

    assert all(answer == answers[0] for answer in answers)
    assert await here.run("SELECT count(*) AS n FROM notification") == [{"n": 1}]


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 256])
async def test_a_key_that_is_none_is_refused(here: Place, key: str):
    async with serving(here) as api:
        answer = await api.post(PATH, json=telling(), headers=[(b"Idempotency-Key", key.encode())])

    assert answer.status_code == 422


async def test_a_fact_is_told_once_however_often_and_by_whomever_it_is_asked(here: Place, webhook: SlackFake):
    slack = {"slack_webhook_url": webhook.url, "slack_origins": [webhook.origin]}
    async with serving(here) as api, working(here, **slack):
        first = await send(api, "k1", channels=["slack"])
        await until(api, first["id"])
        second = await send(api, "k2", channels=["slack"], body="in other words", priority="P0")
        shown = await until(api, second["id"])

    assert len(webhook.posts) == 1
    assert shown["id"] != first["id"]
    assert (shown["status"], shown["deliveries"][0]["told_by"]) == ("sent", first["id"])


async def test_twenty_requests_of_one_fact_at_once_tell_it_once(here: Place, webhook: SlackFake):
    slack = {"slack_webhook_url": webhook.url, "slack_origins": [webhook.origin]}
    async with serving(here, database_pool_size=10) as api, working(here, **slack):
        taken = await asyncio.gather(*(send(api, f"k{n}", channels=["slack", "console"]) for n in range(20)))
        for one in taken:
            assert (await until(api, one["id"]))["status"] == "sent"

    assert len(webhook.posts) == 1


@pytest.mark.parametrize("change", [{"round": 2}, {"transition": "resolved"}, {"incident_id": "inc-2"}])
async def test_another_fact_is_told(here: Place, webhook: SlackFake, change: dict[str, Any]):
    slack = {"slack_webhook_url": webhook.url, "slack_origins": [webhook.origin]}
    async with serving(here) as api, working(here, **slack):
        for fields in ({}, change):
            await until(api, (await send(api, channels=["slack"], **fields))["id"])

    assert len(webhook.posts) == 2


async def test_what_is_about_nothing_known_is_told_each_time_unless_under_one_key(here: Place):
    about_nothing = {"incident_id": None, "episode_id": None}
    async with serving(here) as api:
        taken = [await send(api, key, **about_nothing) for key in (None, None, "k1", "k1")]

    effects = [one["deliveries"][0]["effect_id"] for one in taken]
    assert len(set(effects)) == 3
    assert effects[2] == effects[3]


async def test_nobody_to_tell_is_a_failure_with_its_reason(here: Place):
    async with serving(here, notify_channels=[]) as api:
        taken = await send(api)

    assert (taken["status"], taken["deliveries"]) == ("failed", [])
    assert taken["reason"].startswith("no-channel")


async def test_a_channel_without_recipients_fails_and_says_what_to_set(here: Place):
    async with serving(here) as api:
        taken = await send(api, channels=["email"])

    (delivery,) = taken["deliveries"]
    assert (taken["status"], delivery["state"], delivery["reason"]) == ("failed", "failed", "refused")
    assert "EMAIL_RECIPIENTS" in delivery["error"]


async def test_a_channel_that_is_not_set_up_fails_and_names_its_setting(here: Place):
    async with serving(here) as api, working(here):
        taken = await send(api, channels=["slack", "email", "console"], recipients=["a@x.org"])
        shown = await until(api, taken["id"])

    errors = {one["channel"]: one["error"] for one in shown["deliveries"]}
    assert shown["status"] == "partially_sent"
    assert "SLACK_WEBHOOK_URL" in errors["slack"]
    assert "SMTP_HOST" in errors["email"]
    assert errors["console"] is None


@pytest.mark.requirement("INT-BR-SEC-011")
async def test_a_secret_is_in_no_answer_and_in_no_row(here: Place):
    leak = "postgres://app:hunter2-hunter2@db/shop"
    async with serving(here) as api:
        taken = await send(api, body=f"cannot connect to {leak}")

    (dump,) = await here.run("SELECT string_agg(n::text, ' ') AS rows FROM notification n")
    assert "hunter2" not in str(taken) + dump["rows"]
    assert taken["redacted"] == ["url-password"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"recipients": ["not an address"]}, "body.recipients.0"),
        ({"links": [{"label": "x", "url": "javascript:alert(1)"}]}, "body.links.0.url"),
        ({"channels": ["pigeon"]}, "body.channels.0"),
        ({"subject": ""}, "body.subject"),
        ({"incident_id": "a\nb"}, "body.incident_id"),
        ({"unknown": 1}, "body.unknown"),
        ({"round": 0}, "body.round"),
    ],
)
async def test_bad_input_is_refused_and_the_field_named(here: Place, fields: dict[str, Any], where: str):
    async with serving(here) as api:
        answer = await api.post(PATH, json=telling(**fields))

    assert answer.status_code == 422
    assert where in answer.json()["detail"]


@pytest.mark.parametrize("text", ["bell \x07 and \x1b[2J", "\u202e", "\U0001f525", "x" * 100_000])
async def test_any_text_is_taken_and_stored(here: Place, text: str):
    async with serving(here) as api, working(here):
        taken = await send(api, body=text, subject=text[:500])
        shown = await until(api, taken["id"])

    assert shown["status"] == "sent"


async def test_pages_are_whole_and_in_order_and_filters_hold(here: Place):
    async with serving(here) as api:
        made = [
            (await send(api, incident_id=f"inc-{n % 2}", round=n + 1, channels=["console"]))["id"]
            for n in range(7)
        ]
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await api.get(PATH, params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
            seen += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        odd = (await api.get(PATH, params={"incident_id": "inc-1", "channel": "console"})).json()
        none = (await api.get(PATH, params={"status": "sent"})).json()
        slack = (await api.get(PATH, params={"channel": "slack", "episode_id": "epi-1"})).json()

    assert seen == made[::-1]
    assert {one["id"] for one in odd["items"]} == set(made[1::2])
    assert (none["items"], slack["items"]) == ([], [])


@pytest.mark.parametrize("cursor", ["x", "eA==", "MjAyNiAx", "MjAyNi0wMS0wMSBuMQ==", "ü"])
async def test_a_cursor_that_is_not_ours_is_refused(here: Place, cursor: str):
    async with serving(here) as api:
        answer = await api.get(PATH, params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")


@pytest.mark.requirement("INT-BR-SEC-007")
async def test_another_tenant_sees_nothing_and_is_told_apart(here: Place):
    async with serving(here) as api:
        mine = await send(api, "k1")
        token = minted(here, Role.operator, tenant="other")
        theirs = {"Authorization": f"Bearer {token}"}
        answers = [
            await api.get(f"{PATH}/{mine['id']}", headers=theirs),
            await api.get(f"{PATH}/{mine['id']}/attempts", headers=theirs),
            await api.post(f"{PATH}/{mine['id']}/retry", headers=theirs),
        ]
        page = (await api.get(PATH, headers=theirs)).json()
        same = (await api.post(PATH, json=telling(), headers={**theirs, "Idempotency-Key": "k1"})).json()

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert page["items"] == []
    assert same["id"] != mine["id"]
    assert same["deliveries"][0]["effect_id"] != mine["deliveries"][0]["effect_id"]


def minted(here: Place, role: Role, *, tenant: str = "default", namespaces: tuple[str, ...] = ("*",)) -> str:
    ring = Authenticator.from_settings(here.settings()).ring
    minter = TokenMinter(lambda: ring, service="test")
    return minter.mint("somebody", tenant=tenant, roles=[role], namespaces=namespaces)


@pytest.mark.requirement("INT-BR-SEC-008")
@pytest.mark.parametrize(
    ("role", "sends", "reads"),
    [(Role.operator, 202, 200), (Role.service, 202, 200), (Role.viewer, 403, 200), (Role.ingest, 403, 403)],
)
async def test_who_may_send_and_who_may_read(here: Place, role: Role, sends: int, reads: int):
    headers = {"Authorization": f"Bearer {minted(here, role)}"}
    async with serving(here) as api:
        sent = await api.post(PATH, json=telling(), headers=headers)
        read = await api.get(PATH, headers=headers)

    assert (sent.status_code, read.status_code) == (sends, reads)


@pytest.mark.requirement("INT-BR-SEC-007")
@pytest.mark.parametrize("role", [Role.operator, Role.viewer])
async def test_whose_right_ends_at_some_namespaces_reads_no_message(here: Place, role: Role):
    headers = {"Authorization": f"Bearer {minted(here, role, namespaces=('shop',))}"}
    async with serving(here) as api:
        path = f"{PATH}/{(await send(api, 'k1'))['id']}"
        reads = [await api.get(at, headers=headers) for at in (PATH, path, f"{path}/attempts")]
        again = await api.post(f"{path}/retry", headers=headers)

    assert [answer.status_code for answer in (*reads, again)] == [403] * 4


async def test_nobody_is_let_in_without_a_credential(here: Place):
    async with serving(here) as api:
        answer = await api.post(PATH, content=b"not json", headers={"Authorization": ""})

    assert answer.status_code == 401
