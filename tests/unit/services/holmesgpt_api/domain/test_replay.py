"""What a replay concludes from, and what cannot be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from libs.auth.principal import Principal
from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import InvestigationStatus
from libs.contracts.replay import ReplayRequest
from services.holmesgpt_api.domain.commission import digest as of_investigation
from services.holmesgpt_api.domain.errors import NothingToReplay, StillRunning, UnknownHere
from services.holmesgpt_api.domain.opinion import fall_back
from services.holmesgpt_api.domain.record import Record, Replay
from services.holmesgpt_api.domain.replay import (
    FROZEN_AT_MOST,
    FROZEN_BYTES,
    Configured,
    Kept,
    Rerun,
    chosen,
    digest,
    rerun,
    wants_all,
)
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from tests.support.investigations import (
    CHECKOUT,
    CONFIG,
    DATABASE,
    NOW,
    caller,
    claimed,
    evidence,
    found,
    record,
)

pytestmark = pytest.mark.requirement("HAPI-161", "HAPI-103")

HERE = Configured(["gpt-9", "gpt-8"], ["2", "1"])
NONE = Configured([], ["2"])


def triages(**fields: Any) -> Verdict:
    return conclude(found(**fields), CHECKOUT, claimed(), "no-model-configured")


def models() -> Verdict:
    """A model's, which has seen one fact of its own."""
    triage = triages()
    seen = triage.results.model_copy(update={"evidence": [evidence("e1", CONFIG), evidence("e9", DATABASE)]})
    return triage.model_copy(update={"engine": "holmesgpt", "results": seen})


def ended(verdict: Verdict | None) -> Record:
    status = InvestigationStatus.completed if verdict else InvestigationStatus.failed
    return record(verdict=verdict, status=status, ended_at=NOW, seen=("data", "shop"))


def again(
    one: Record,
    interim: Verdict | None = None,
    *,
    shown: Sequence[EvidenceItem] = (),
    reader: Principal | None = None,
    here: Configured = HERE,
    **asked: Any,
) -> Rerun:
    request, reader = ReplayRequest(**asked), reader or caller("ben")
    return rerun(one, Kept(interim, shown), reader, request, chosen(request, one.id, here), here)


def given(made: Rerun) -> list[str]:
    return [item.id for item in made.frozen.results.evidence]


def test_a_model_is_given_all_that_triage_and_the_first_model_had_been_shown():
    made = again(ended(models()), triages(), shown=[evidence("e1"), evidence("e7"), evidence("e8", None)])

    assert given(made) == ["e1", "e2", "e9", "e7", "e8"]


def test_what_a_model_that_came_to_nothing_had_been_shown_is_given_too():
    failed = fall_back(triages(), "model-error", "HTTP 500")

    assert given(again(ended(failed), shown=[evidence("e7")])) == ["e1", "e2", "e7"]


def test_who_may_read_less_than_the_first_asker_is_given_what_the_verdict_cites():
    one = replace(ended(models()), reads=("shop", "data", "kube-*"))
    shown = [evidence("e7")]

    narrow = again(one, triages(), shown=shown, reader=caller("ben", namespaces=("shop", "data")))
    equal = again(one, triages(), shown=shown, reader=caller("ben", namespaces=("kube-*", "data", "shop")))

    assert given(narrow) == ["e1", "e2", "e9"]
    assert given(equal) == ["e1", "e2", "e9", "e7"]


def test_a_run_that_saw_too_much_is_cut_from_its_end():
    shown = [evidence(f"s{number}") for number in range(2 * FROZEN_AT_MOST)]
    ids = given(again(ended(models()), triages(), shown=shown))

    assert ids == ["e1", "e2", "e9", *(one.id for one in shown)][:FROZEN_AT_MOST]


def test_a_fact_that_is_too_large_keeps_no_other_out():
    huge = evidence("huge", summary="x" * FROZEN_BYTES)
    large = [evidence(f"l{number}", summary="x" * 100_000) for number in range(5)]
    ids = given(again(ended(models()), triages(), shown=[huge, *large, evidence("e7")]))

    assert "huge" not in ids
    assert ids[-1] == "e7"
    assert 0 < len([one for one in ids if one.startswith("l")]) < 5


