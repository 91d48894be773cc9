"""Write a message as an e-mail (RFC 5322): text and HTML, headers by which machines and people sort it.

Headers are set through `EmailMessage`, which refuses line ends, and without encoded words, which it does not
refuse: nothing that comes with an alert can add one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from services.notifications.adapters.rendering import html, plain
from services.notifications.domain.delivery import URGENT
from services.notifications.domain.message import Message
from services.notifications.domain.text import cut, one_line

HEADER = 500
"""Characters of one header's text."""
LONGEST = 1_000_000
"""Bytes of one mail. Most servers take 10 MB and more; nobody reads that."""


class Mail:
    """Writes mails from one sender."""

    def __init__(self, sender: str) -> None:
        """`sender` is a plain address; its domain is also that of the message ids."""
        self._sender = Address("Kubernaut", addr_spec=sender)
        self._text, self._html = plain("email.txt.j2"), html("email.html.j2")

    def write(self, message: Message) -> bytes:
        """The mail, its text cut until it fits; the cut says so. The same message makes the same mail."""
        keep = len(message.body)
        while True:
            mail = self._mail(message, cut(message.body, keep, of=message.notification_id))
            written = mail.as_bytes(policy=SMTP)
            if len(written) <= LONGEST or keep == 0:
                return written
            keep = min(int(keep * LONGEST / len(written) * 0.98), keep - 1)

    def _mail(self, message: Message, body: str) -> EmailMessage:
        shown = replace(message, body=body)
        mail = EmailMessage(policy=SMTP)
        for name, value in self._headers(message):
            mail[name] = harmless(value) if isinstance(value, str) else value
        mail.set_content(self._text(shown))
        mail.add_alternative(self._html(shown), subtype="html")
        mail.set_boundary(f"=_{message.effect_id}")
        return mail

    def _headers(self, message: Message) -> Iterator[tuple[str, str | Address]]:
        yield "From", self._sender
        yield "To", Address(addr_spec=message.recipient)
        yield "Subject", message.subject
        yield "Date", format_datetime(message.created_at)
        # The same fact to the same recipient has the same id, by which a mailbox can tell a repeated one.
        yield "Message-ID", f"<{message.effect_id}@{self._sender.domain}>"
        if message.thread:
            digest = hashlib.sha256(f"{message.tenant}\n{message.thread}".encode()).hexdigest()[:40]
            yield "References", f"<{digest}@{self._sender.domain}>"
        yield "Auto-Submitted", "auto-generated"
        yield "X-Auto-Response-Suppress", "All"
        if message.priority in URGENT:
            yield "Importance", "high"
        yield "X-Kubernaut-Notification", message.notification_id
        yield "X-Kubernaut-Priority", message.priority.value
        yield "X-Kubernaut-Transition", message.transition
        if message.incident_id:
            yield "X-Kubernaut-Incident", message.incident_id
        if message.episode_id:
            yield "X-Kubernaut-Episode", message.episode_id
        if message.possible_duplicate:
            yield "X-Kubernaut-Possible-Duplicate", "yes"


def harmless(value: str) -> str:
    """A header's text that is taken as it is written.

    `=?utf-8?q?=0aBcc:_x@y.org?=` is decoded by the standard library when it is set and written out again with
    its line end: a header of the sender's choice (CPython 3.11.7, seen 2026-11). A space ends its being one.
    """
    return one_line(value, HEADER).replace("=?", "= ?")
