from __future__ import annotations

import pytest

from libs.jobs import JobRun, current_job
from libs.jobs.run import CURRENT

pytestmark = pytest.mark.requirement("API-BR-MQ-001")


def test_outside_of_a_job_there_is_no_run():
    with pytest.raises(LookupError):
        current_job()


def test_inside_it_is_the_one_that_was_set():
    run = JobRun(id=7, task="drain", run=2, last=True)
    token = CURRENT.set(run)
    try:
        assert current_job() is run
    finally:
        CURRENT.reset(token)
