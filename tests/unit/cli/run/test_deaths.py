"""What the supervisor makes of a process's death."""

import signal

import pytest

from cli.run.deaths import RESTART_PAUSES_S, SETTLED_S, START_TRIES, Deaths, wording

pytestmark = pytest.mark.requirement("HAPI-040", "HAPI-050")


def after(*lives: float, ready: bool = True) -> list[float | None]:
    deaths = Deaths()
    return [deaths.pause_after(lived, ready=ready) for lived in lives]


def test_each_death_in_a_row_is_followed_by_a_longer_pause_up_to_the_longest():
    pauses = after(*[1.0] * (len(RESTART_PAUSES_S) + 2))

    assert pauses == [*RESTART_PAUSES_S, RESTART_PAUSES_S[-1], RESTART_PAUSES_S[-1]]
    assert list(RESTART_PAUSES_S) == sorted(RESTART_PAUSES_S)


def test_a_process_that_had_settled_is_started_again_as_if_it_were_its_first_death():
    assert after(1.0, 1.0, SETTLED_S + 1, 1.0) == [0.2, 0.5, 0.2, 0.2]


def test_before_the_stack_was_ready_a_process_is_given_up_after_its_last_try():
    pauses = after(*[1.0] * START_TRIES, ready=False)

    assert pauses[-1] is None
    assert None not in pauses[:-1]


def test_once_the_stack_was_ready_no_process_is_ever_given_up():
    assert None not in after(*[0.0] * 100)


def test_an_exit_is_told_with_its_code():
    assert wording(3) == "ended with code 3"


def test_an_end_by_signal_is_told_with_the_signals_name():
    assert wording(-signal.SIGKILL) == "was ended by signal 9 (SIGKILL)"


def test_a_signal_without_a_name_is_told_by_its_number():
    assert wording(-(signal.SIGRTMIN + 1)) == f"was ended by signal {signal.SIGRTMIN + 1}"
