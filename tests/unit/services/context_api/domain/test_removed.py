"""Namespaces that were removed by whoever makes and removes them, and those that are merely gone."""

from __future__ import annotations

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.target import Target
from services.context_api.domain.removed import removed
from services.context_api.domain.scene import Scene
from tests.support.kube import ago, config_map, crashing, deployment, log, moment, pods_in, snapshot, thing
from tests.support.triage import causes

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-009")

TARGET = Target.parse("Pod/trial-417/shop-7c9d6f5b8c-x2lqp")
TRIALS = deployment("trials", "tools")
OTHERS = [thing("Namespace", name, None) for name in ("tools", "trial-402")]
SAID = f"{ago(12)} INFO trials: change 417 was merged, removing its environment trial-417"


def scene(*objects, said: str = SAID, tool=None, others=OTHERS) -> Scene:
    parts = TRIALS if tool is None else tool
    logs = [log(pods_in(parts)[0], said)]
    return Scene(snapshot(parts, others, *objects, logs=logs))


def test_a_namespace_that_a_program_tells_to_have_removed_and_nobody_misses_is_gone_on_purpose():
    found = removed(scene(), TARGET, moment(60))

    assert found is not None
    assert (str(found.by), found.at) == ("Deployment/tools/trials", moment(12))
    assert "removing its environment trial-417" in found.line


@pytest.mark.parametrize(
    "known",
    [
        scene(said=f"{ago(12)} INFO trials: 2 environments"),
        scene(said=f"{ago(12)} INFO trials: made environment trial-417"),
        scene(said=f"{ago(12)} ERROR trials: failed to remove trial-417"),
        scene(said=f"{ago(12)} INFO trials: removed trial-4170"),
        scene(said=f"{ago(90)} INFO trials: removed trial-417"),
        scene(said="INFO trials: removed trial-417"),
        scene(said=f"{SAID}\n{ago(3)} ERROR GET http://shop.trial-417.svc/ failed: no such host"),
        scene(tool=deployment("trials", "tools", statuses=[crashing()])),
        scene(thing("Namespace", "trial-417", None)),
        scene(config_map("left", "trial-417")),
        scene(thing("Application", "trial", "argocd", api="argoproj.io/v1alpha1", spec={"destination": {"namespace": "trial-417"}})),
        scene(config_map("routes", "tools", data={"hosts": "shop.trial-417.svc"})),
        scene(others=[]),
    ],
    ids=[
        "nobody tells", "it tells of something else", "it could not", "another one", "long ago", "nobody knows when", "a log misses it",
        "who tells does not run", "it is there", "something of it is there", "somebody wants it", "a setting names it", "no namespaces recorded",
    ],
)  # fmt: skip
def test_a_namespace_that_is_merely_gone_may_have_been_deleted_by_mistake(known: Scene):
    assert removed(known, TARGET, moment(60)) is None


def test_the_answer_says_who_removed_it():
    answer = causes(
        TRIALS, OTHERS, target=str(TARGET), onset=moment(15), logs=[log(pods_in(TRIALS)[0], SAID)]
    )

    assert answer.no_cause_reason is NoCause.recovered
    assert "Namespace trial-417 is no more: Deployment tools/trials told at" in answer.no_cause_text
    assert "removing its environment trial-417" in answer.no_cause_text


def test_without_such_a_word_there_is_not_enough_evidence():
    answer = causes(TRIALS, OTHERS, target=str(TARGET), onset=moment(15))

    assert answer.no_cause_reason is NoCause.insufficient
