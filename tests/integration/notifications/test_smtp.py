"""SMTP against a real server: STARTTLS, authentication, certificates, and what its answers mean."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.notifications.adapters.smtp import Server, SmtpMail, trust
from services.notifications.domain.errors import DeliveryFailed
from tests.fakes.mailbox import Mailbox, mailbox
from tests.support.certificates import Certificate, certificate
from tests.support.messages import EFFECT, message
from tests.support.sockets import connections_to

pytestmark = pytest.mark.requirement("INT-BR-NOT-001", "INT-BR-INT-009", "INT-BR-SEC-001", "INT-BR-SEC-002")

PASSWORD = secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def server_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(server_certificate: Certificate) -> Iterator[Mailbox]:
    with mailbox(server_certificate.server_context(), password=PASSWORD) as box:
        yield box


def mail_to(port: int, authority: Path | None, **changes: Any) -> SmtpMail:
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "starttls",
        "username": "kubernaut",
        "password": SecretStr(PASSWORD),
        "deadline": timedelta(seconds=10),
    }
    return SmtpMail(
        Server(**{**settings, **changes}), sender="kubernaut@ops.example.org", tls_context=trust(authority)
    )


async def failure(channel: SmtpMail) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await channel.send(message())
    assert PASSWORD not in str(failed.value)
    return failed.value


async def test_a_mail_is_handed_in_encrypted_and_authenticated(
    server: Mailbox, server_certificate: Certificate
):
    await mail_to(server.port, server_certificate.authority).send(message())

    (mail,) = server.mails
    assert mail["Message-ID"] == f"<{EFFECT}@ops.example.org>"
    assert mail["Subject"] == message().subject
    assert server.tls_versions[0] in {"TLSv1.2", "TLSv1.3"}
    assert server.logins


async def test_implicit_tls_works_as_well(server_certificate: Certificate):
    with mailbox(server_certificate.server_context(), implicit=True) as box:
        channel = mail_to(
            box.port, server_certificate.authority, tls="implicit", username=None, password=None
        )
        await channel.send(message())

    assert len(box.mails) == 1


async def test_a_certificate_of_an_unknown_authority_gets_no_mail_and_no_password(server: Mailbox):
    failed = await failure(mail_to(server.port, None))

    assert (failed.reason, failed.retry, failed.about_channel) == ("tls-certificate", True, True)
    assert (server.mails, server.logins) == ([], [])


@pytest.mark.parametrize("fault", [{"days": -1}, {"address": "127.0.0.2"}])
async def test_a_certificate_that_has_expired_or_names_another_host_is_refused(fault: Any, tmp_path: Path):
    bad = certificate(tmp_path, **fault)

    with mailbox(bad.server_context(), password=PASSWORD) as box:
        failed = await failure(mail_to(box.port, bad.authority))

    assert failed.reason == "tls-certificate"
    assert box.mails == []


async def test_implicit_tls_verifies_too(server_certificate: Certificate):
    with mailbox(server_certificate.server_context(), implicit=True) as box:
        failed = await failure(mail_to(box.port, None, tls="implicit"))

    assert failed.reason == "tls-certificate"


async def test_a_server_that_hides_starttls_gets_nothing_in_the_open():
    with mailbox(None) as box:
        failed = await failure(mail_to(box.port, None))

    assert (failed.reason, failed.retry) == ("smtp-unsupported", True)
    assert (box.mails, box.asked) == ([], [])


async def test_in_the_open_only_where_an_operator_says_so():
    with mailbox(None) as box:
        await mail_to(box.port, None, tls="none", username=None, password=None).send(message())

    assert len(box.mails) == 1


async def test_a_wrong_password_is_not_tried_again(server: Mailbox, server_certificate: Certificate):
    wrong = SecretStr(secrets.token_urlsafe(8))

    failed = await failure(mail_to(server.port, server_certificate.authority, password=wrong))

    assert (failed.reason, failed.retry, failed.about_channel) == ("smtp-535", False, True)


@pytest.mark.parametrize("fault", ["password", "recipient", "authority", "silence"])
async def test_after_a_failure_no_connection_waits_for_the_other_sides_goodbye(
    server: Mailbox, server_certificate: Certificate, fault: str
):
    server.recipients["oncall@example.org"] = ["550 5.1.1 No such user"] if fault == "recipient" else []
    if fault == "silence":
        server.release.clear()
    channel = mail_to(
        server.port,
        None if fault == "authority" else server_certificate.authority,
        password=SecretStr(secrets.token_urlsafe(8) if fault == "password" else PASSWORD),
        deadline=timedelta(seconds=1),
    )

    await failure(channel)
    await asyncio.sleep(0)

    assert connections_to(server.port) == 0


@pytest.mark.requirement("INT-BR-ERR-002")
@pytest.mark.parametrize(
    ("answer", "reason", "retry", "about_channel"),
    [
        ("451 4.7.1 Greylisted, try again later", "smtp-451", True, False),
        ("452 4.3.1 Mailbox full", "smtp-452", True, False),
        ("421 4.3.2 Shutting down", "smtp-421", True, True),
        ("550 5.1.1 No such user", "smtp-550", False, False),
    ],
)
async def test_what_the_server_answers_decides_whether_to_try_again(
    server: Mailbox,
    server_certificate: Certificate,
    answer: str,
    reason: str,
    retry: bool,
    about_channel: bool,
):
    server.recipients["oncall@example.org"] = [answer]

    failed = await failure(mail_to(server.port, server_certificate.authority))

    assert (failed.reason, failed.retry, failed.about_channel) == (reason, retry, about_channel)
    assert not failed.maybe_delivered
    assert failed.detail == answer[4:]


async def test_content_that_is_refused_is_final(server: Mailbox, server_certificate: Certificate):
    server.content = lambda mail: "554 5.7.1 Looks like spam, token=abc123def"

    failed = await failure(mail_to(server.port, server_certificate.authority))

    assert (failed.reason, failed.retry) == ("smtp-554", False)
    assert "abc123def" not in failed.detail


async def test_silence_after_the_content_ends_at_the_deadline_and_leaves_a_doubt(
    server: Mailbox, server_certificate: Certificate
):
    server.release.clear()

    channel = mail_to(server.port, server_certificate.authority, deadline=timedelta(seconds=1))
    failed = await failure(channel)

    assert (failed.reason, failed.retry, failed.maybe_delivered) == ("timeout", True, True)


async def test_silence_before_it_leaves_none():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        channel = mail_to(mute.getsockname()[1], None, deadline=timedelta(milliseconds=200))
        failed = await failure(channel)

    assert (failed.reason, failed.maybe_delivered) == ("timeout", False)


async def test_nobody_listening_is_a_failure_of_the_channel():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    failed = await failure(mail_to(port, None))

    assert (failed.reason, failed.retry, failed.about_channel) == ("connect", True, True)


def test_a_file_of_authorities_that_is_missing_stops_the_start(tmp_path: Path):
    with pytest.raises(OSError, match="No such file"):
        trust(tmp_path / "missing.pem")


def test_old_tls_is_not_spoken():
    assert trust(None).minimum_version == ssl.TLSVersion.TLSv1_2
