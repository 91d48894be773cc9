"""An object is looked up as far as its asker may read; what cannot be had is told as that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from libs.contracts.context import Resolution
from services.holmesgpt_api.domain.by_cluster import ByCluster
from services.holmesgpt_api.domain.chat.errors import EvidenceAway, NothingKnown
from services.holmesgpt_api.domain.chat.subject import Subject
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.errors import Impossible, NotNow, NotReadable
from services.holmesgpt_api.domain.triage import Triage
from services.holmesgpt_api.steps.look_up import LookUp
from tests.fakes.evidence import ScriptedEvidence
from tests.support.clock import Clock
from tests.support.investigations import CHECKOUT, caller, found

pytestmark = pytest.mark.requirement("HAPI-011", "HAPI-013", "HAPI-178")

PATIENCE, LONG = timedelta(seconds=10), timedelta(seconds=24)
HERE = Resolution(target=CHECKOUT, owner=CHECKOUT, exists=True, reason="label:pod")
LABELS = Subject(labels={"pod": "checkout-1", "namespace": "shop"}, namespace="shop")


def look_up(evidence: ScriptedEvidence, now: Callable[[], float] = time.monotonic) -> LookUp:
    return LookUp(Triage(evidence, patience=PATIENCE, now=now), patience=PATIENCE)


async def test_an_object_in_full_is_asked_about_as_it_is():
    evidence = ScriptedEvidence([found()])
    verdict = await look_up(evidence).about(Subject(target=CHECKOUT), caller(), within=LONG)

    assert verdict.results.cause is not None
    assert [(name, said["target"], said["tenant"]) for name, said in evidence.calls] == [
        ("causes", CHECKOUT, "default")
    ]


async def test_labels_are_resolved_first():
    evidence = ScriptedEvidence([found()], [HERE])
    await look_up(evidence).about(LABELS, caller(), within=LONG)

    assert [name for name, _ in evidence.calls] == ["resolve", "causes"]
    assert {"pod": "checkout-1", "namespace": "shop"}.items() <= evidence.calls[0][1]["labels"].items()


@pytest.mark.requirement("HAPI-130")
@pytest.mark.parametrize(("within", "first", "second"), [(24, 10, 3), (8, 8, 1)])
async def test_the_patience_is_for_all_of_it(within: int, first: int, second: int):
    clock = Clock()

    class Slow(ScriptedEvidence):
        async def resolve(self, labels: Mapping[str, str], *, tenant: str, deadline: timedelta) -> Resolution:
            clock.advance(7)
            return await super().resolve(labels, tenant=tenant, deadline=deadline)

    evidence = Slow([found()], [HERE])
    await look_up(evidence, clock).about(LABELS, caller(), within=timedelta(seconds=within))

    assert [said["deadline"] for _, said in evidence.calls] == [
        timedelta(seconds=first),
        timedelta(seconds=second),
    ]


async def test_what_the_asker_may_not_read_is_not_asked_for():
    evidence = ScriptedEvidence([found()])
    for subject in (Subject(target=CHECKOUT), LABELS, Subject(labels={"node": "worker-2"})):
        with pytest.raises(NotReadable):
            await look_up(evidence).about(subject, caller(namespaces=["data"]), within=LONG)

    assert evidence.calls == []


async def test_an_object_elsewhere_than_it_was_looked_for_is_not_named():
    elsewhere = Resolution(
        target=CHECKOUT.model_copy(update={"namespace": "vault"}), owner=None, exists=True, reason="label:pod"
    )
    with pytest.raises(NotReadable) as refused:
        await look_up(ScriptedEvidence([], [elsewhere])).about(
            LABELS, caller(namespaces=["shop"]), within=LONG
        )

    assert "vault" not in str(refused.value)


async def test_an_object_that_is_none_is_told_as_that():
    nowhere = Resolution(target=None, owner=None, exists=False, reason="unknown", detail="no such pod")
    with pytest.raises(NothingKnown, match="no such pod"):
        await look_up(ScriptedEvidence([], [nowhere])).about(LABELS, caller(), within=LONG)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NotNow("context-unavailable", "away", retry_after=timedelta(seconds=3)), timedelta(seconds=3)),
        (Impossible("context-refused", "HTTP 403"), None),
    ],
)
async def test_a_context_api_that_gives_nothing_is_told_as_that(error: Exception, again: timedelta | None):
    with pytest.raises(EvidenceAway) as away:
        await look_up(ScriptedEvidence([error])).about(Subject(target=CHECKOUT), caller(), within=LONG)

    assert away.value.retry_after == again


@pytest.mark.requirement("HAPI-179")
@pytest.mark.parametrize("subject", [LABELS, Subject(target=CHECKOUT)])
async def test_an_object_is_looked_up_in_the_cluster_that_is_given(subject: Subject):
    here, there = ScriptedEvidence([found()], [HERE]), ScriptedEvidence([found()], [HERE])
    engines = {
        url: Triage(one, patience=PATIENCE) for url, one in {"http://a": here, "http://b": there}.items()
    }
    looking = LookUp(ByCluster(Clusters("http://a", {"eu": "http://b"}), engines), patience=PATIENCE)

    await looking.about(subject, caller(), within=LONG, cluster="eu")
    assert (here.calls == [], there.calls[-1][0]) == (True, "causes")

    with pytest.raises(NothingKnown, match="no Context API is configured for cluster us"):
        await looking.about(subject, caller(), within=LONG, cluster="us")
