from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.notifications import ActionLink, NotificationRequest
from services.notifications.domain.errors import InvalidRequest
from services.notifications.domain.message import Link
from services.notifications.domain.wording import word

pytestmark = pytest.mark.requirement("INT-BR-NOT-006", "INT-BR-SEC-011")


def asking(**fields: Any) -> NotificationRequest:
    return NotificationRequest(**{"subject": "s", "body": "b", **fields})


def test_secrets_leave_subject_body_and_labels_and_the_rules_are_named():
    wording = word(
        asking(
            subject="login failed, password=hunter2",
            body="dsn postgres://u:hunter2@db/x",
            links=[ActionLink(label="token=abc123", url="https://x.org/")],
        )
    )

    assert "hunter2" not in wording.subject + wording.body
    assert wording.links == (Link("token=[REDACTED]", "https://x.org/"),)
    assert wording.redacted == ("url-password", "assignment")


def test_a_subject_is_one_printable_line():
    assert word(asking(subject="disk\r\nBcc: x@y.org\x1b[2J")).subject == "disk Bcc: x@y.org�[2J"


def test_a_subject_of_nothing_but_spaces_still_says_something():
    assert word(asking(subject=" \n ")).subject == "(no subject)"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://user:word@x.org/",
        "https://x.org/a b",
        "https://x.org/<!channel>",
        "https://x.org/|there",
        "https://x.org/?token=abc",
        "http://[::1",
        "http://x.org:99999/",
        "//x.org/",
        "https://x.org/\n",
    ],
)
def test_a_link_nobody_should_follow_is_refused_with_its_place(url: str):
    with pytest.raises(InvalidRequest) as refused:
        word(asking(links=[ActionLink(label="ok", url="http://ok.org/"), ActionLink(label="x", url=url)]))

    assert refused.value.field == "body.links.1.url"
