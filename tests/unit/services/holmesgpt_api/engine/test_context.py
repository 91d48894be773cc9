"""The run's one door to the Context API: bounded, and every way it can fail is a sentence for the model."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from services.holmesgpt_api.engine.asking import Question
from services.holmesgpt_api.engine.context import LARGEST_ANSWER, Context, NoAnswer
from services.holmesgpt_api.engine.messages import ContextAccess

pytestmark = pytest.mark.requirement("HAPI-011", "HAPI-167", "HAPI-170")

QUESTION = Question("/api/v1/context/causes/shop/Pod/a", {"cluster": "local"})
Handler = Callable[[httpx.Request], httpx.Response]


def context(handler: Handler, *, left: float = 30) -> Context:
    access = ContextAccess(url="http://context:8091/", token="t0ken", timeout_s=5, priority="P1")
    return Context(access, until=time.monotonic() + left, transport=httpx.MockTransport(handler))


def answering(status: int, body: bytes = b"{}", **headers: str) -> Handler:
    return lambda _: httpx.Response(status, content=body, headers=headers)


def test_it_asks_with_the_runs_token_and_says_how_long_it_waits():
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"{}")

    with context(handler) as there:
        assert there.ask(QUESTION) == b"{}"

    (request,) = asked
    assert str(request.url) == "http://context:8091/api/v1/context/causes/shop/Pod/a?cluster=local"
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["X-Request-Priority"] == "P1"
    assert 0 < float(request.headers["X-Request-Deadline"]) <= 5


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"code": "unknown-object", "detail": "no such pod"}', "HTTP 404 unknown-object: no such pod"),
        (403, b'{"code": "namespace-not-readable", "title": "No"}', "HTTP 403 namespace-not-readable: No"),
        (503, b"<html>", "HTTP 503 without a reason"),
        (500, b"[]", "HTTP 500 without a reason"),
        (302, b"", "HTTP 302 without a reason"),
    ],
)
def test_a_refusal_is_told_in_the_problems_own_words(status: int, body: bytes, said: str):
    with (
        context(answering(status, body, location="http://elsewhere/")) as there,
        pytest.raises(NoAnswer) as no,
    ):
        there.ask(QUESTION)

    assert str(no.value) == said


def test_an_answer_too_large_to_read_is_not_read():
    with (
        context(answering(200, b"x" * (LARGEST_ANSWER + 1))) as there,
        pytest.raises(NoAnswer, match="ask for less"),
    ):
        there.ask(QUESTION)


@pytest.mark.parametrize(
    ("error", "said"),
    [(httpx.ReadTimeout("slow"), "within"), (httpx.ConnectError("refused"), "ConnectError")],
)
def test_silence_and_refused_connections_are_told(error: Exception, said: str):
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    with context(handler) as there, pytest.raises(NoAnswer, match=said):
        there.ask(QUESTION)


def test_past_the_runs_end_nothing_is_asked():
    with context(answering(200), left=-1) as there, pytest.raises(NoAnswer, match="time is up"):
        there.ask(QUESTION)
