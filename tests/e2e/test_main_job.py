"""The main job on the real stack: a webhook goes in, the causal object and a delivered notification come out."""

import asyncio

import pytest

from cli.run.incident import Services, Story, follow
from libs.clients.alerts import AlertsClient
from libs.clients.holmesgpt import HolmesClient
from libs.clients.notifications import NotificationsClient
from libs.contracts.alerts import Environment
from libs.contracts.notifications import DeliveryState
from tests.support.redis import RedisServer
from tests.support.stack import INCIDENT, Stack, running

pytestmark = [
    pytest.mark.requirement(
        "INT-BR-WH-001",
        "INT-BR-AP-020",
        "INT-BR-NOT-003",
        "HAPI-001",
        "HAPI-004",
        "HAPI-011",
        "API-BR-CAPI-001",
    ),
    pytest.mark.xdist_group("stack"),
]

WITHIN_S = 60.0
"""Twice what is promised on a quiet machine; the tests share two cores."""


async def story_of(stack: Stack) -> Story:
    async with (
        AlertsClient(stack.urls["alerts"], token=lambda _: stack.keys.alertmanager_token) as webhook,
        AlertsClient(stack.urls["alerts"], token=lambda _: stack.keys.operator_key) as alerts,
        HolmesClient(stack.urls["holmesgpt_api"], token=lambda _: stack.keys.operator_key) as holmesgpt,
        NotificationsClient(
            stack.urls["notifications"], token=lambda _: stack.keys.operator_key
        ) as notifications,
    ):
        services = Services(webhook, alerts, holmesgpt, notifications)
        return await follow(INCIDENT / "alert.json", services, say=stack.said.append, within_s=WITHIN_S)


def assert_explained_and_told(story: Story) -> None:
    assert story.investigation.engine == "triage"
    assert story.investigation.degraded_reason == "no-model-configured"
    assert story.investigation.results is not None
    assert story.investigation.results.cause is not None
    assert str(story.investigation.results.cause.target) == "ConfigMap/data/orders-db-config"
    assert {delivery.state for delivery in story.notification.deliveries} == {DeliveryState.sent}


async def test_the_bundled_alert_is_classified_explained_by_the_edited_configmap_and_told(tmp_path):
    async with running(tmp_path) as stack:
        story = await story_of(stack)
        async with asyncio.timeout(10):
            while not any("orders-db-config" in said and "CAUSE" not in said for said in stack.said):
                await asyncio.sleep(0.1)

    assert_explained_and_told(story)
    decided = {decision.subject: decision for decision in story.episode.decisions}
    assert story.episode.environment is Environment.production
    assert decided["environment"].reason
    assert decided["priority"].reason
    results = story.investigation.results
    assert results is not None
    assert results.cause is not None
    assert results.cause.evidence_ids
    assert set(results.cause.evidence_ids) <= {item.id for item in results.evidence}
    assert "orders-db-config" in story.notification.body


@pytest.mark.needs("redis-server")
async def test_the_main_job_passes_while_redis_is_killed(tmp_path):
    with RedisServer() as redis:
        async with running(tmp_path, environment={"REDIS_URL": redis.url}) as stack:
            redis.kill()
            story = await story_of(stack)

    assert_explained_and_told(story)


async def test_the_main_job_passes_while_each_worker_is_killed_once(tmp_path):
    workers = ("alerts worker", "holmesgpt-api worker", "notifications worker")
    async with running(tmp_path) as stack:
        telling = asyncio.create_task(story_of(stack))
        for worker in workers:
            pid = stack.supervisor.pid_of(worker)
            if pid is not None:
                stack.kill(pid)
            await asyncio.sleep(0.3)
        story = await telling

    assert_explained_and_told(story)
    assert all(any(worker in said and "restarting" in said for said in stack.said) for worker in workers)
