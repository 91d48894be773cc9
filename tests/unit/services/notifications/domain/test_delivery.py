from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.contracts.alerts import Priority
from libs.contracts.notifications import Channel, DeliveryState, NotificationStatus
from services.notifications.domain import delivery
from services.notifications.domain.delivery import AfterCrash, IllegalStep, Reason, Standing
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.schedule import Schedule

pytestmark = pytest.mark.requirement("INT-BR-NOT-011", "INT-BR-NOT-013", "INT-BR-ERR-009")

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SCHEDULE = Schedule(jitter=0)
SENDING = delivery.begin(Standing(next_attempt_at=NOW))
TIMEOUT = DeliveryFailed("timeout", retry=True, maybe_delivered=True)
REFUSED = DeliveryFailed("smtp-550", "no such user", retry=False)
BUSY = DeliveryFailed("http-500", retry=True)


def test_a_delivery_is_counted_before_the_channel_is_called():
    assert (SENDING.state, SENDING.attempts, SENDING.reason) == (DeliveryState.sending, 1, Reason.started)


def test_a_failure_that_may_pass_is_tried_again_after_the_schedule_s_pause():
    after = delivery.failed(SENDING, BUSY, SCHEDULE, NOW, luck=0)

    assert (after.state, after.reason) == (DeliveryState.retrying, Reason.will_retry)
    assert after.next_attempt_at == NOW + timedelta(seconds=30)
    assert after.error == "http-500"


def test_a_refusal_is_final_at_once():
    after = delivery.failed(SENDING, REFUSED, SCHEDULE, NOW, luck=0)

    assert (after.state, after.reason) == (DeliveryState.failed, Reason.refused)
    assert after.error == "smtp-550: no such user"


def test_the_fifth_failure_is_final():
    standing = Standing(next_attempt_at=NOW)
    for _ in range(5):
        standing = delivery.failed(delivery.begin(standing), BUSY, SCHEDULE, NOW, luck=0)

    assert (standing.state, standing.reason) == (DeliveryState.failed, Reason.attempts_used_up)


def test_an_answer_that_never_came_leaves_the_mark_of_a_possible_duplicate():
    after = delivery.failed(SENDING, TIMEOUT, SCHEDULE, NOW, luck=0)
    told = delivery.arrived(delivery.begin(after), NOW)

    assert after.possible_duplicate
    assert told.possible_duplicate


@pytest.mark.parametrize(
    ("channel", "priority", "rule"),
    [
        (Channel.email, Priority.p3, AfterCrash.same_id),
        (Channel.email, Priority.p0, AfterCrash.same_id),
        (Channel.console, Priority.p3, AfterCrash.mark),
        (Channel.slack, Priority.p0, AfterCrash.mark),
        (Channel.slack, Priority.p1, AfterCrash.mark),
        (Channel.slack, Priority.p2, AfterCrash.leave),
        (Channel.slack, Priority.p3, AfterCrash.leave),
    ],
)
def test_what_a_crash_leaves_in_doubt_goes_by_channel_and_priority(
    channel: Channel, priority: Priority, rule: AfterCrash
):
    assert delivery.after_crash(channel, priority) is rule


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (AfterCrash.same_id, Reason.interrupted_same_message_id),
        (AfterCrash.mark, Reason.interrupted_marked),
    ],
)
def test_after_a_crash_it_is_due_again_at_once_and_marked(rule: AfterCrash, reason: Reason):
    after = delivery.interrupted(SENDING, rule, SCHEDULE, NOW)

    assert (after.state, after.reason, after.next_attempt_at) == (DeliveryState.retrying, reason, NOW)
    assert after.possible_duplicate


def test_after_a_crash_without_a_key_it_is_left_to_a_person():
    after = delivery.interrupted(SENDING, AfterCrash.leave, SCHEDULE, NOW)

    assert (after.state, after.reason) == (DeliveryState.unknown, Reason.interrupted_no_key)
    assert after.next_attempt_at is None


def test_a_message_that_takes_its_worker_down_each_time_ends_in_doubt():
    standing = Standing(next_attempt_at=NOW)
    for _ in range(5):
        standing = delivery.interrupted(delivery.begin(standing), AfterCrash.mark, SCHEDULE, NOW)

    assert (standing.state, standing.reason) == (DeliveryState.unknown, Reason.interrupted_too_often)


@pytest.mark.parametrize("rule", [AfterCrash.leave, AfterCrash.mark])
def test_an_answer_that_comes_after_the_worker_was_taken_for_dead_still_counts(rule: AfterCrash):
    doubtful = delivery.interrupted(SENDING, rule, SCHEDULE, NOW)

    told = delivery.arrived(doubtful, NOW)

    assert (told.state, told.reason) == (DeliveryState.sent, Reason.delivered_late)


