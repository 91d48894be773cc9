"""When a database server is taken for stuck."""

from __future__ import annotations

import pytest

from libs.storage.embedded.liveness import Child, Liveness

pytestmark = pytest.mark.requirement("INF-BR-REL-004")


def child(pid: int, kind: str, *, state: str = "S", ticks: int = 7) -> Child:
    return Child(pid, f"postgres: {kind} ".encode(), state, ticks)


OTHERS = [child(1, "io worker 0"), child(2, "background writer", ticks=3)]


def test_one_that_writes_its_log_serves_however_quiet_it_is():
    liveness, serving = Liveness(), [*OTHERS, child(3, "checkpointer"), child(4, "walwriter")]

    assert [liveness.judge(serving) for _ in range(3)] == [True, True, True]


def test_a_recovery_that_waits_for_a_checkpoint_nobody_makes_is_stuck_from_the_second_look_on():
    liveness, waiting = Liveness(), [*OTHERS, child(3, "startup recovering 0001"), child(4, "checkpointer")]

    assert [liveness.judge(waiting) for _ in range(3)] == [True, False, False]


def test_one_that_lost_the_process_that_recovers_is_stuck():
    liveness, lost = Liveness(), [*OTHERS, child(4, "checkpointer")]

    assert [liveness.judge(lost) for _ in range(2)] == [True, False]


def test_one_without_children_is_stuck():
    assert not Liveness().judge([])


def test_others_that_wake_now_and_then_are_no_progress():
    liveness = Liveness()
    liveness.judge([child(2, "background writer", ticks=3)])

    assert not liveness.judge([child(2, "background writer", ticks=4)])


@pytest.mark.parametrize(
    "next_look",
    [
        [child(3, "startup", ticks=8), child(4, "checkpointer")],
        [child(3, "startup"), child(4, "checkpointer", ticks=8)],
        [child(3, "startup", state="R"), child(4, "checkpointer")],
        [child(3, "startup"), child(4, "checkpointer", state="D")],
        [child(5, "startup"), child(6, "checkpointer")],
    ],
    ids=["step of the recovery", "step of the checkpoint", "runs", "waits for a disk", "began anew"],
)
def test_a_recovery_that_gets_on_is_left_alone(next_look: list[Child]):
    liveness = Liveness()
    liveness.judge([child(3, "startup"), child(4, "checkpointer")])

    assert liveness.judge(next_look)
