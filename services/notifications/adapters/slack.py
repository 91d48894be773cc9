"""SlackWebhook: posts to one incoming webhook. Fulfils `domain.ports.ChannelAdapter`.

The URL is the secret: it is in no error and no log line, redirects are not followed, and it must belong to
an allowed origin, so that a wrong setting cannot make us call something inside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import orjson
from pydantic import SecretStr

from services.notifications.adapters.rendering import mrkdwn, slack_escape
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Link, Message
from services.notifications.domain.text import cut

LONGEST = 40_000
"""Bytes of one message. Slack truncates a text above 40,000 characters."""
SECTION = 2_900
"""Characters of one section, fence and entities included; Slack refuses more than 3,000."""
MAX_ANSWER = 4_096
"""Bytes read of an answer; Slack says `ok` or one word."""

_NOT_NOW = frozenset({408, 425, 429})


class OriginNotAllowed(ValueError):
    """The webhook's origin is not on the list; the URL itself is not repeated."""


def client(deadline: timedelta, *, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """An HTTP client for webhooks: no redirects, no proxy from the environment, certificates verified."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(deadline.total_seconds()),
        follow_redirects=False,
        trust_env=False,
        transport=transport,
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
        headers={"User-Agent": "kubernaut-services", "Content-Type": "application/json"},
    )


class _Answer(NamedTuple):
    status: int
    said: bytes
    retry_after: str | None


class SlackWebhook:
    def __init__(
        self, http: httpx.AsyncClient, url: SecretStr, *, origins: Collection[str], deadline: timedelta
    ) -> None:
        """Raises OriginNotAllowed."""
        its = origin(url.get_secret_value())
        if its is None or its not in {origin(allowed) for allowed in origins}:
            raise OriginNotAllowed("the webhook's origin is not one of SLACK_ORIGINS")
        self._http, self._url, self._deadline = http, url, deadline
        self._head, self._foot = mrkdwn("slack-head.mrkdwn.j2"), mrkdwn("slack-foot.mrkdwn.j2")

    async def send(self, message: Message) -> None:
        body = self._fitting(message)
        # Causes are left out on purpose ("from None"): httpx's messages and requests carry the URL.
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                answer = await self._post(body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            unverified = "CERTIFICATE_VERIFY_FAILED" in str(error)
            detail = "its certificate is not trusted" if unverified else type(error).__name__
            raise DeliveryFailed("connect", detail, retry=True) from None
        except (TimeoutError, httpx.TimeoutException):
            text = f"no answer within {self._deadline.total_seconds():g} s"
            raise DeliveryFailed("timeout", text, retry=True, maybe_delivered=True) from None
        except httpx.HTTPError as error:
            raise DeliveryFailed("network", type(error).__name__, retry=True, maybe_delivered=True) from None
        if not 200 <= answer.status < 300:
            raise _refusal(answer)

    async def close(self) -> None:
        await self._http.aclose()

    async def _post(self, body: bytes) -> _Answer:
        request = self._http.build_request("POST", self._url.get_secret_value(), content=body)
        answer = await self._http.send(request, stream=True)
        said = b""
        try:
            async for chunk in answer.aiter_raw(MAX_ANSWER):
                said = chunk
                break
        finally:
            await answer.aclose()
        return _Answer(answer.status_code, said, answer.headers.get("retry-after"))

    def _fitting(self, message: Message) -> bytes:
        """The payload, its text cut until it fits; the cut says so."""
        keep = len(message.body)
        while True:
            text = cut(message.body, keep, of=message.notification_id)
            body = orjson.dumps(self._payload(message, text))
            if len(body) <= LONGEST or keep == 0:
                return body
            keep = min(int(keep * LONGEST / len(body) * 0.98), keep - 1)

    def _payload(self, message: Message, text: str) -> dict[str, Any]:
        linked = links(message.links, of=message.notification_id)
        blocks = [
            _section(self._head(message)),
            *(_section(f"```\n{part}\n```") for part in sections(text)),
            *([_section(linked)] if linked else []),
            {"type": "context", "elements": [_mrkdwn(self._foot(message))]},
        ]
        return {
            "text": slack_escape(message.subject),
            "blocks": blocks,
            "unfurl_links": False,
            "unfurl_media": False,
        }


def origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None when it is no https URL with a host and without credentials.

    Plain http is for a loopback test server only.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.username is not None or parts.password is not None:
        return None
    if parts.scheme == "https":
        return ("https", host, port or 443)
    return ("http", host, port or 80) if parts.scheme == "http" and host in {"127.0.0.1", "::1"} else None


def sections(text: str) -> Iterator[str]:
    """Escaped parts that fit a section each, cut at line ends where there are some."""
    part: list[str] = []
    length = 0
    # A fence inside the text would end ours.
    for line in slack_escape(text.replace("```", "'''")).split("\n"):
        for piece in _pieces(line):
            if part and length + len(piece) > SECTION:
                yield "\n".join(part)
                part, length = [], 0
            part.append(piece)
            length += len(piece) + 1
    yield "\n".join(part)


def _pieces(line: str) -> Iterator[str]:
    """An escaped line in pieces of at most a section; no entity is torn apart."""
    while len(line) > SECTION:
        entity = line.rfind("&", SECTION - 4, SECTION)
        end = entity if entity >= 0 and ";" not in line[entity:SECTION] else SECTION
        yield line[:end]
        line = line[end:]
    yield line


def links(those: Sequence[Link], *, of: str) -> str:
    """As many links as fit one section; the last words say how many did not."""
    shown: list[str] = []
    for number, link in enumerate(those):
        # The URL was checked to be percent-encoded: it holds no `>`, `|` or space; `&` has to be written out.
        made = f"<{link.url.replace('&', '&amp;')}|{slack_escape(link.label).replace('|', '/')}>"
        if len(" · ".join([*shown, made])) > SECTION - 100:
            shown.append(f"{len(those) - number} more: GET /api/v1/notifications/{of}")
            break
        shown.append(made)
    return " · ".join(shown)


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: addresses and names in foreign text are not made into links or mentions.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _refusal(answer: _Answer) -> DeliveryFailed:
    later = answer.status in _NOT_NOW or answer.status >= 500
    # Slack says one word, `no_service`; what else a server says may repeat the URL.
    word = answer.said.decode("ascii", "replace")
    return DeliveryFailed(
        f"http-{answer.status}",
        word if re.fullmatch(r"[a-z_]{1,60}", word) else "",
        retry=later,
        retry_after=_pause(answer.retry_after, datetime.now(UTC)) if later else None,
        about_channel=answer.status not in {400, 413},
    )


def _pause(value: str | None, now: datetime) -> timedelta | None:
    """`Retry-After`: seconds or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(until - now, timedelta(0)) if until.tzinfo else None
