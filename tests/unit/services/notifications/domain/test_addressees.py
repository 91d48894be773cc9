from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.notifications import Channel, NotificationRequest
from services.notifications.domain.addressees import (
    NO_CHANNEL,
    NO_RECIPIENT,
    NOBODY,
    STDOUT,
    Addressee,
    address,
    resolve,
)
from services.notifications.domain.errors import InvalidRequest

pytestmark = pytest.mark.requirement("INT-BR-NOT-016", "INT-BR-NOT-008")

EMAIL, CONSOLE, SLACK = Channel.email, Channel.console, Channel.slack


def asking(**fields: Any) -> NotificationRequest:
    return NotificationRequest(subject="s", body="b", **fields)


def test_what_the_request_leaves_out_is_configured():
    found = resolve(asking(), channels=[CONSOLE, EMAIL], recipients=["a@x.org"])

    assert found.those == (Addressee(CONSOLE, STDOUT), Addressee(EMAIL, "a@x.org"))


def test_the_request_s_own_channels_and_recipients_win():
    found = resolve(
        asking(channels=[EMAIL], recipients=["b@x.org"]), channels=[CONSOLE], recipients=["a@x.org"]
    )

    assert found.those == (Addressee(EMAIL, "b@x.org"),)


def test_nobody_is_told_twice_by_one_request():
    found = resolve(
        asking(channels=[EMAIL, EMAIL], recipients=["b@X.org", " b@x.org", "B@x.org"]),
        channels=[],
        recipients=[],
    )

    assert [one.recipient for one in found.those] == ["b@x.org", "B@x.org"]


def test_no_channel_is_a_failure_with_its_reason():
    found = resolve(asking(), channels=[], recipients=[])

    assert (found.those, found.reason) == ((), NO_CHANNEL)


def test_a_channel_without_recipients_fails_by_itself():
    found = resolve(asking(channels=[EMAIL, CONSOLE]), channels=[], recipients=[])

    assert found.those == (Addressee(EMAIL, NOBODY, NO_RECIPIENT), Addressee(CONSOLE, STDOUT))


def test_naming_people_means_to_mail_them_whatever_the_default_is():
    found = resolve(asking(recipients=["b@x.org"]), channels=[CONSOLE], recipients=[])

    assert Addressee(EMAIL, "b@x.org") in found.those


def test_recipients_that_no_asked_channel_can_reach_are_refused():
    with pytest.raises(InvalidRequest, match="add the channel `email`"):
        resolve(asking(channels=[SLACK], recipients=["b@x.org"]), channels=[], recipients=[])


@pytest.mark.parametrize(
    "text",
    [
        "nobody",
        "a@",
        "@x.org",
        "a@x.org\r\nBcc: b@x.org",
        "a@x.org,b@x.org",
        "A <a@x.org>",
        "a b@x.org",
        "a@-x.org",
        "a@x..org",
        ".a@x.org",
        '"a b"@x.org',
        "ä@x.org",
        "a@" + "x" * 64 + ".org",
        "a" * 65 + "@x.org",
        "a@" + "x." * 130 + "org",
        "a@x.org\x00",
        "=?utf-8?q?=0aBcc?=@x.org",
    ],
)
def test_what_is_no_address_is_refused_with_its_place(text: str):
    assert address(text) is None
    with pytest.raises(InvalidRequest) as refused:
        resolve(asking(channels=[EMAIL], recipients=["a@x.org", text]), channels=[], recipients=[])
    assert refused.value.field == "body.recipients.1"


@pytest.mark.parametrize("text", ["a@x.org", "on.call+p1@shop.example.org", "root@localhost", "a@1.example"])
def test_ordinary_addresses_are_taken(text: str):
    assert address(text) == text
