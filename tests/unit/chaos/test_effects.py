"""The checker must see each kind of broken promise; otherwise a campaign proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.effects import Delivery, Endings, Inquiry, Mail, judge_inquiries, judge_mails

pytestmark = pytest.mark.requirement("INT-BR-REL-011", "INT-BR-REL-013")


def endings(*looks: list[Inquiry]) -> Endings:
    seen = Endings()
    for look in looks:
        seen.look(look)
    return seen


RUNS, ENDED = Inquiry("v1", None), Inquiry("v1", "completed")


def test_one_investigation_for_each_incident_that_ended_once_is_a_kept_promise():
    listed = [ENDED, Inquiry("v2", "failed")]

    verdict = judge_inquiries({"i1": "v1", "i2": "v2"}, listed, endings([RUNS], [ENDED], listed, listed))

    assert verdict.holds
    assert verdict.ended == 2


@pytest.mark.parametrize("named", [None, "v9"])
def test_an_incident_that_nobody_investigated_is_missing(named):
    assert judge_inquiries({"i1": "v1", "i2": named}, [ENDED], endings()).missing == {"i2"}


def test_an_investigation_that_has_not_ended_is_seen():
    assert judge_inquiries({"i1": "v1"}, [RUNS], endings([RUNS])).unended == {"v1"}


@pytest.mark.parametrize("later", [Inquiry("v1", "failed"), RUNS])
def test_an_investigation_that_ended_and_then_otherwise_has_ended_twice(later):
    assert judge_inquiries({"i1": "v1"}, [ENDED], endings([ENDED], [later], [ENDED])).changed == {"v1"}


def test_an_investigation_that_no_incident_names_is_a_doubled_one():
    assert judge_inquiries({"i1": "v1"}, [ENDED, Inquiry("v2", "completed")], endings()).doubled == {"v2"}


def test_two_incidents_cannot_have_one_investigation():
    assert judge_inquiries({"i1": "v1", "i2": "v1"}, [ENDED], endings()).shared == {"v1"}


SENT = Delivery("e1", ("i1", "explained", "1", "a@x.org"), "sent", 1, possible_duplicate=False)
REPEATED = replace(SENT, attempts=2, possible_duplicate=True)
PLAIN, MARKED = Mail("e1", marked=False), Mail("e1", marked=True)


def test_a_mail_for_each_delivery_is_a_kept_promise():
    verdict = judge_mails([PLAIN], [SENT], ["i1"])

    assert verdict.holds
    assert (verdict.taken, verdict.repeated) == (1, 0)


def test_a_marked_repeat_of_a_recorded_attempt_is_allowed():
    verdict = judge_mails([PLAIN, MARKED], [REPEATED], ["i1"])

    assert verdict.holds
    assert verdict.repeated == 1


def test_an_attempt_that_never_arrived_is_allowed():
    assert judge_mails([MARKED], [REPEATED], ["i1"]).holds


def test_a_mail_recorded_as_sent_and_never_taken_is_lost():
    assert judge_mails([], [SENT], ["i1"]).lost == {"e1"}


@pytest.mark.parametrize("state", ["pending", "sending", "retrying", "failed", "unknown"])
def test_a_delivery_that_was_not_sent_in_the_end_is_seen(state):
    assert judge_mails([PLAIN], [replace(SENT, state=state)], ["i1"]).unended == {"e1"}


def test_a_mail_nobody_recorded_is_invented():
    assert judge_mails([PLAIN, Mail("e9", marked=False)], [SENT], ["i1"]).invented == {"e9"}


def test_a_mail_without_a_recorded_attempt_is_one_too_many():
    assert judge_mails([PLAIN, MARKED, MARKED], [REPEATED], ["i1"]).too_often == {"e1"}


def test_a_repeat_that_does_not_say_so_is_seen():
    assert judge_mails([PLAIN, PLAIN], [REPEATED], ["i1"]).unmarked == {"e1"}


def test_a_repeat_that_the_record_does_not_tell_is_seen():
    assert judge_mails([PLAIN, MARKED], [replace(REPEATED, possible_duplicate=False)], ["i1"]).unmarked == {
        "e1"
    }


def test_one_fact_under_two_names_is_seen():
    other = replace(SENT, effect="e2")

    assert judge_mails([PLAIN, Mail("e2", marked=False)], [SENT, other], ["i1"]).twice_named == {"e1", "e2"}


def test_an_incident_about_which_nobody_is_told_is_seen():
    assert judge_mails([PLAIN], [SENT], ["i1", "i2"]).untold == {"i2"}
