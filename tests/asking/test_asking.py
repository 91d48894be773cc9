"""What asking saves is counted rightly, and asking brings into view what is needed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.context_api.domain.snapshot import ContainerLog
from tests.asking import table
from tests.asking.__main__ import report
from tests.asking.measure import STATIC, WAYS, Outcome, Taken, at_once, outcome
from tests.asking.reader import CALL_S, READ_PER_S, STEP_S, WRITE_PER_S, WRITTEN, Need, Reader
from tests.asking.ways import everything, words_of_tools
from tests.incidents.corpus import entries
from tests.incidents.incident import Half
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-011", "API-BR-CAPI-016", "HAPI-BR-CONTEXT-006")

NEED = Need(["ConfigMap/shop/api-conf"], [["refused", "reset"], ["5433"]])


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("ConfigMap/shop/api-conf: connection refused, port 5433", []),
        ('{"kind":"ConfigMap","name":"api-conf"} Connection RESET at 5433', []),
        ("ConfigMap/shop/api-conf-2: refused 5433", ["ConfigMap/shop/api-conf"]),
        ("my-ConfigMap api-conf refused 5433", ["ConfigMap/shop/api-conf"]),
        ("ConfigMap api-conf: all is well", ["refused | reset", "5433"]),
        ("", ["ConfigMap/shop/api-conf", "refused | reset", "5433"]),
    ],
)
def test_what_is_needed_is_in_view_when_object_and_facts_are(text: str, missing: list[str]):
    assert NEED.missing_from(text) == missing


def test_a_step_costs_as_much_as_its_whole_prompt_is_long():
    reader = Reader(NEED, "x" * 6_000)
    reader.think()
    reader.add("y" * 2_999)
    reader.think()

    assert (reader.steps, reader.read, reader.size) == (2, 2_000 + 3_000, 3_000)
    assert reader.seconds == pytest.approx(2 * (CALL_S + WRITTEN / WRITE_PER_S) + 5_000 / READ_PER_S)
    assert not reader.done


def test_the_question_itself_proves_nothing():
    reader = Reader(NEED, "ConfigMap api-conf refused 5433")
    reader.think()

    assert not reader.done


def test_what_stands_nowhere_is_a_conclusion():
    held = NEED.held_by("ConfigMap api-conf, port 5433")

    assert (held.objects, held.facts) == (NEED.objects, [["5433"]])
    assert NEED.held_by("nothing") == Need([], [])
    assert Need([], []).missing_from("") == []


SNAPSHOT = kube.snapshot(
    kube.pod("api", "shop"),
    kube.thing("ConfigMap", "api-conf", "bank", data={"port": "5433 refused"}),
    logs=[ContainerLog("shop", "api", "app", False, "\n".join(f"line {n}" for n in range(300)))],
)


def test_static_enrichment_holds_the_namespace_and_no_other():
    text = everything(SNAPSHOT, "shop")

    assert '"name":"api"' in text
    assert "api-conf" not in text
    assert "line 299" in text
    assert "line 199\n" not in text
    assert "api-conf" in everything(SNAPSHOT, None)


def test_what_does_not_lie_in_the_namespace_costs_a_second_prompt():
    here = at_once(NEED, "?", SNAPSHOT, "bank")
    elsewhere = at_once(NEED, "?", SNAPSHOT, "shop")
    concluded = at_once(replace(NEED, facts=[["nobody listens"]]), "?", SNAPSHOT, "bank")

    assert (here.in_view, here.steps, here.wider) == (True, 1, False)
    assert (elsewhere.in_view, elsewhere.steps, elsewhere.wider) == (True, 2, True)
    assert elsewhere.read > here.read
    assert (concluded.in_view, concluded.steps) == (True, 1)


@pytest.mark.parametrize("name", ["image_tag_typo", "renamed_key", "lost_permission"])
def test_asking_brings_the_cause_and_its_facts_into_view(name: str):
    entry = entries(Half.tuned)[name]

    measured = asyncio.run(outcome(entry))

    for way in WAYS:
        taken = measured.taken[way]
        assert taken.in_view, taken.missing
        assert 2 <= taken.steps <= 4
        assert taken.size < taken.read
        assert len(words_of_tools()) // 3 < taken.size


def test_only_the_half_that_is_asked_for_is_loaded():
    assert {one.incident.half for one in entries(Half.tuned).values()} == {Half.tuned}


def test_healthy_workloads_beside_it_make_what_is_static_longer_and_asking_hardly():
    entry = entries(Half.tuned)["image_tag_typo"]

    alone, beside = (asyncio.run(outcome(entry, crowd)) for crowd in (0, 10))

    assert beside.taken[STATIC].read > 2 * alone.taken[STATIC].read
    for way in WAYS:
        assert beside.taken[way].in_view
        assert beside.taken[way].read < 1.5 * alone.taken[way].read


def taken(seconds: float, *, in_view: bool = True, read: int = 1_000) -> Taken:
    """Of one step; `seconds` decide how much was read."""
    size = round((seconds - STEP_S) * READ_PER_S)
    return Taken(in_view, 1, size, read, seconds, missing=() if in_view else ("a | b",))


def test_only_what_both_ways_bring_into_view_is_compared_and_the_rest_is_told():
    of = {STATIC: taken(10), "causes first": taken(5), "bundle first": taken(9)}
    both = Outcome("one", Half.tuned, of)
    lost = Outcome("two", Half.tuned, {**of, STATIC: taken(1, in_view=False)})
    blind = replace(lost, name="three", half=Half.blind)

    text = report([both, lost, blind], [replace(both, crowd=30)])

    assert both.saved("causes first") == pytest.approx(0.5)
    assert both.tokens_saved("causes first") == pytest.approx(1 - 2.5 / 7.5)
    assert both.saved("causes first", 1e12) == pytest.approx(0, abs=1e-6)
    assert "| tuned | causes first | 1 | 50% | 67% | 0 | 1 of 1 |" in text
    assert "| tuned | bundle first | 1 | 10% | 13% | 0 | 0 of 1 |" in text
    assert "| two | everything at once | a or b |" in text
    assert "| tuned | everything at once | 1 of 2 |" in table.summary([both, lost, blind])
    assert "three" not in text
