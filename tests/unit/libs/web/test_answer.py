"""Every answer carries the same headers, whoever began it."""

from __future__ import annotations

import pytest

from libs.web.answer import Answer, security_headers

pytestmark = pytest.mark.requirement("API-BR-SEC-010", "HAPI-101")

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}


@pytest.fixture
def sent():
    return []


@pytest.fixture
def answer(sent):
    async def send(message):
        sent.append(message)

    return Answer(send, security_headers(over_tls=False), "r-1")


async def test_the_applications_answer_gets_the_security_headers_and_its_request_id(answer, sent):
    await answer.send(START)
    await answer.send({"type": "http.response.body", "body": b"abc"})

    headers = dict(sent[0]["headers"])
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert headers[b"cache-control"] == b"no-store"
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-request-id"] == b"r-1"
    assert (answer.status, answer.size) == (200, 3)


async def test_an_answer_in_one_piece_has_the_same_headers(answer, sent):
    await answer.whole(404, b"application/problem+json", b"{}", [(b"allow", b"GET")])

    names = [name for name, _ in sent[0]["headers"]]
    assert {name for name, _ in security_headers(over_tls=False)} <= set(names)
    assert {b"x-request-id", b"allow", b"content-length", b"content-type"} <= set(names)
    assert len(names) == len(set(names))
    assert (answer.status, answer.size) == (404, 2)


async def test_a_route_may_say_itself_how_long_to_cache(answer, sent):
    await answer.send({**START, "headers": [(b"cache-control", b"max-age=60")]})

    assert [value for name, value in sent[0]["headers"] if name == b"cache-control"] == [b"max-age=60"]


async def test_a_page_may_bring_its_own_policy(answer, sent):
    answer.own_policy = True

    await answer.send({**START, "headers": [(b"content-security-policy", b"script-src 'self'")]})

    policies = [value for name, value in sent[0]["headers"] if name == b"content-security-policy"]
    assert policies == [b"script-src 'self'"]


def test_hsts_is_only_sent_where_tls_ends_in_front():
    assert b"strict-transport-security" in dict(security_headers(over_tls=True))
    assert b"strict-transport-security" not in dict(security_headers(over_tls=False))


async def test_an_answer_that_was_kept_says_itself_how_long_it_may_be_kept(answer, sent):
    await answer.kept(200, [(b"cache-control", b"private, max-age=15")], b"{}")

    headers = sent[0]["headers"]
    assert [value for name, value in headers if name == b"cache-control"] == [b"private, max-age=15"]
    expected = {name for name, _ in security_headers(over_tls=False)} | {b"x-request-id"}
    assert {name for name, _ in headers} == expected
    assert (answer.status, answer.size, sent[1]["body"]) == (200, 2, b"{}")


@pytest.mark.parametrize("way", ["send", "whole", "kept"])
async def test_who_asked_by_head_is_sent_no_body_whoever_answers(answer, sent, way):
    answer.bodiless = True
    if way == "send":
        await answer.send(START)
        await answer.send({"type": "http.response.body", "body": b"abc"})
    elif way == "whole":
        await answer.whole(404, b"application/problem+json", b"abc")
    else:
        await answer.kept(200, [], b"abc")

    assert (sent[1]["body"], answer.size) == (b"", 0)
