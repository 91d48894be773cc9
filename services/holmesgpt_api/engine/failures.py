"""Say in one stable word why a model gave no answer, and whether asking again can help. Pure.

Judged by the status code and by what stands in the chain of causes, never by the exception's class alone:
litellm reports a refused connection and an answer that is no completion as HTTP 500, and a wrong key under
OpenAI's body as a bad request (seen with 1.89.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from libs.redaction import redact
from services.holmesgpt_api.engine.messages import SAID, Word

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may be answered."""

LONGEST_PAUSE = 30.0
"""Seconds. A model that asks for a longer one has none to give in this run."""

_CONTEXT = re.compile(
    r"context (length|window)|maximum context|too many tokens|prompt is too long|input is too long",
    re.IGNORECASE,
)
_NONE_OF_ITS = re.compile(r"is not valid json|invalid response from llm endpoint", re.IGNORECASE)
_NO_COMPLETION = frozenset(
    {"NoCompletion", "JSONDecodeError", "APIResponseValidationError", "ValidationError", "KeyError"}
)
_NO_CONNECTION = frozenset(
    {
        *("APIConnectionError", "ConnectError", "ConnectionError", "ConnectionRefusedError"),
        *("ReadError", "WriteError", "RemoteProtocolError", "ProxyError"),
    }
)
_TOO_SLOW = frozenset(
    {"Timeout", "APITimeoutError", "ReadTimeout", "ConnectTimeout", "PoolTimeout", "WriteTimeout"}
)


class NoModel(Exception):
    """The model gave no answer that can be used."""

    def __init__(self, word: Word, detail: str) -> None:
        super().__init__(f"{word}: {detail}")
        self.word: Word = word
        self.detail = detail[:SAID]


@dataclass(frozen=True, slots=True)
class Fault:
    word: Word
    detail: str
    again: bool
    pause: float | None = None
    """Seconds that the model asks to be left alone; None: it did not say."""


def fault(error: BaseException, *, now: datetime) -> Fault:
    """What an exception of the model's library means."""
    chain = list(_chain(error))
    names = {type(one).__name__ for one in chain}
    answered = next((code for one in chain if (code := _answered(one)) is not None), None)
    status = answered or next((code for one in chain if (code := _status(one)) is not None), None)
    said = _said(error)
    if names & _TOO_SLOW or status == 408:
        return Fault("model-timeout", said, again=True)
    if "ContextWindowExceededError" in names or (status in (400, 413) and _CONTEXT.search(said)):
        return Fault("model-context-exceeded", said, again=False)
    if status in (401, 403):
        return Fault("model-unauthorized", f"HTTP {status}: {said}", again=False)
    if status == 404:  # no such model there, or no such address: the next question would hear the same
        return Fault("model-misconfigured", f"HTTP 404: {said}", again=False)
    if status == 429:
        return Fault("model-rate-limited", f"HTTP 429: {said}", again=True, pause=_retry_after(chain, now))
    if answered is None and (names & _NO_CONNECTION or "connection error" in said.lower()):
        return Fault("model-unreachable", said, again=True)
    if names & _NO_COMPLETION or _NONE_OF_ITS.search(said) or status is None:
        return Fault("model-garbage", said, again=False)
    if status >= 500:
        return Fault(
            "model-error", f"HTTP {status}: {said}", again=status in AGAIN, pause=_retry_after(chain, now)
        )
    return Fault("model-refused", f"HTTP {status}: {said}", again=status in AGAIN)


def pause(fault: Fault, attempt: int, *, left: float, jitter: float) -> float | None:
    """How long to wait before the next attempt; None: there is no time for it, or no sense in it.

    Args:
        attempt: number of the attempt that failed, from 1.
        left: seconds until the run must end.
        jitter: 0 to 1.
    """
    if not fault.again:
        return None
    wanted = fault.pause if fault.pause is not None else min(0.5 * 2 ** (attempt - 1), 8.0) * (0.5 + jitter)
    return wanted if wanted <= min(LONGEST_PAUSE, left - 1.0) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: object) -> int | None:
    code = getattr(error, "status_code", None)
    try:
        number = int(code) if code is not None else None
    except (TypeError, ValueError):
        return None
    return number if number is not None and 100 <= number <= 599 else None


def _answered(error: BaseException) -> int | None:
    """The status of an answer that has really come. litellm calls Ollama's every error one of the connection."""
    if type(error).__name__ != "HTTPStatusError":
        return None
    response = getattr(error, "response", None)
    return _status(response) if response is not None else None


def _retry_after(chain: list[BaseException], now: datetime) -> float | None:
    for one in chain:
        for holder in (one, getattr(one, "response", None)):
            headers = getattr(holder, "headers", None) or getattr(holder, "litellm_response_headers", None)
            if isinstance(headers, Mapping) and (text := headers.get("retry-after")):
                return _seconds(str(text), now)
    return None


def _seconds(text: str, now: datetime) -> float | None:
    """Retry-After is a number of seconds or a date (RFC 9110, 10.2.3)."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment - now).total_seconds(), 0.0) if moment.tzinfo else None


_SECRET = re.compile(r"(?i)\b(sk-[a-z0-9_-]{4,}|bearer\s+\S+|(api[_ ]?key|token)\s*[:=]\s*\S+)")


def _said(error: BaseException) -> str:
    """The exception's own words on one line, without the library's prefix and without anything like a key."""
    text = " ".join(str(error).split())
    text = re.sub(r"^(litellm\.\w+:\s*)?(\w+Error:\s*)?(\w+Exception\s*-\s*)?", "", text)
    return without_secrets(text)[:SAID] or type(error).__name__


def without_secrets(said: str) -> str:
    """A foreign server's words, before they are shortened: half of a secret is known for one by no rule."""
    return _SECRET.sub("[REDACTED]", redact(said[: 8 * SAID]).text)
