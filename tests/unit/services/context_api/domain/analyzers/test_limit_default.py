"""Limits that a LimitRange gave."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import limit_default
from tests.support.kube import container, crashing, deployment, edit, pods_in, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

LIMITED = container(resources={"limits": {"memory": "64Mi"}})


def killed(*, own_limit: bool = False, annotated: bool = True):
    objects = deployment(
        "api",
        containers=[LIMITED if own_limit else container()],
        statuses=[crashing(code=137, reason="OOMKilled")],
    )
    for one in pods_in(objects):
        one["spec"]["containers"] = [LIMITED]
        if annotated:
            one["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = (
                "LimitRanger plugin set: memory limit for container app"
            )
    return objects


def default_of(**more):
    return thing(
        "LimitRange",
        "defaults",
        spec={"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]},
        **more,
    )


def test_a_default_that_was_lowered_is_the_cause():
    answer = causes(killed(), default_of(edits=[edit(40, "spec/limits")]), target="Deployment/shop/api")

    assert first(answer) == ("LimitRange/shop/defaults", "DefaultLimitTooSmall")
    assert "64Mi" in answer.ranked[0].text


def test_a_default_that_always_was_there_leaves_the_workload_to_blame():
    answer = causes(killed(), default_of(age=60 * 48), target="Deployment/shop/api")

    assert first(answer) == ("Deployment/shop/api", "OOMKilled")


@pytest.mark.parametrize(
    "objects",
    [killed(own_limit=True), killed(annotated=False), deployment("api")],
    ids=["its own limit", "nobody set it", "healthy"],
)
def test_other_limits_are_not_the_ranges_matter(objects):
    assert said(seen(limit_default, objects, default_of(edits=[edit(40, "spec/limits")]))) == []
