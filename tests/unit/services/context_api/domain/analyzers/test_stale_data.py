"""Who should have renewed the data that a program calls old."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import stale_data
from tests.support.kube import (
    Doc,
    ago,
    container,
    deployment,
    env,
    event,
    log,
    pods_in,
    service,
    stateful_set,
    template,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

STORE = [*stateful_set("rates"), service("rates", "shop-data", selector={"app": "rates"})]
USES = env(STORE="rates.shop-data.svc:5432")
READER = deployment("quotes", containers=[container(env=USES)])
OLD = '2026-11-21T09:5{}:00Z level=warn msg="refused" reason="rate is older than 45m"'


def complaints(line: str = OLD, count: int = 4) -> list[Any]:
    return [log(pods_in(READER)[0], "\n".join(line.format(n) for n in range(count)))]


def feed(namespace: str = "import", uses: list[Doc] = USES, **spec: Any) -> list[Doc]:
    """A CronJob whose last run blocks the next."""
    body = {"spec": {"template": template({}, [container(env=uses)])}}
    top = thing("CronJob", "feed", namespace, api="batch/v1", age=60 * 24 * 9,
                spec={"schedule": "*/15 * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": body, **spec}, status={"active": [{"name": "feed-2"}]})  # fmt: skip
    job = thing("Job", "feed-2", namespace, api="batch/v1", owner=top, age=300, spec=body["spec"], status={"active": 1, "startTime": ago(300)})  # fmt: skip
    words = "Not starting job because prior execution is running and concurrency policy is Forbid"
    return [top, job, event(top, "JobAlreadyActive", words, type_="Normal")]


def test_a_blocked_cron_job_that_uses_the_same_store_is_why_its_reader_has_old_data():
    answer = causes(READER, STORE, feed(), logs=complaints(), target="Deployment/shop/quotes")

    assert first(answer) == ("CronJob/import/feed", "BlockedByActiveJob")
    assert answer.ranked[0].path == ["CronJob/import/feed", "Deployment/shop/quotes"]
    assert "accounts for 1 other finding" in answer.ranked[0].confidence.basis


def test_a_suspended_cron_job_counts_when_somebody_misses_its_work():
    answer = causes(READER, STORE, feed(suspend=True), logs=complaints(), target="Deployment/shop/quotes")

    assert first(answer) == ("CronJob/import/feed", "Suspended")


@pytest.mark.parametrize(
    ("objects", "logs"),
    [
        ([feed(uses=env(STORE="other.shop-data.svc:5432"))], complaints()),
        ([feed()], complaints("level=warn msg=\"customer is older than allowed\"", count=1)),
        ([feed()], complaints("level=info msg=\"quote given\" pair=EUR/USD")),
        ([], complaints()),
    ],
    ids=["another store", "a single line", "no complaint", "nobody is idle"],
)  # fmt: skip
def test_without_a_complaint_and_a_shared_store_nobody_is_tied_to_anybody(
    objects: list[Any], logs: list[Any]
):
    answer = causes(READER, STORE, *objects, logs=logs, target="Deployment/shop/quotes")

    assert [str(cause.target) for cause in answer.ranked] == []


def test_a_reader_whose_writers_all_work_is_no_finding():
    assert said(seen(stale_data, READER, STORE, logs=complaints())) == []


@pytest.mark.parametrize(
    ("line", "old"),
    [
        ("2026-11-18T09:2{}:00Z INFO poll: no new records", False),
        ('2026-11-18T09:2{}:00Z level=debug msg="last refresh was 30s ago"', False),
        ("2026-11-18T09:2{}:00Z WARN poll: no new records", True),
        ('2026-11-18T09:2{}:00Z level=info msg="refused" reason="rate is older than 45m"', True),
    ],
    ids=["a poll", "when it was last", "a warning", "old, in whatever tone"],
)
def test_a_reader_that_tells_as_news_that_nothing_came_does_not_complain(line: str, old: bool):
    found = seen(stale_data, READER, STORE, feed(suspend=True), logs=complaints(line))
    answer = causes(READER, STORE, feed(suspend=True), logs=complaints(line), target="Deployment/shop/quotes")

    assert found == []
    assert bool(answer.ranked) is old
