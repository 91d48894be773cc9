"""An SMTP server on a real socket: STARTTLS or TLS, authentication, answers as told; it logs every mail it took.

The log is what reached the other side, whatever the caller came to know of it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

TAKEN = "250 OK"


@dataclass
class Mailbox:
    """Attributes:
    mails: what was taken, in order.
    recipients: answers to RCPT per address, used up from the front; then `TAKEN`.
    content: called for each content; its answer is sent, but not before `release` is set.
    """

    port: int
    username: str = "kubernaut"
    password: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    tls_versions: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    recipients: dict[str, list[str]] = field(default_factory=dict)
    content: Callable[[EmailMessage], str] = lambda mail: TAKEN
    taken: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    async def handle_RCPT(  # noqa: N802 - the library looks for it by name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append(address)
        said = self.recipients.get(address)
        answer = said.pop(0) if said else TAKEN
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        mail = message_from_bytes(_bytes(envelope.content), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        answer = self.content(mail)
        if answer.startswith("2"):
            self.mails.append(mail)
        if session.ssl is not None:
            self.tls_versions.append(str(session.ssl["cipher"][1]))
        self.taken.set()
        await server.loop.run_in_executor(None, self.release.wait)
        return answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self.password.encode()
        self.logins.append(mechanism)
        return AuthResult(success=good, handled=False)


@contextmanager
def mailbox(
    tls: ssl.SSLContext | None,
    *,
    password: str = "",
    implicit: bool = False,
    starttls: bool = True,
) -> Iterator[Mailbox]:
    """Start it on a free port of 127.0.0.1; a password means that only who has it may send.

    Not with implicit TLS: the library offers authentication after STARTTLS alone.
    """
    box = Mailbox(_free_port(), password=password)
    box.release.set()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=tls if implicit else None,
        tls_context=tls if starttls and not implicit else None,
        require_starttls=bool(tls and starttls and not implicit),
        authenticator=box.authenticate if password else None,
        auth_required=bool(password),
        enable_SMTPUTF8=False,
    )
    controller.start()
    try:
        yield box
    finally:
        box.release.set()
        controller.stop()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _bytes(content: bytes | str | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""
