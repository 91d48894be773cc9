"""Each way a model can fail has one word, judged by status and chain of causes; only some are worth asking again."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from services.holmesgpt_api.engine.failures import LONGEST_PAUSE, Fault, NoModel, fault, pause
from services.holmesgpt_api.engine.messages import SAID

pytestmark = pytest.mark.requirement("HAPI-029", "HAPI-103")

NOW = datetime(2026, 11, 18, 9, 0, tzinfo=UTC)


def raised(
    name: str,
    text: str = "no",
    *,
    status: Any = None,
    cause: Exception | None = None,
    retry_after: str | None = None,
) -> Exception:
    """An exception as litellm raises it: known by its class's name, its status and its cause."""
    error: Exception = type(name, (Exception,), {})(text)
    error.status_code = status  # type: ignore[attr-defined]
    error.headers = {"retry-after": retry_after} if retry_after else {}  # type: ignore[attr-defined]
    error.__cause__ = cause
    return error


def answered(status: int) -> Exception:
    """An answer's status as httpx raises it."""
    error: Exception = type("HTTPStatusError", (Exception,), {})("")
    error.response = raised("Response", status=status)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "word", "again"),
    [
        (raised("BadRequestError", "Incorrect API key", status=401), "model-unauthorized", False),
        (raised("PermissionDeniedError", status=403), "model-unauthorized", False),
        (raised("RateLimitError", status=429), "model-rate-limited", True),
        (raised("InternalServerError", status=500), "model-error", True),
        (raised("BadGatewayError", status="502"), "model-error", True),
        (raised("NotImplementedByServer", status=501), "model-error", False),
        (
            raised(
                "InternalServerError", "Connection error.", status=500, cause=raised("APIConnectionError")
            ),
            "model-unreachable",
            True,
        ),
        (raised("APIConnectionError", status=500, cause=answered(503)), "model-error", True),
        (raised("APIConnectionError", status=500, cause=answered(401)), "model-unauthorized", False),
        (raised("Timeout", status=408), "model-timeout", True),
        (raised("InternalServerError", status=500, cause=raised("ReadTimeout")), "model-timeout", True),
        (raised("ContextWindowExceededError", status=400), "model-context-exceeded", False),
        (
            raised("BadRequestError", "This model's maximum context length is 8192", status=400),
            "model-context-exceeded",
            False,
        ),
        (raised("BadRequestError", "unknown parameter", status=400), "model-refused", False),
        (raised("NotFoundError", "no such model", status=404), "model-misconfigured", False),
        (raised("InternalServerError", status=500, cause=raised("JSONDecodeError")), "model-garbage", False),
        (
            raised(
                "InternalServerError",
                "Empty or invalid response from LLM endpoint. Received: '<html>'",
                status=500,
            ),
            "model-garbage",
            False,
        ),
        (raised("APIError", "no status at all"), "model-garbage", False),
    ],
)
def test_a_failure_has_one_word(error: Exception, word: str, again: bool):
    found = fault(error, now=NOW)

    assert (found.word, found.again) == (word, again)


def test_what_is_told_is_one_line_without_the_librarys_prefix_and_without_a_key():
    error = raised(
        "AuthenticationError",
        "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key provided:\n sk-abc123. Bearer xyz api_key=foo",
        status=401,
    )

    said = fault(error, now=NOW).detail

    assert said == "HTTP 401: Incorrect API key provided: [REDACTED]. [REDACTED] [REDACTED]"


def test_a_circle_of_causes_ends():
    first, second = raised("A"), raised("B")
    first.__cause__, second.__cause__ = second, first

    assert fault(first, now=NOW).word == "model-garbage"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (format_datetime(NOW + timedelta(seconds=9)), 9.0),
        ("soon", None),
    ],
)
def test_a_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None):
    error = raised("RateLimitError", status=429, retry_after=text)

    assert fault(error, now=NOW).pause == seconds


def test_the_model_says_how_long_to_wait_and_the_deadline_says_whether_there_is_time():
    asked = Fault("model-rate-limited", "", again=True, pause=7.0)

    assert pause(asked, 1, left=20, jitter=0.5) == 7.0
    assert pause(asked, 1, left=7.5, jitter=0.5) is None
    assert (
        pause(Fault("model-rate-limited", "", again=True, pause=LONGEST_PAUSE + 1), 1, left=999, jitter=0)
        is None
    )


def test_pauses_grow_and_what_cannot_help_is_not_tried_again():
    busy = Fault("model-error", "", again=True)

    waits = [pause(busy, attempt, left=100, jitter=0.5) for attempt in (1, 2, 3, 9)]

    assert waits == [0.5, 1.0, 2.0, 8.0]
    assert pause(Fault("model-unauthorized", "", again=False), 1, left=100, jitter=0.5) is None


@pytest.mark.requirement("HAPI-110")
def test_a_servers_words_are_cleared_before_they_are_shortened():
    secret = secrets.token_hex(14)
    said = f"{'x' * (SAID - 25)} postgres://app:{secret}@db/shop"  # the last character stands in the secret

    told = fault(raised("APIError", said, status=500), now=NOW).detail

    assert secret[:6] not in told
    assert "postgres" in told


def test_a_detail_is_never_longer_than_a_message_allows():
    assert len(NoModel("model-error", "x" * 9_999).detail) == SAID
