"""Asks the Context API on behalf of one run: one door, bounded in time and size, with the run's own token."""

from __future__ import annotations

import functools
import json
import ssl
import threading
import time
from types import TracebackType

import httpx

from services.holmesgpt_api.engine.asking import Question
from services.holmesgpt_api.engine.messages import SAID, ContextAccess

LARGEST_ANSWER = 2 * 1024 * 1024
"""Bytes. The Context API's pages end at a quarter of a megabyte; a larger answer is none of its."""


@functools.lru_cache(maxsize=4)
def trusted(authorities: str | None) -> ssl.SSLContext:
    """Which certificates are believed. The public ones are read in the zygote, once: it takes 29 ms of CPU (measured
    2026-11); of our own there are a few, and they come with the first question.

    Raises:
        ssl.SSLError: they are no certificates.
    """
    if authorities is None:
        return httpx.create_ssl_context(trust_env=False)
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class NoAnswer(Exception):
    """The Context API gave none; the text is for the model, and says what it may try instead."""


class Context:
    """Use it with `with`. Follows no redirect and knows no proxy: it speaks to one address."""

    def __init__(
        self, access: ContextAccess, *, until: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`until`: the run's end on the monotonic clock; no call waits longer."""
        headers = {"Accept": "application/json"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        if access.priority:
            headers["X-Request-Priority"] = access.priority
        self._url, self._headers, self._transport = access.url.rstrip("/"), headers, transport
        self._authorities = access.authorities
        self._client: httpx.Client | None = None
        self._one_makes_it = threading.Lock()
        self._timeout, self._until = access.timeout_s, until

    def _made(self) -> httpx.Client:
        """With the first question: a run that asks none needs none. Several tools may ask it at once."""
        with self._one_makes_it:
            if self._client is None:
                self._client = httpx.Client(
                    base_url=self._url,
                    headers=self._headers,
                    trust_env=False,
                    transport=self._transport,
                    verify=trusted(self._authorities),
                )
            return self._client

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def ask(self, question: Question) -> bytes:
        """Raises NoAnswer."""
        patience = min(self._timeout, self._until - time.monotonic())
        if patience <= 0:
            raise NoAnswer("the run's time is up; conclude with what is known")
        ends = time.monotonic() + patience
        try:
            with self._made().stream(
                "GET",
                question.path,
                params=dict(question.query),
                timeout=patience,
                headers={"X-Request-Deadline": f"{patience:.3f}"},
            ) as answer:
                body = _bounded(answer, ends)
        except httpx.TimeoutException:
            raise NoAnswer(f"the Context API did not answer within {patience:.0f} s") from None
        except (httpx.HTTPError, OSError) as error:  # OSError: the authorities are none
            raise NoAnswer(f"the Context API does not answer: {type(error).__name__}") from None
        if answer.status_code != httpx.codes.OK:
            raise NoAnswer(_said(answer.status_code, body))
        return body


def _bounded(answer: httpx.Response, ends: float) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise NoAnswer("the answer is larger than can be read; ask for less")
        if time.monotonic() > ends:
            raise NoAnswer("the answer did not arrive in time")
        pieces.append(piece)
    return b"".join(pieces)


def _said(status: int, body: bytes) -> str:
    """A problem document's own words, as far as they are short."""
    try:
        problem = json.loads(body)
        words = f"{problem['code']}: {problem.get('detail') or problem.get('title') or ''}"
    except (ValueError, KeyError, TypeError, AttributeError):
        words = "without a reason"
    return f"HTTP {status} {words}"[:SAID]
