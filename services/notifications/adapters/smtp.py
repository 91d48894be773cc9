"""SmtpMail: hands a mail to an SMTP server. Fulfils `domain.ports.ChannelAdapter`.

One connection per mail: at our rates a handshake costs less than finding out that a kept one has died.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

import aiosmtplib
from pydantic import SecretStr

from libs.redaction import redact
from services.notifications.adapters.mail import Mail
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message
from services.notifications.domain.text import one_line

Tls = Literal["starttls", "implicit", "none"]

GOODBYE_S = 1.0
DETAIL = 300
"""Characters of a server's answer that are kept."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in, and how."""

    host: str
    port: int
    tls: Tls
    username: str | None
    password: SecretStr | None
    deadline: timedelta


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are verified, names too; TLS 1.2 or newer. Raises OSError when the file cannot be read."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class SmtpMail:
    def __init__(self, server: Server, *, sender: str, tls_context: ssl.SSLContext) -> None:
        self._server, self._sender, self._tls_context = server, sender, tls_context
        self._mail = Mail(sender)

    async def send(self, message: Message) -> None:
        written = self._mail.write(message)
        client, stage = self._client(), _Stage()
        try:
            async with asyncio.timeout(self._server.deadline.total_seconds()):
                await self._hand_in(client, written, message.recipient, stage)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._failure(error, stage) from error
        finally:
            await _leave(client, stage.transports)

    async def close(self) -> None:
        return None

    async def _hand_in(self, client: aiosmtplib.SMTP, written: bytes, recipient: str, stage: _Stage) -> None:
        server = self._server
        # One step at a time, although connecting could do all three: when one of them fails, the client forgets its
        # transport, and only who knew it before can still close it at once.
        await client.connect()
        stage.holds(client)
        if server.tls == "starttls":
            # Asked for, not taken where offered: an attacker who hides STARTTLS gets no plain text instead.
            await client.starttls()
            stage.holds(client)
        if server.username is not None:
            await client.login(server.username, server.password.get_secret_value() if server.password else "")
        stage.welcome = True
        await client.mail(self._sender)
        await client.rcpt(recipient)
        stage.content_sent = True
        await client.data(written)

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,
            tls_context=None if server.tls == "none" else self._tls_context,
            # Its default asks DNS for our own name, which takes seconds where there is none.
            local_hostname=self._sender.rpartition("@")[2],
            timeout=server.deadline.total_seconds(),
        )

    def _failure(self, error: Exception, stage: _Stage) -> DeliveryFailed:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return _answered(error, stage)
        if verification := _verification(error):
            return DeliveryFailed("tls-certificate", verification.verify_message, retry=True)
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return DeliveryFailed("tls", _said(str(error)), retry=True)
        if isinstance(error, TimeoutError):
            text = f"no answer within {self._server.deadline.total_seconds():g} s"
            return DeliveryFailed("timeout", text, retry=True, maybe_delivered=stage.content_sent)
        if isinstance(error, OSError):
            word = "network" if stage.welcome else "connect"
            return DeliveryFailed(word, type(error).__name__, retry=True, maybe_delivered=stage.content_sent)
        # STARTTLS or AUTH is not offered: a server that is wrongly set up, or somebody in between.
        return DeliveryFailed("smtp-unsupported", _said(str(error)), retry=True)


async def _leave(client: aiosmtplib.SMTP, transports: Sequence[asyncio.BaseTransport]) -> None:
    """Say goodbye where somebody is still listening. What goes wrong with it changes nothing.

    Args:
        transports: all that were ever open, the newest last; after a failure the client no longer knows them.
    """
    if client.is_connected:
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=GOODBYE_S)
    client.close()
    for transport in reversed(transports):
        # Closed only, TLS would wait for the other side's goodbye, which a broken one never says.
        cast("asyncio.WriteTransport", transport).abort()


@dataclass(slots=True)
class _Stage:
    """How far a hand-over got; once the content was on its way, silence may mean that it was taken."""

    transports: list[asyncio.BaseTransport] = field(default_factory=list)
    welcome: bool = False
    """Connected, encrypted and logged in as asked: from here on answers are about the mail."""
    content_sent: bool = False

    def holds(self, client: aiosmtplib.SMTP) -> None:
        if client.transport is not None:
            self.transports.append(client.transport)


def _answered(error: aiosmtplib.SMTPResponseException, stage: _Stage) -> DeliveryFailed:
    """A 4yz answer may be another one later (greylisting), a 5yz answer will not.

    Before the mail is spoken of, and with 421, it is about the server; after that about sender, recipient
    or content, and the next mail may well be taken.
    """
    return DeliveryFailed(
        f"smtp-{error.code}",
        _said(error.message),
        retry=error.code < 500,
        about_channel=not stage.welcome or error.code == 421,
    )


def _verification(error: BaseException) -> ssl.SSLCertVerificationError | None:
    for one in (error, error.__cause__):
        if isinstance(one, ssl.SSLCertVerificationError):
            return one
    return None


def _said(text: str) -> str:
    return one_line(redact(text).text, DETAIL)
