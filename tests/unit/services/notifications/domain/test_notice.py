from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.notifications import Channel, NotificationRequest
from services.notifications.domain.notice import Caller, Defaults, Notice, digest, plan

pytestmark = pytest.mark.requirement("INT-BR-NOT-006", "INT-BR-REL-013", "INT-BR-REL-014")

CALLER = Caller("default", "alerts", "k1")
DEFAULTS = Defaults([Channel.console, Channel.email], ["a@x.org", "b@x.org"])


def asking(**fields: Any) -> NotificationRequest:
    return NotificationRequest(**{"subject": "s", "body": "b", "incident_id": "i1", **fields})


def planned(caller: Caller = CALLER, id_: str = "n1", **fields: Any) -> Notice:
    return plan(asking(**fields), caller, DEFAULTS, id_=id_)


def effects(notice: Notice) -> list[str]:
    return [one.effect_id for one in notice.deliveries]


def test_one_delivery_per_channel_and_recipient():
    assert [(one.channel, one.recipient) for one in planned().deliveries] == [
        (Channel.console, "stdout"),
        (Channel.email, "a@x.org"),
        (Channel.email, "b@x.org"),
    ]
    assert len(set(effects(planned()))) == 3


def test_other_words_under_another_key_are_the_same_fact():
    other = planned(Caller("default", "somebody", "k9"), "n2", subject="other", priority="P0")

    assert effects(other) == effects(planned())


def test_another_tenant_s_fact_is_another():
    assert not set(effects(planned(Caller("other", "alerts", "k1")))) & set(effects(planned()))


def test_without_an_incident_or_episode_the_caller_s_key_stands_for_the_fact():
    def about_nothing(caller: Caller, id_: str) -> list[str]:
        return effects(planned(caller, id_, incident_id=None))

    same = about_nothing(CALLER, "n1") == about_nothing(CALLER, "n2")
    by_another = about_nothing(Caller("default", "other", "k1"), "n1")
    without_key = [about_nothing(Caller("default", "alerts", None), id_) for id_ in ("n1", "n2")]

    assert same
    assert by_another != about_nothing(CALLER, "n1")
    assert without_key[0] != without_key[1]


def test_what_was_asked_is_told_apart_from_anything_else():
    assert digest(asking()) == digest(asking(priority="P2"))  # the default, written out
    assert (
        len(
            {
                digest(asking(**change))
                for change in ({}, {"body": "x"}, {"round": 2}, {"channels": ["slack"]})
            }
        )
        == 4
    )


def test_secrets_are_gone_before_anything_is_planned():
    assert planned(body="password=hunter2").wording.body == "password=[REDACTED]"
