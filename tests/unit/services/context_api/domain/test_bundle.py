"""What goes into a bundle, and that it never grows over its budget."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.bundle import Bundle, ContextSource, InvestigationType
from libs.contracts.evidence import EvidenceKind
from libs.contracts.target import Target
from services.context_api.domain import dossier
from services.context_api.domain.bundle import Wanted, as_sent, bundle, tokens
from services.context_api.domain.snapshot import NotRead, Snapshot
from services.context_api.domain.triage import Judged, judge
from tests.support.kube import config_map, container, crashing, deployment, event, log, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "HAPI-BR-CONTEXT-006")

TARGET = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="api")


def crash_loop(replicas: int = 1, words: str = "cannot read /etc/app.yaml") -> Snapshot:
    api = deployment("api", replicas=replicas, statuses=[crashing(message=words)] * replicas)
    events = [event(pod, "BackOff", "Back-off restarting failed container") for pod in pods_in(api)]
    logs = [log(pod, f"starting\nFATAL {words}", previous=True) for pod in pods_in(api)]
    return snapshot(api, *events, logs=logs, not_read=[NotRead("metrics usage of prometheus", "timeout")])


def judged(taken: Snapshot) -> Judged:
    return judge(taken, target=TARGET)


def made(taken: Snapshot, room: int = 4_000, sources=frozenset(ContextSource)) -> Bundle:
    known = judged(taken)
    wanted = Wanted(InvestigationType.root_cause, room, sources, "given")
    return bundle(known, dossier.of(known, TARGET), wanted)


def test_what_proves_the_first_cause_stands_first():
    packed = made(crash_loop())

    assert packed.items[0].id in packed.causes[0].evidence_ids
    assert packed.no_cause is None


def test_replicas_that_say_the_same_are_told_once():
    packed = made(crash_loop(replicas=4))

    backoff = [item for item in packed.items if "BackOff" in item.text]
    assert len(backoff) == 1
    assert backoff[0].also == 3


def test_many_facts_of_one_kind_about_one_object_do_not_crowd_out_those_of_what_it_uses():
    settings = config_map("settings", MODE="fast")
    api = deployment("api", containers=[container(envFrom=[{"configMapRef": {"name": "settings"}}])])
    many = [event(api[0], f"Odd{'abcdefghi'[n]}", "odd", type_="Normal") for n in range(9)]
    packed = made(snapshot(api, settings, *many, event(settings, "Stray", "odd too", type_="Normal")))

    told = [item for item in packed.items if item.kind is EvidenceKind.event]
    worth = [item.relevance for item in packed.items]

    assert worth == sorted(worth, reverse=True)
    assert "Stray" not in told[0].text
    assert any("Stray" in item.text for item in told[:7])
    assert "more of its kind before it" in told[-1].why


def test_the_everyday_and_outlines_are_not_said_twice():
    packed = made(snapshot(deployment("api")))

    said = [item for item in packed.items if "is to be" in item.text or "=True" in item.text]
    assert len(said) > 2
    assert {item.detail for item in said} == {None}


def test_a_gap_is_said_where_it_belongs():
    states = {one.source: one for one in made(crash_loop()).sources}

    assert states[ContextSource.metrics].status == "partial"
    assert "timeout" in states[ContextSource.metrics].detail
    assert states[ContextSource.logs].status == "read"
    assert states[ContextSource.patterns].status == "not-available"


def test_a_fact_too_long_for_the_room_gives_way_to_shorter_ones_and_is_listed():
    packed = made(crash_loop(words="x" * 2_000), room=1_000)

    assert packed.items
    assert packed.left_out_total > 0
    assert {one.id for one in packed.left_out}.isdisjoint({item.id for item in packed.items})


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1_000, 20_000),
    st.integers(1, 6),
    st.text(min_size=1, max_size=300),
    st.sets(st.sampled_from(ContextSource), min_size=1),
)
def test_the_answer_is_never_larger_than_its_budget_and_tells_its_size(room, replicas, words, sources):
    packed = made(crash_loop(replicas, words), room, frozenset(sources))

    assert tokens(len(as_sent(packed))) == packed.budget.used_tokens <= room
    assert {item.source for item in packed.items} <= sources
    assert len(packed.left_out) <= packed.left_out_total
