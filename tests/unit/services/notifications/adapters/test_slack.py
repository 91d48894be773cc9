from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.notifications.adapters.slack import (
    LONGEST,
    SECTION,
    OriginNotAllowed,
    SlackWebhook,
    client,
    links,
    sections,
)
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Link, Message
from tests.support.messages import message

pytestmark = pytest.mark.requirement("INT-BR-NOT-002", "INT-BR-SEC-011")

URL = "https://hooks.slack.com/services/T000/B000/very-secret-part"
ORIGINS = ["https://hooks.slack.com"]
DEADLINE = timedelta(seconds=5)


def webhook(answer: Callable[[httpx.Request], Any], deadline: timedelta = DEADLINE) -> SlackWebhook:
    http = client(deadline, transport=httpx.MockTransport(answer))
    return SlackWebhook(http, SecretStr(URL), origins=ORIGINS, deadline=deadline)


def reply(status: int, text: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=httpx.ByteStream(text.encode()), headers=named)


def answering(status: int, text: str = "", **headers: str) -> SlackWebhook:
    return webhook(lambda _: reply(status, text, **headers))


async def posted(told: Message) -> tuple[dict[str, Any], str]:
    bodies: list[bytes] = []

    def keep(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return reply(200, "ok")

    await webhook(keep).send(told)
    return orjson.loads(bodies[0]), bodies[0].decode()


async def failure(channel: SlackWebhook) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await channel.send(message())
    return failed.value


async def test_a_message_has_its_subject_its_text_and_what_it_is_about():
    payload, raw = await posted(message(links=(Link("runbook", "https://x.org/?a=1&b=2"),)))

    assert payload["text"] == message().subject
    assert "because it was edited 2 min before" in raw
    assert "<https://x.org/?a=1&amp;b=2|runbook>" in raw
    assert "incident inc-1" in raw
    assert payload["unfurl_links"] is False


async def test_every_text_is_verbatim_so_that_slack_makes_no_links_of_it():
    payload, _ = await posted(message(links=(Link("a", "https://x.org/"),)))

    texts = [block.get("text") or block["elements"][0] for block in payload["blocks"]]
    assert all(text["verbatim"] for text in texts)


async def test_foreign_text_calls_nobody_and_links_nowhere():
    hostile = "<!channel> <!here> <@U1> <#C1> <https://evil.example|login> ``` *x*"

    payload, raw = await posted(
        message(subject=hostile, body=hostile, links=(Link(hostile, "https://x.org/"),))
    )

    assert raw.count("<") == 1  # our own link
    assert "&lt;!channel&gt;" in raw
    assert payload["blocks"][1]["text"]["text"].count("```") == 2  # our own fence


async def test_a_repeated_message_is_marked():
    payload, _ = await posted(message(possible_duplicate=True))

    assert "*Possible duplicate*" in payload["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("letter", ["x", "&", "漢", '"'])
async def test_a_message_too_long_is_cut_and_says_where_the_rest_is(letter: str):
    payload, raw = await posted(message(body=(letter * 79 + "\n") * 1_250))

    assert LONGEST * 0.7 < len(raw.encode()) <= LONGEST
    assert f"the whole text: GET /api/v1/notifications/{message().notification_id}" in raw
    assert len(payload["blocks"]) <= 50


@given(st.text(alphabet="a&<> \n", max_size=12_000) | st.text(max_size=200))
def test_sections_keep_every_sign_and_the_limit(text: str):
    parts = list(sections(text))

    assert all(len(part) <= SECTION for part in parts)
    whole = "".join(parts).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert whole.replace("\n", "").count("&") == text.count("&")
    assert not any(part.endswith(("&", "&a", "&am", "&amp", "&l", "&lt", "&g", "&gt")) for part in parts)


def test_links_that_do_not_fit_are_counted():
    those = [Link("label" * 30, "https://x.org/" + "y" * 400)] * 10

    text = links(those, of="n1")

    assert len(text) <= SECTION
    assert text.endswith("6 more: GET /api/v1/notifications/n1")


async def test_a_rate_limit_is_retried_after_the_time_slack_asks_for():
    failed = await failure(answering(429, retry_after="7"))

    assert (failed.reason, failed.retry, failed.retry_after) == ("http-429", True, timedelta(seconds=7))


async def test_a_date_to_retry_after_is_understood_and_nonsense_is_ignored():
    past = await failure(answering(503, retry_after="Mon, 02 Nov 2020 12:00:00 GMT"))
    nonsense = await failure(answering(503, retry_after="soon"))

    assert (past.retry_after, nonsense.retry_after) == (timedelta(0), None)


@pytest.mark.parametrize(
    ("status", "said", "reason", "retry", "about_channel"),
    [
        (500, "", "http-500", True, True),
        (404, "no_service", "http-404: no_service", False, True),
        (403, "invalid_token", "http-403: invalid_token", False, True),
        (400, "invalid_payload", "http-400: invalid_payload", False, False),
        (302, "", "http-302", False, True),
    ],
)
async def test_what_slack_answers_decides_whether_to_try_again(
    status: int, said: str, reason: str, retry: bool, about_channel: bool
):
    failed = await failure(answering(status, said, location="https://evil.example/"))

    assert (str(failed), failed.retry, failed.about_channel) == (reason, retry, about_channel)


async def test_a_redirect_is_not_followed():
    called: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        called.append(str(request.url))
        return reply(302, location="http://169.254.169.254/")

    await failure(webhook(redirect))

    assert called == [URL]


async def test_silence_ends_at_the_deadline_and_leaves_a_doubt():
    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    failed = await failure(webhook(hang, deadline=timedelta(milliseconds=20)))

    assert (failed.reason, failed.retry, failed.maybe_delivered) == ("timeout", True, True)


@pytest.mark.parametrize(
    ("error", "reason", "doubt"),
    [
        (httpx.ConnectError(f"no route to {URL}"), "connect: ConnectError", False),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            "connect: its certificate is not trusted",
            False,
        ),
        (httpx.ReadError(URL), "network: ReadError", True),
        (httpx.UnsupportedProtocol(URL), "network: UnsupportedProtocol", True),
    ],
)
async def test_no_error_carries_the_webhook(error: Exception, reason: str, doubt: bool):
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    failed = await failure(webhook(fail))

    assert (str(failed), failed.maybe_delivered) == (reason, doubt)
    assert "very-secret-part" not in "".join(traceback.format_exception(failed))


async def test_what_a_server_says_beyond_one_word_is_not_repeated():
    failed = await failure(answering(500, f"cannot reach {URL}"))

    assert str(failed) == "http-500"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com.evil.example/services/x",
        "https://evil.example/hooks.slack.com",
        "https://hooks.slack.com:8443/services/x",
        "http://hooks.slack.com/services/x",
        "https://user@hooks.slack.com/services/x",
        "https://hooks.slack.com@evil.example/x",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://[::1",
        "",
    ],
)
def test_only_an_allowed_origin_is_ever_called_and_the_refusal_keeps_the_secret(url: str):
    with pytest.raises(OriginNotAllowed) as refused:
        SlackWebhook(client(DEADLINE), SecretStr(url), origins=ORIGINS, deadline=DEADLINE)

    assert url == "" or url not in str(refused.value)


def test_a_missing_origin_in_the_list_allows_nothing():
    with pytest.raises(OriginNotAllowed):
        SlackWebhook(client(DEADLINE), SecretStr("not a url"), origins=["also not"], deadline=DEADLINE)
