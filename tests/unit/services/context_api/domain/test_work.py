"""When the work of a job was done last, by whichever job."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.work import Work
from tests.support.kube import Doc, ago, container, moment, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-009")


def job(name: str, done: float | None = None, namespace: str = "shop", **spec: Any) -> Doc:
    status = {"completionTime": ago(done)} if done is not None else {}
    made = [container(**spec)] if "containers" not in spec else spec["containers"]
    return thing("Job", name, namespace, api="batch/v1", spec={"template": {"spec": {"containers": made}}}, status=status)  # fmt: skip


def last_done(*others: Doc, **spec: Any):
    graph = Graph(snapshot(job("report", **spec), others))
    asked = graph.get("Job", "shop", "report")
    assert asked
    return Work(graph).last_done(asked)


def test_the_newest_completion_of_the_same_work_counts_whatever_its_version():
    newer = job("again", 10, image="registry.example/app:1.1")

    assert last_done(job("first", 50), newer, job("goes-on")) == moment(10)


@pytest.mark.parametrize(
    "other",
    [job("x", 10, args=["--all"]), job("x", 10, image="registry.example/other:1.0"), job("x", 10, "elsewhere"), job("x")],
    ids=["with other words", "another program", "in another namespace", "not complete"],
)  # fmt: skip
def test_other_work_is_not_the_same(other: Doc):
    assert last_done(other) is None


def test_jobs_that_say_nothing_of_what_they_do_have_nothing_in_common():
    assert last_done(job("x", 10, containers=[]), containers=[]) is None
