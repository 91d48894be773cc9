"""Waits for locks, as PostgreSQL logs them."""

from __future__ import annotations

import pytest

from services.context_api.domain.lock_waits import queues
from tests.support.kube import NOW, ago

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def waits(minutes: float, pid: int, mode: str, holder: int, queue: str, *, who="shop@main/api", how="still waiting for", statement="SELECT 1"):  # fmt: skip
    front = f"{ago(minutes)} [{pid}] {who}"
    return "\n".join(
        [
            f"{front} LOG:  process {pid} {how} {mode} on relation 16734 of database 16391 after 1000.118 ms",
            f"{front} DETAIL:  Process holding the lock: {holder}. Wait queue: {queue}.",
            f"{front} STATEMENT:  {statement}",
        ]
    )


OPENED = f"{ago(90)} [11] figures@main/[unknown] LOG:  connection authorized: user=figures database=main application_name=export"
ALTER = waits(9, 20, "AccessExclusiveLock", 11, "20", who="owner@main/migrate", statement="ALTER TABLE lines ADD note text")  # fmt: skip
READS = [waits(8 - n, 30 + n, "AccessShareLock", 11, f"20, {30 + n}") for n in range(4)]


def test_a_strong_request_stands_at_the_head_though_weaker_ones_wait_for_the_same_holder():
    (queue,) = queues("\n".join([OPENED, *READS, ALTER]), NOW)

    assert (queue.first.pid, queue.first.application, queue.mode) == ("20", "migrate", "AccessExclusiveLock")
    assert queue.first.statement == "ALTER TABLE lines ADD note text"
    assert queue.on == "relation 16734 of database 16391"
    assert queue.behind == 4
    assert [(h.pid, h.user, h.application) for h in queue.holders] == [("11", "figures", "export")]
    assert "process 20 still waiting" in queue.said


def test_a_holder_of_whom_nothing_was_logged_is_a_process_number():
    (queue,) = queues("\n".join([ALTER, *READS]), NOW)

    assert [(h.pid, h.user) for h in queue.holders] == [("11", "")]


@pytest.mark.parametrize(
    "log",
    [
        "",
        "LOG:  checkpoint complete",
        waits(40, 20, "AccessExclusiveLock", 11, "20"),
        "\n".join([ALTER, waits(5, 20, "AccessExclusiveLock", 11, "20", how="acquired")]),
    ],
    ids=["nothing", "other lines", "of long ago", "acquired since"],
)
def test_a_wait_that_is_over_is_none(log: str):
    assert queues(log, NOW) == []


def test_one_waiter_less_is_a_queue_that_goes_on():
    went = waits(1, 30, "AccessShareLock", 11, "20", how="acquired").splitlines()[0]

    (queue,) = queues("\n".join([*READS[:1], *READS[2:], went]), NOW)

    assert queue.first.pid == "32"
