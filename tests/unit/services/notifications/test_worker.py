"""Every channel's job is known to the process that defers it and to the one that runs it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.notifications import Channel
from libs.jobs import Jobs
from libs.storage import Database, StorageSettings
from services.notifications import worker
from services.notifications.adapters.rows import task
from services.notifications.steps.deliver import LONGEST_RUN, WRITE_DOWN_FOR, Deliver
from tests.fakes.dispatcher import FakeDispatcher

pytestmark = pytest.mark.requirement("INT-BR-NOT-011", "INT-BR-REL-009")

CALL = timedelta(seconds=20)


def jobs() -> Jobs:
    settings = StorageSettings.model_validate({"database_url": "postgresql://nowhere.invalid/none"})
    return Jobs(Database(settings, application="test"), service="notifications")


def registered() -> Jobs:
    made = jobs()
    deliver = Deliver(FakeDispatcher(), {}, stopping=lambda: False, observe=lambda _: None)
    worker.register(made, deliver, longest_call=CALL)
    return made


def test_what_the_api_defers_the_worker_runs():
    declared = jobs()
    worker.declare(declared)

    assert {(one.name, one.queue) for one in declared.tasks.values()} == {
        (one.name, one.queue) for one in registered().tasks.values()
    }


def test_each_channel_has_a_queue_of_its_own():
    queues = {registered().tasks[task(channel)].queue for channel in Channel}

    assert len(queues) == len(Channel)


@pytest.mark.parametrize("channel", Channel)
def test_a_job_is_never_given_up_and_never_cut_before_it_ends_by_itself(channel: Channel):
    one = registered().tasks[task(channel)]

    assert one.retry.pause_after(1_000) is not None
    assert one.max_run > LONGEST_RUN + CALL + WRITE_DOWN_FOR
