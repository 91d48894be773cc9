"""The checker must see each kind of broken promise; otherwise a campaign proves nothing."""

import pytest

from tests.chaos.history import History, Outcome, judge

pytestmark = pytest.mark.requirement("INT-BR-REL-011", "INT-BR-REL-014")


def history(**outcomes: str) -> History:
    made = History()
    for key, outcome in outcomes.items():
        made.record(key, Outcome(outcome))
    return made


def test_every_acknowledged_alert_held_once_is_a_kept_promise():
    assert judge(history(a="ok", b="ok"), ["a", "b"]).holds


def test_an_acknowledged_alert_that_is_missing_is_lost():
    assert judge(history(a="ok", b="ok"), ["a"]).lost == {"b"}


def test_an_alert_held_twice_is_doubled():
    assert judge(history(a="ok"), ["a", "a"]).doubled == {"a"}


def test_an_alert_nobody_sent_is_invented():
    assert judge(history(a="ok"), ["a", "z"]).invented == {"z"}


@pytest.mark.parametrize("held", [[], ["a"]])
def test_an_alert_whose_answer_was_lost_may_be_there_or_not(held):
    assert judge(history(a="info"), held).holds


def test_an_acknowledgement_is_not_forgotten_when_a_repeat_fails():
    made = history(a="ok")
    made.record("a", Outcome.info)

    assert judge(made, []).lost == {"a"}