def test_sending_again_by_hand_gives_the_full_schedule_and_keeps_the_count():
    given_up = delivery.failed(SENDING, REFUSED, SCHEDULE, NOW, luck=0)

    again = delivery.resend(given_up, NOW)

    assert (again.state, again.tried, again.attempts, again.next_attempt_at) == ("pending", 0, 1, NOW)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], NotificationStatus.failed),
        (["pending", "pending"], NotificationStatus.pending),
        (["pending", "sent"], NotificationStatus.sending),
        (["sending"], NotificationStatus.sending),
        (["retrying", "failed"], NotificationStatus.sending),
        (["sent", "sent"], NotificationStatus.sent),
        (["sent", "failed"], NotificationStatus.partially_sent),
        (["sent", "unknown"], NotificationStatus.partially_sent),
        (["failed", "failed"], NotificationStatus.failed),
        (["unknown"], NotificationStatus.failed),
    ],
)
def test_a_notification_is_sent_only_when_everybody_was_told(states: list[str], status: NotificationStatus):
    assert delivery.status_of([DeliveryState(state) for state in states]) is status


FAILURES = st.builds(
    DeliveryFailed,
    st.just("http-500"),
    retry=st.booleans(),
    retry_after=st.none() | st.timedeltas(timedelta(0), timedelta(days=2)),
    maybe_delivered=st.booleans(),
)


STEPS: dict[str, tuple[frozenset[DeliveryState], Callable[[Standing], Standing]]] = {
    "begin": (delivery.WAITING, delivery.begin),
    "arrive": (delivery.ARRIVABLE, lambda it: delivery.arrived(it, NOW)),
    "fail": (frozenset({DeliveryState.sending}), lambda it: delivery.failed(it, BUSY, SCHEDULE, NOW, 0)),
    "crash": (
        frozenset({DeliveryState.sending}),
        lambda it: delivery.interrupted(it, AfterCrash.mark, SCHEDULE, NOW),
    ),
    "resend": (delivery.RESENDABLE, lambda it: delivery.resend(it, NOW)),
}


class DeliveryMachine(RuleBasedStateMachine):
    """Any order of steps, legal or not, as crashes and zombies make them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.it = Standing(next_attempt_at=NOW)
        self.doubted = False
        self.begun = 0

    @rule(pause=st.timedeltas(timedelta(0), timedelta(hours=1)))
    def wait(self, pause: timedelta) -> None:
        self.now += pause

    @precondition(lambda self: self.it.state in delivery.WAITING)
    @rule()
    def begin(self) -> None:
        self.it = delivery.begin(self.it)
        self.begun += 1

    @precondition(lambda self: self.it.state in delivery.ARRIVABLE)
    @rule()
    def arrive(self) -> None:
        self.it = delivery.arrived(self.it, self.now)

    @precondition(lambda self: self.it.state is DeliveryState.sending)
    @rule(failure=FAILURES, luck=st.floats(0, 1))
    def fail(self, failure: DeliveryFailed, luck: float) -> None:
        self.doubted |= failure.maybe_delivered
        self.it = delivery.failed(self.it, failure, Schedule(), self.now, luck)

    @precondition(lambda self: self.it.state is DeliveryState.sending)
    @rule(after=st.sampled_from(AfterCrash))
    def crash(self, after: AfterCrash) -> None:
        self.doubted = True
        self.it = delivery.interrupted(self.it, after, Schedule(), self.now)

    @precondition(lambda self: self.it.state in delivery.RESENDABLE)
    @rule()
    def resend(self) -> None:
        self.it = delivery.resend(self.it, self.now)

    @rule(step=st.sampled_from(sorted(STEPS)))
    def a_step_from_the_wrong_state_is_refused(self, step: str) -> None:
        legal, take = STEPS[step]
        if self.it.state not in legal:
            with pytest.raises(IllegalStep):
                take(self.it)

    @invariant()
    def it_is_due_exactly_while_it_waits(self) -> None:
        assert (self.it.next_attempt_at is not None) == (self.it.state in delivery.WAITING)

    @invariant()
    def every_call_is_counted_and_no_more_than_the_schedule_allows(self) -> None:
        assert self.it.attempts == self.begun
        assert self.it.tried <= Schedule().attempts

    @invariant()
    def a_doubt_is_never_forgotten(self) -> None:
        assert self.it.possible_duplicate == self.doubted

    @invariant()
    def sent_says_when_and_only_sent_does(self) -> None:
        assert (self.it.sent_at is not None) == (self.it.state is DeliveryState.sent)


DeliveryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrderOfSteps = DeliveryMachine.TestCase
