from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.alerts import Priority
from services.notifications.adapters.mail import LONGEST, Mail
from services.notifications.domain.message import Message
from tests.support.messages import EFFECT, message

pytestmark = pytest.mark.requirement("INT-BR-NOT-001", "INT-BR-INT-009")

MAIL = Mail("kubernaut@ops.example.org")


def read(told: Message) -> EmailMessage:
    mail = message_from_bytes(MAIL.write(told), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_a_mail_has_the_same_text_plain_and_as_html():
    mail = read(message())

    assert mail.get_content_type() == "multipart/alternative"
    assert "Cause: ConfigMap/shop/settings" in part(mail, "plain")
    assert "Cause: ConfigMap/shop/settings" in part(mail, "html")


def test_headers_say_whom_it_is_from_and_that_a_machine_sent_it():
    mail = read(message())

    assert str(mail["From"]) == "Kubernaut <kubernaut@ops.example.org>"
    assert str(mail["To"]) == "oncall@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Kubernaut-Incident"] == "inc-1"
    assert mail["X-Kubernaut-Priority"] == "P1"


def test_a_repeated_mail_has_the_same_id_and_says_so():
    first, again = read(message()), read(message(possible_duplicate=True))

    assert first["Message-ID"] == again["Message-ID"] == f"<{EFFECT}@ops.example.org>"
    assert again["X-Kubernaut-Possible-Duplicate"] == "yes"


def test_mails_about_one_incident_form_a_thread_within_one_tenant():
    explained, resolved = read(message()), read(message(transition="resolved"))
    elsewhere = read(message(tenant="other"))

    assert explained["References"] == resolved["References"]
    assert explained["References"] != elsewhere["References"]


@pytest.mark.parametrize(("priority", "importance"), [(Priority.p0, "high"), (Priority.p2, None)])
def test_urgent_mails_are_important(priority: Priority, importance: str | None):
    assert read(message(priority=priority))["Importance"] == importance


INJECTIONS = [
    "a\r\nBcc: x@y.org",
    "\n\n<html>",
    "=?utf-8?q?=0aBcc:_x@y.org?=",
    "=?utf-8?b?CkJjYzogeEB5Lm9yZw==?=",
    "=?utf-8?q?=0d=0a=0d=0a<html>?= tail",
    "==?utf-8?q?=0aBcc:x?=",
    "=?=?utf-8?q?=0aBcc:x?=?=",
    "=\u200b?utf-8?q?=0aBcc:x?=",
    "\u2028Bcc: x",
    "x" * 600,
]
TEXT = st.text(max_size=300) | st.sampled_from(INJECTIONS)
PIECES = st.lists(
    st.sampled_from(["=?", "utf-8", "?q?", "=0a", "Bcc:", "?=", " ", "\n", "=", "?"]), max_size=14
)


@settings(max_examples=150, deadline=None)
@given(subject=TEXT | PIECES.map("".join), body=TEXT)
def test_no_text_adds_a_header_or_a_recipient(subject: str, body: str):
    assert_whole(read(message(subject=subject, body=body)))


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("field", ["incident_id", "episode_id", "transition", "notification_id"])
def test_no_id_adds_a_header(field: str, text: str):
    assert_whole(read(message(**{field: text})))


def assert_whole(mail: EmailMessage) -> None:
    assert mail.keys() == read(message()).keys()
    assert mail.get_all("To") == ["oncall@example.org"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("letter", ["x", "ü", "漢", "\N{FIRE}", "<"])
def test_a_mail_too_long_is_cut_and_says_where_the_rest_is(letter: str):
    told = message(body=(letter * 99 + "\n") * 9_000)

    written = MAIL.write(told)

    assert LONGEST * 0.5 < len(written) <= LONGEST
    assert f"the whole text: GET /api/v1/notifications/{told.notification_id}" in part(read(told), "plain")


def test_the_longest_body_that_is_accepted_is_not_cut():
    assert "cut:" not in part(read(message(body="x" * 99_000)), "plain")