def test_all_that_was_shown_is_asked_for_where_it_is_given_and_nowhere_else():
    one = replace(ended(models()), reads=("shop",))
    by_model, by_triage = Replay(one.id, "holmesgpt"), Replay(one.id, "triage")

    assert wants_all(one, caller("ben", namespaces=("shop",)), by_model)
    assert not wants_all(one, caller("ben", namespaces=("shop",)), by_triage)
    assert not wants_all(one, caller("ben", namespaces=("web",)), by_model)
    assert not wants_all(replace(one, ended_at=None), caller("ben"), by_model)


def test_a_replay_names_what_it_is_of_and_what_it_is_compared_with():
    made = again(ended(models()), triages())

    assert (made.replay.engine, made.replay.model, made.replay.prompt) == ("holmesgpt", "gpt-9", "2")
    assert [item.id for item in made.frozen.results.evidence] == ["e1", "e2", "e9"]
    assert made.frozen.engine == "triage"
    assert made.original.results.evidence == []
    assert made.original.results.cause == models().results.cause
    assert (made.commission.asker, made.seen) == ("ben", ("data", "shop"))


def test_triage_concludes_what_it_concluded_and_says_that_it_was_asked_for():
    made = again(ended(models()), triages(), shown=[evidence("e7")], engine="triage")

    assert "e7" not in given(made)

    assert made.frozen.results.cause == triages().results.cause
    assert made.frozen.degraded_reason == "model-not-asked"
    assert (made.replay.model, made.replay.prompt) == (None, None)


def test_what_was_triages_can_be_given_to_a_model_and_without_one_triage_is_the_engine():
    assert again(ended(triages())).replay.engine == "holmesgpt"
    assert again(ended(triages()), here=NONE).replay.engine == "triage"
    assert again(ended(triages()), here=NONE).frozen.degraded_reason == "no-model-configured"
    assert again(ended(triages()), model="gpt-8", prompt_version="1").replay.model == "gpt-8"


def test_the_words_that_are_asked_for_are_the_replays_and_those_of_now_where_none_are():
    assert again(ended(triages()), prompt_version="1").replay.prompt == "1"
    assert again(ended(triages())).replay.prompt == "2"


@pytest.mark.parametrize(
    ("asked", "here", "said"),
    [
        ({"model": "gpt-7"}, HERE, "body.model: 'gpt-7' is unknown here; want one of: gpt-9, gpt-8"),
        ({"prompt_version": "0"}, HERE, "body.prompt_version: '0' is unknown here; want one of: 2, 1"),
        ({"engine": "holmesgpt"}, NONE, "body.engine: 'holmesgpt' is unknown here; want one of: triage"),
        ({"model": "gpt-9"}, NONE, "leave it out with this engine"),
        ({"engine": "triage", "prompt_version": "1"}, HERE, "leave it out with this engine"),
    ],
)
def test_what_is_not_configured_is_refused_with_what_is(asked: dict[str, Any], here: Configured, said: str):
    with pytest.raises(UnknownHere) as refused:
        again(ended(triages()), here=here, **asked)

    assert said in str(refused.value)


def test_what_has_not_ended_or_has_no_evidence_cannot_be_replayed():
    with pytest.raises(StillRunning):
        again(record(interim=triages()), triages())
    with pytest.raises(NothingToReplay):
        again(ended(None))
    with pytest.raises(NothingToReplay):
        again(ended(models()))  # nothing is kept of triage's


def test_a_replay_that_asks_the_same_of_the_same_is_known_again_and_no_other_is():
    same = [digest("inv-1", ReplayRequest()), digest("inv-1", ReplayRequest(engine=None, model=None))]
    others = [
        digest("inv-2", ReplayRequest()),
        digest("inv-1", ReplayRequest(engine="holmesgpt")),
        digest("inv-1", ReplayRequest(model="gpt-9")),
        digest("inv-1", ReplayRequest(prompt_version="2")),
        of_investigation(record().request),
    ]

    assert same[0] == same[1]
    assert len({same[0], *others}) == 1 + len(others)


def test_a_replay_is_recorded_under_the_callers_key():
    request = ReplayRequest(model="gpt-8")
    made = rerun(ended(triages()), Kept(), caller("ben"), request, chosen(request, "inv-1", HERE), HERE, "k")

    assert made.commission.idempotency_key == "k"
    assert made.commission.digest == digest("inv-1", ReplayRequest(model="gpt-8"))
    assert made.commission.shared_key is None
