from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.auth.principal import Principal, principal_for
from libs.cache import MemoryCache
from services.context_api.domain.errors import (
    BadCursor,
    NoLog,
    NotReadable,
    UnknownCluster,
    UnknownEvidence,
    UnknownObject,
)
from services.context_api.domain.excerpt import Wanted
from services.context_api.domain.ports import Connectivity, SourceState
from services.context_api.domain.selector import parse_selector
from services.context_api.domain.snapshot import ContainerLog, Snapshot
from services.context_api.steps.answers import Answers
from services.context_api.steps.ask import About, Desk
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "HAPI-178", "API-BR-CAPI-018")

SNAPSHOT = replace(
    kube.snapshot(
        kube.deployment("api", statuses=[kube.waiting(reason="ImagePullBackOff")]),
        kube.thing("Service", "api", api="serving.knative.dev/v1"),
        kube.service("api"),
        kube.thing("Node", "n1", None),
        kube.pod("secret-0", "bank"),
    ),
    id="s1",
    logs=[
        ContainerLog("shop", "api-0", "app", False, "one\nFATAL two"),
        ContainerLog("bank", "secret-0", "app", False, "opened vault 7"),
    ],
)
POD = next(item.name for item in SNAPSHOT.objects if item.kind == "Pod" and item.namespace == "shop")


class Source:
    """Has this snapshot."""

    state = SourceState(Connectivity.healthy)

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        return SNAPSHOT


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers(MemoryCache(max_entries=100, max_bytes=10_000_000), most_waiting=9, observe=lambda _: None)
    yield made
    await made.close()


def desk(answers: Answers, cluster: str = "local") -> Desk:
    return Desk(Source(), answers, cluster=cluster, limit=timedelta(seconds=10), ttl=timedelta(minutes=1))


def caller(*namespaces: str) -> Principal:
    return principal_for("x", tenant="t", roles=[], namespaces=namespaces, method="token", credential="")


def about(
    kind: str, name: str, namespace: str | None = "shop", group: str | None = None, cluster: str | None = None
) -> About:
    return About(kind, group, namespace, name, cluster)


async def causes(answers: Answers, what: About, who: Principal | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await desk(answers).causes(what, None, who or caller("*"), None))
    return answer


async def test_causes_carry_when_they_were_true(answers: Answers):
    answer = await causes(answers, about("Deployment", "api"))

    assert answer["ranked"][0]["target"]["name"] == "api"
    assert answer["snapshot_at"] == "2026-11-18T09:30:00Z"
    assert "not_looked_at" in answer


@pytest.mark.parametrize(
    ("kind", "group", "version"),
    [("Service", "serving.knative.dev", "serving.knative.dev/v1"), ("Service", None, "serving.knative.dev/v1"), ("Deployment", "apps", "apps/v1"),
     ("deployment", None, "apps/v1")],
)  # fmt: skip
async def test_an_object_is_found_by_kind_and_group(
    answers: Answers, kind: str, group: str | None, version: str
):
    answer = await causes(answers, about(kind, "api", group=group))

    assert answer["target"]["api_version"] == version


async def test_a_pod_that_is_gone_is_answered_by_its_workload(answers: Answers):
    answer = await causes(answers, about("Pod", POD[:-5] + "zzzzz"))

    assert answer["ranked"][0]["target"]["kind"] == "Deployment"


@pytest.mark.parametrize(
    "what",
    [
        about("Pod", "nobody"),
        about("Rocket", "api"),
        about("Deployment", "api", "other"),
        about("Deployment", "api", group="acme.io"),
    ],
    ids=str,
)
async def test_an_unknown_object_is_said_to_be_unknown(answers: Answers, what: About):
    with pytest.raises(UnknownObject, match=str(what)):
        await causes(answers, what)


async def test_a_namespace_that_may_not_be_read_is_refused_before_anything_is_looked_up(answers: Answers):
    for name in ("secret-0", "nobody"):
        with pytest.raises(NotReadable, match="bank"):
            await causes(answers, about("Pod", name, "bank"), caller("shop"))


async def test_objects_of_the_cluster_are_for_those_who_may_read_everything(answers: Answers):
    assert (await causes(answers, about("Node", "n1", None)))["target"]["kind"] == "Node"
    with pytest.raises(NotReadable, match="_cluster"):
        await causes(answers, about("Node", "n1", None), caller("shop"))


async def test_callers_with_other_rights_do_not_share_answers(answers: Answers):
    await causes(answers, about("Deployment", "api"))
    whole = answers.rate.hits
    await causes(answers, about("Deployment", "api"), caller("shop"))

    assert answers.rate.hits == whole


async def test_findings_are_given_for_an_object(answers: Answers):
    found = json.loads(await desk(answers).findings(about("Deployment", "api"), caller("*"), None))

    assert found["findings"][0]["target"]["name"] == "api"
    assert found["snapshot_at"] == "2026-11-18T09:30:00Z"


async def test_labels_are_resolved_with_the_time_they_were_true(answers: Answers):
    found = await desk(answers).resolve({"namespace": "shop", "pod": POD}, None, caller("shop"), None)

    assert (found.exists, found.owner and found.owner.name, found.snapshot_at) == (True, "api", kube.NOW)
    assert found.not_looked_at == []


