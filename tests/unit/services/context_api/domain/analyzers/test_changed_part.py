"""What a platform object gathers or names, made or edited just before it went bad."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import changed_part, unhealthy_condition
from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, ago, applied, edit, snapshot, thing
from tests.support.triage import causes, first, said

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")
API = "nodes.example.com/v1"
GROUPED = {"group": "a"}


def found(*objects: Any) -> list[Observation]:
    scene = Scene(snapshot(*objects))
    return list(changed_part.explain(scene, list(unhealthy_condition.observe(scene))))


def pool(minutes: float = 30, message: str = "cannot render: unknown format", **spec: Any) -> Doc:
    spec = spec or {"recipeSelector": {"matchLabels": GROUPED}}
    status = {"conditions": [{"type": "RenderDegraded", "status": "True", "message": message, "lastTransitionTime": ago(minutes)}]}  # fmt: skip
    return thing("Pool", "blue", None, api=API, spec=spec, status=status)


def recipe(name: str, *, fmt: str = "3.5.0", age: float = 9000, group: str = "a", **more: Any) -> Doc:
    return thing("Recipe", name, None, api=API, age=age, labels={"group": group}, spec={"format": fmt}, **more)  # fmt: skip


OLD = [recipe("one"), recipe("two"), recipe("three")]


def test_a_part_that_came_just_before_is_the_cause_and_told_with_what_it_alone_says():
    answer = causes(pool(), OLD, recipe("four", fmt="4.0.0", age=30.5), target="Pool/_cluster/blue")

    assert first(answer) == ("Recipe/_cluster/four", "PartChangedBeforeOnset")
    for fact in ("spec.format is `4.0.0`", "all 3 others have `3.5.0`", "unknown format"):
        assert fact in answer.ranked[0].text


def test_an_edited_part_is_told_before_and_after():
    before = applied(recipe("four"))
    edited = recipe("four", fmt="4.0.0", annotations=before, edits=[edit(31, "spec/format")])

    (one,) = found(pool(), OLD, edited)

    assert "was edited at" in one.text
    assert "`3.5.0` → `4.0.0`" in one.text


def test_a_part_that_the_object_names_counts_as_well():
    named = thing("Recipe", "four", "shop", api=API, spec={"format": "x"}, edits=[edit(31, "spec/format")])
    whole = thing("Pool", "blue", api=API, spec={"recipeRef": {"name": "four"}}, status=pool()["status"])

    assert said(found(whole, named)) == [("Recipe/shop/four", "PartChangedBeforeOnset")]


def test_of_several_the_one_that_the_words_speak_of_is_told():
    later = recipe("later", age=30.1)

    assert said(found(pool(), OLD, recipe("four", fmt="4.0.0", age=31), later)) == [
        ("Recipe/_cluster/four", "PartChangedBeforeOnset")
    ]


@pytest.mark.parametrize(
    "objects",
    [
        [pool(), OLD],
        [pool(), OLD, recipe("four", fmt="4.0.0", age=30.5, group="b")],
        [pool(), OLD, recipe("four", fmt="4.0.0", age=25)],
        [pool(), OLD, recipe("four", fmt="4.0.0", age=90)],
        [pool(), OLD, recipe("four", edits=[edit(31, "metadata/annotations/seen")])],
        [thing("Pool", "blue", None, api=API, spec={"recipeSelector": {"matchLabels": GROUPED}}), OLD, recipe("four", age=30.5)],
        [pool(recipeSelector={}), OLD, recipe("four", age=30.5)],
    ],
    ids=["all-old", "not-selected", "came-later", "long-before", "only-annotated", "well", "no-selector"],
)  # fmt: skip
def test_what_did_not_change_just_before_is_not_blamed(objects: list[object]):
    assert found(*objects) == []


def test_what_came_along_with_the_whole_is_no_change():
    whole = {**pool(30), "metadata": {**pool()["metadata"], "creationTimestamp": ago(30.6)}}

    assert found(whole, [recipe("one", age=30.6), recipe("two", age=30.6)]) == []
