"""Each investigation is run by the engine of its own cluster; one of an unknown cluster by none."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from services.holmesgpt_api.domain.by_cluster import ByCluster
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.errors import NotNow
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from tests.support.investigations import CHECKOUT, claimed, found, request

pytestmark = pytest.mark.requirement("HAPI-179")

DEFAULT, EU = "http://context/", "http://context-eu/"


@dataclass
class Engine:
    away: bool = False
    name: str = "triage"
    runs: list[Claimed] = field(default_factory=list)

    async def run(self, run: Claimed, report_progress: ReportProgress) -> Verdict:
        self.runs.append(run)
        if self.away:
            raise NotNow("context-unavailable", "away")
        return conclude(found(), CHECKOUT, run, "no-model-configured")


async def unheard(progress: int, stage: str, happened: Happening | None = None, /) -> None:
    """Nobody asks how far it is."""


def of(cluster: str | None, **fields: object) -> Claimed:
    labels = {"cluster": cluster} if cluster else {}
    return claimed(request=request(target=CHECKOUT.model_dump(), labels=labels), **fields)


async def test_each_is_run_by_its_own_clusters_engine_about_an_object_there():
    here, there = Engine(), Engine()
    triage = ByCluster(Clusters(DEFAULT, {"eu": EU}), {DEFAULT: here, EU: there})

    unnamed = await triage.run(of(None), unheard)
    named = await triage.run(of("eu"), unheard)

    assert [one.request.target for one in here.runs] == [CHECKOUT]
    assert [one.request.target for one in there.runs] == [CHECKOUT.model_copy(update={"cluster": "eu"})]
    assert [one.context_used["cluster_by"] for one in (unnamed, named)] == ["default", "alert-label"]


async def test_one_cluster_away_is_another_ones_trouble():
    triage = ByCluster(Clusters(DEFAULT, {"eu": EU}), {DEFAULT: Engine(), EU: Engine(away=True)})

    with pytest.raises(NotNow):
        await triage.run(of("eu"), unheard)
    assert (await triage.run(of(None), unheard)).results.cause is not None


@pytest.mark.parametrize(("reads", "named"), [(("*",), True), (("shop",), False)])
async def test_one_of_an_unknown_cluster_is_asked_of_nobody(reads: tuple[str, ...], named: bool):
    engines = {DEFAULT: Engine(), EU: Engine()}

    verdict = await ByCluster(Clusters(DEFAULT, {"eu": EU}), engines).run(of("us", reads=reads), unheard)

    assert (verdict.degraded_reason, verdict.results.target) == ("unknown-cluster", None)
    assert ("there are: eu" in verdict.summary) is named
    assert [one.runs for one in engines.values()] == [[], []]