async def test_what_is_not_found_says_what_was_not_looked_at(answers: Answers):
    found = await desk(answers).resolve({"namespace": "shop", "pod": "nobody"}, None, caller("shop"), None)

    assert not found.exists
    assert any("may not read" in gap for gap in found.not_looked_at)


async def test_labels_of_another_namespace_are_refused(answers: Answers):
    with pytest.raises(NotReadable):
        await desk(answers).resolve({"namespace": "bank", "pod": "secret-0"}, None, caller("shop"), None)


async def test_evidence_nobody_named_speaks_for_every_cluster(answers: Answers):
    found = await desk(answers).resolve({"namespace": "shop", "pod": POD}, "eu-1", caller("*"), None)

    assert found.target is not None
    assert found.target.cluster == "eu-1"


async def test_named_evidence_speaks_for_its_own_cluster(answers: Answers):
    named = desk(answers, cluster="eu-1")

    assert (await named.resolve({"namespace": "shop", "pod": POD}, "eu-1", caller("*"), None)).exists
    with pytest.raises(UnknownCluster, match="of us-1"):
        await named.causes(about("Deployment", "api", cluster="us-1"), None, caller("*"), None)


@pytest.mark.requirement("API-BR-CAPI-003")
async def test_a_listing_is_kept_by_its_labels_too(answers: Answers):
    here = desk(answers)

    async def total(labels: str) -> int:
        answer = await here.listing("shop", "pods", parse_selector(labels), caller("*"), None)
        count: int = json.loads(answer)["context"]["total"]
        return count

    assert [await total("app=api"), await total("app=web"), await total("app==api"), await total("")] == [
        2,
        0,
        2,
        2,
    ]
    assert answers.rate.hits == 1


async def test_a_listing_of_an_unreadable_namespace_is_refused(answers: Answers):
    with pytest.raises(NotReadable):
        await desk(answers).listing("bank", "pods", parse_selector(""), caller("shop"), None)


async def page(answers: Answers, who: Principal, *, cursor: str | None = None) -> dict[str, Any]:
    answer = await desk(answers).evidence(about("Deployment", "api"), None, 50, cursor, who, None)
    found: dict[str, Any] = json.loads(answer)
    return found


async def one(answers: Answers, evidence_id: str, who: Principal) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await desk(answers).one(evidence_id, who, None))
    return found


async def test_every_fact_of_every_answer_is_found_again_by_its_id(answers: Answers):
    who = caller("shop")
    told = [
        *(await page(answers, who))["items"],
        *(await causes(answers, about("Deployment", "api"), who))["evidence"],
    ]

    assert told
    for item in told:
        assert (await one(answers, item["id"], who))["content_hash"] == item["content_hash"]


async def test_the_lines_of_a_log_are_found_again_by_the_id_that_cites_them(answers: Answers):
    who = caller("shop")
    answer = json.loads(await desk(answers).logs("shop", "api-0", Wanted(tail=1), who, None))

    assert (await one(answers, answer["evidence_id"], who))["body"]["lines"] == ["FATAL two"]


@pytest.mark.requirement("HAPI-178")
async def test_a_fact_of_another_namespace_is_as_unknown_as_one_that_is_not(answers: Answers):
    everything = caller("*")
    told = json.loads(await desk(answers).logs("bank", "secret-0", Wanted(), everything, None))
    there = json.loads(
        await desk(answers).evidence(about("Pod", "secret-0", "bank"), None, 50, None, everything, None)
    )

    for evidence_id in (told["evidence_id"], there["items"][0]["id"], "ev-0000000000000000"):
        with pytest.raises(UnknownEvidence, match=evidence_id):
            await one(answers, evidence_id, caller("shop"))


@pytest.mark.requirement("HAPI-178")
async def test_evidence_and_logs_of_an_unreadable_namespace_are_refused(answers: Answers):
    for name in ("secret-0", "nobody"):
        with pytest.raises(NotReadable, match="bank"):
            await desk(answers).logs("bank", name, Wanted(), caller("shop"), None)
        with pytest.raises(NotReadable, match="bank"):
            await desk(answers).evidence(about("Pod", name, "bank"), None, 9, None, caller("shop"), None)


async def test_another_question_has_another_answer(answers: Answers):
    here, who = desk(answers), caller("shop")

    last = json.loads(await here.logs("shop", "api-0", Wanted(tail=1), who, None))
    both = json.loads(await here.logs("shop", "api-0", Wanted(), who, None))

    assert (len(last["lines"]), len(both["lines"])) == (1, 2)


async def test_a_cursor_is_of_the_page_before(answers: Answers):
    with pytest.raises(BadCursor):
        await page(answers, caller("shop"), cursor="ev-0000000000000000")


async def test_a_log_nobody_recorded_is_said_to_be_missing(answers: Answers):
    with pytest.raises(NoLog, match="api-0"):
        await desk(answers).logs("shop", "nobody", Wanted(), caller("shop"), None)
