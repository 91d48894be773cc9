"""Decide which words are kept: text made printable, secrets taken out, links checked.

Done before anything is stored, so that a secret that was sent to us is in no row, no answer and no channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from libs.contracts.notifications import ActionLink, NotificationRequest
from libs.redaction import RULE_NAMES, redact
from services.notifications.domain.errors import InvalidRequest
from services.notifications.domain.message import Link
from services.notifications.domain.text import one_line, printable

SUBJECT, LABEL = 500, 200
"""Characters, as in the contract."""


@dataclass(frozen=True, slots=True)
class Wording:
    subject: str
    body: str
    links: tuple[Link, ...]
    redacted: tuple[str, ...]
    """Names of the rules that took something out, in the rules' order."""


def word(request: NotificationRequest) -> Wording:
    """The words as they are stored and sent.

    Raises:
        InvalidRequest: a link is not one that a person should follow.
    """
    subject, body = redact(one_line(request.subject, SUBJECT)), redact(printable(request.body))
    labels = [redact(one_line(link.label, LABEL)) for link in request.links]
    links = tuple(
        Link(label.text, _url(number, link))
        for number, (label, link) in enumerate(zip(labels, request.links, strict=True))
    )
    fired = {name for redacted in (subject, body, *labels) for name in redacted.rules}
    kept = subject.text or "(no subject)"
    return Wording(kept, body.text, links, tuple(name for name in RULE_NAMES if name in fired))


def _url(number: int, link: ActionLink) -> str:
    where = f"body.links.{number}.url"
    try:
        parts = urlsplit(link.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(where, "not a URL") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidRequest(where, "must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(where, "must not carry credentials")
    if (
        not link.url.isascii()
        or not link.url.isprintable()
        or any(sign in link.url for sign in ' <>"|\\^`{}')
    ):
        raise InvalidRequest(where, "must be percent-encoded")
    if redact(link.url).rules:
        raise InvalidRequest(where, "must not carry a secret")
    return link.url
