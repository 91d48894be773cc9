from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from libs.clients import peer as module
from libs.clients.breaker import FAILURES_IN_A_ROW, Breaker, BreakerState
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.clients.peer import LONGEST_PAUSE, Peer, _pause, segment
from libs.contracts.context import Resolution, ResolveRequest
from libs.logs.context import RequestContext, current_request

pytestmark = pytest.mark.requirement("HAPI-130", "HAPI-067", "INT-BR-REL-007", "API-BR-REL-007")

ANSWER = {"target": None, "owner": None, "exists": False, "reason": "no-target-label"}
SOON = timedelta(seconds=2)


class Example(Peer):
    name = "example"


class Answering:
    """A transport that answers in turn, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers) or [httpx.Response(200, json=ANSWER)]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def example(answering, **options) -> Example:
    return Example("http://peer:1", transport=httpx.MockTransport(answering), **options)


async def call(peer: Peer, *, deadline: timedelta = SOON, **options) -> Resolution:
    return await peer.call("GET", "/x", answer=Resolution, tenant="acme", deadline=deadline, **options)


async def unavailable(peer: Peer, **options) -> PeerUnavailable:
    with pytest.raises(PeerUnavailable) as failed:
        await call(peer, **options)
    return failed.value


async def test_an_answer_comes_back_as_its_contract():
    async with example(Answering()) as peer:
        assert await call(peer) == Resolution.model_validate(ANSWER)


async def test_the_time_left_travels_with_the_call():
    answering = Answering()

    await call(example(answering), deadline=timedelta(milliseconds=1500))

    assert answering.requests[0].headers["X-Request-Deadline"] == "1.500"


@pytest.mark.requirement("API-BR-SEC-012", "HAPI-064")
async def test_a_call_made_for_a_request_carries_its_id_and_trace():
    answering = Answering()
    context = RequestContext("r-1", f"00-{'a' * 32}-{'b' * 16}-01")
    token = current_request.set(context)
    async with example(answering) as peer:
        await call(peer)
        current_request.reset(token)
        await call(peer)

    during, after = answering.requests
    assert during.headers["traceparent"] == context.traceparent
    assert during.headers["x-request-id"] == "r-1"
    assert "traceparent" not in after.headers


async def test_the_credential_is_the_one_for_the_callers_tenant():
    answering = Answering()

    await call(example(answering, token=lambda tenant: f"token-of-{tenant}"))

    assert answering.requests[0].headers["Authorization"] == "Bearer token-of-acme"


async def test_without_a_credential_none_is_made_up():
    answering = Answering()

    await call(example(answering, token=lambda tenant: None))
    await call(example(answering))

    assert not [request for request in answering.requests if "Authorization" in request.headers]


async def test_a_model_is_sent_as_json_with_what_was_set_and_no_more():
    answering = Answering()

    await call(example(answering), body=ResolveRequest(labels={"pod": "web-1"}))

    assert answering.requests[0].content == b'{"labels":{"pod":"web-1"}}'
    assert answering.requests[0].headers["Content-Type"] == "application/json"


async def test_bytes_are_sent_as_they_are():
    answering = Answering()

    await call(example(answering), body=b'{"a":  1}')

    assert answering.requests[0].content == b'{"a":  1}'


async def test_a_deadline_longer_than_the_services_accept_is_cut():
    answering = Answering()

    await call(example(answering), deadline=timedelta(days=1))

    assert answering.requests[0].headers["X-Request-Deadline"] == "3600.000"


@pytest.mark.parametrize("left", [timedelta(0), timedelta(seconds=-1), timedelta(microseconds=400)])
async def test_a_deadline_that_has_passed_calls_nobody(left):
    answering = Answering()

    failed = await unavailable(example(answering), deadline=left)

    assert failed.reason == "deadline-passed"
    assert answering.requests == []


async def test_a_peer_that_never_answers_costs_the_deadline_and_no_more():
    async def hanging(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    failed = await unavailable(example(hanging), deadline=timedelta(milliseconds=20))

    assert failed.reason == "timeout"


async def test_a_peer_that_drips_its_answer_costs_the_deadline_and_no_more():
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self):
            while True:
                await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.005)
                yield b" "

    async def dripping(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Drip())

    failed = await unavailable(example(dripping), deadline=timedelta(milliseconds=50))

    assert failed.reason == "timeout"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("refused"), "connect"),
        (httpx.ReadError("reset"), "network"),
        (httpx.RemoteProtocolError("nonsense"), "network"),
        (httpx.ConnectTimeout("slow"), "timeout"),
        (httpx.PoolTimeout("busy"), "timeout"),
    ],
)
async def test_a_network_that_fails_is_named(error, reason):
    assert (await unavailable(example(Answering(error)))).reason == reason


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 408, 425, 429])
async def test_a_status_that_may_pass_means_unavailable(status):
    failed = await unavailable(example(Answering(httpx.Response(status))))

    assert failed.reason == f"http-{status}"


async def test_a_redirect_is_not_followed():
    answering = Answering(httpx.Response(307, headers={"Location": "http://elsewhere/"}))

    await unavailable(example(answering))

    assert len(answering.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_any_other_4xx_means_refused_with_the_peers_own_words(status):
    document = {"title": "No", "status": status, "code": "because", "detail": "name the namespace"}

    with pytest.raises(PeerRefused) as refused:
        await call(example(Answering(httpx.Response(status, json=document))))

    assert refused.value.status == status
    assert refused.value.problem.code == "because"
    assert "name the namespace" in str(refused.value)


async def test_a_refusal_without_a_problem_document_is_still_a_refusal():
    with pytest.raises(PeerRefused) as refused:
        await call(example(Answering(httpx.Response(404, text="<html>"))))

    assert refused.value.problem.code == "no-problem-document"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"target": 1}', b'{"unknown": 1}'])
async def test_an_answer_that_is_not_the_contract_is_no_answer(content):
    failed = await unavailable(example(Answering(httpx.Response(200, content=content))))

    assert failed.reason == "unexpected-answer"


async def test_an_answer_beyond_the_size_limit_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_ANSWER", 1000)
    read = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            nonlocal read
            while True:
                read += 100
                yield b"x" * 100

    failed = await unavailable(example(lambda _: httpx.Response(200, stream=Endless())))

    assert failed.reason == "answer-too-large"
    assert read <= 1200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("99999999999999999999", 3600), ("soon", None), ("-1", None), (None, None)],
)
async def test_the_pause_a_peer_asks_for_is_kept_within_an_hour(header, seconds):
    headers = {"Retry-After": header} if header else {}

    failed = await unavailable(example(Answering(httpx.Response(503, headers=headers))))

    assert failed.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_a_pause_may_be_an_http_date():
    now = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)

    assert _pause("Sat, 21 Nov 2026 07:00:30 GMT", now) == timedelta(seconds=30)
    assert _pause("Sat, 21 Nov 2026 06:00:00 GMT", now) == timedelta(0)
    assert _pause("Sat, 21 Nov 2099 06:00:00 GMT", now) == LONGEST_PAUSE


async def test_a_peer_that_keeps_failing_is_left_alone():
    answering = Answering(httpx.Response(503))
    peer = example(answering)
    for _ in range(FAILURES_IN_A_ROW):
        await unavailable(peer)

    failed = await unavailable(peer)

    assert failed.reason == "breaker-open"
    assert failed.retry_after is not None
    assert len(answering.requests) == FAILURES_IN_A_ROW
    assert peer.breaker.state is BreakerState.open


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(429), httpx.Response(401)])
async def test_a_peer_that_says_no_is_alive(answer):
    peer = example(Answering(answer))
    for _ in range(FAILURES_IN_A_ROW * 2):
        with pytest.raises((PeerRefused, PeerUnavailable)):
            await call(peer)

    assert peer.breaker.state is BreakerState.closed


async def test_a_caller_who_went_away_leaves_the_breaker_able_to_ask_again():
    clock = 0.0
    breaker = Breaker(now=lambda: clock, jitter=lambda: 0.0)
    asked = asyncio.Event()

    async def hanging(_: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    failing = example(Answering(httpx.Response(503)), breaker=breaker)
    for _ in range(FAILURES_IN_A_ROW):
        await unavailable(failing)
    clock = 31.0

    probe = asyncio.create_task(call(example(hanging, breaker=breaker)))
    await asked.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe

    assert await call(example(Answering(), breaker=breaker)) == Resolution.model_validate(ANSWER)
    assert breaker.state is BreakerState.closed


async def test_a_token_source_that_fails_does_not_block_the_probe():
    clock = 0.0
    breaker = Breaker(now=lambda: clock, jitter=lambda: 0.0)
    for _ in range(FAILURES_IN_A_ROW):
        await unavailable(example(Answering(httpx.Response(503)), breaker=breaker))
    clock = 31.0

    def broken(_: str) -> str:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        await call(example(Answering(), breaker=breaker, token=broken))

    assert (await call(example(Answering(), breaker=breaker))).reason == "no-target-label"


async def test_proxies_and_credentials_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:3128")

    async with Example("http://peer:1") as peer:
        assert peer._http._mounts == {}
        assert peer._http.trust_env is False


@pytest.mark.requirement("HAPI-105")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-1", "web-1"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("%2f", "%252f"),
    ],
)
def test_a_path_segment_stays_one_segment(text, expected):
    assert segment(text) == expected
