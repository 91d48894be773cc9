from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.notifications import Channel
from services.notifications.domain.effects import Fact, effect_id, fact_of

pytestmark = pytest.mark.requirement("INT-BR-REL-013", "INT-BR-REL-014")

FACT = Fact("default", "incident:i1", "explained", 1)
WORDS = st.text(max_size=12)
FACTS = st.builds(Fact, WORDS, WORDS, WORDS, st.integers(1, 9))


def test_the_same_fact_has_the_same_name_in_every_process_and_release():
    # A changed name would tell people once more what they were told before an upgrade.
    assert effect_id(FACT, Channel.slack, "incoming-webhook") == "b333214f3dd4dc59c2f7b3e2a4265982870da4c5"


@given(a=FACTS, b=FACTS, to=WORDS, other=WORDS)
def test_different_facts_and_recipients_never_share_a_name(a: Fact, b: Fact, to: str, other: str):
    same = (a, to) == (b, other)

    assert (effect_id(a, Channel.email, to) == effect_id(b, Channel.email, other)) is same


def test_each_channel_and_each_round_is_an_effect_of_its_own():
    again = Fact("default", "incident:i1", "explained", 2)

    names = {effect_id(fact, channel, "x") for fact in (FACT, again) for channel in Channel}

    assert len(names) == 2 * len(Channel)


def test_the_incident_stands_for_the_fact_whichever_episode_leads():
    facts = {
        fact_of(
            "t", incident_id="i", episode_id=episode, transition="explained", round_=1, notification=episode
        )
        for episode in ("e1", "e2")
    }

    assert len(facts) == 1


def test_a_message_about_nothing_known_is_a_fact_of_its_own():
    first, second = (
        fact_of("t", incident_id=None, episode_id=None, transition="explained", round_=1, notification=key)
        for key in ("key-1", "key-2")
    )

    assert first != second


def test_an_incident_an_episode_and_a_key_that_are_spelled_alike_are_told_apart():
    facts = [
        fact_of("t", incident_id=incident, episode_id=episode, transition="x", round_=1, notification="same")
        for incident, episode in (("same", None), (None, "same"), (None, None))
    ]

    assert len(set(facts)) == 3
