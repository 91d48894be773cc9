"""A claim stands on what it cites: names, numbers, times and words that occur there, objects that were looked at."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.alert_file import read_alerts
from cli.triage import triage
from libs.contracts.evidence import EvidenceItem, EvidenceKind, content_hash
from libs.contracts.investigations import Claim
from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from services.holmesgpt_api.domain.claims import Archive, by_citation, check, standing
from tests.incidents.incident import RECORDINGS

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-013")

CORPUS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[4] / "corpora" / "claims.yaml").read_text("utf-8")
)
CASES = [(incident, number) for incident, told in CORPUS.items() for number in range(len(told))]

POD = Target(kind="Pod", namespace="shop", name="checkout-7d9f-x2x4z")


def claim(*ids: str, text: str = "the file is wrong", status: str = "supported") -> Claim:
    return Claim(text=text, status=status, evidence_ids=list(ids))


def fact(
    id_: str = "e1",
    summary: str = "exit code 137, 3 restarts",
    *,
    kind: EvidenceKind = EvidenceKind.object,
    target: Target | None = POD,
    **body: Any,
) -> EvidenceItem:
    return EvidenceItem(
        id=id_,
        source="recording",
        kind=kind,
        target=target,
        content_hash=content_hash(body),
        summary=summary,
        body=body,
    )


def archive(*items: EvidenceItem, **fields: Any) -> Archive:
    return Archive({item.id: item for item in items}, **fields)


def reason(text: str, *items: EvidenceItem, **fields: Any) -> str | None:
    (checked,) = check([claim(*(item.id for item in items), text=text)], archive(*items, **fields))
    return checked.reason


@lru_cache(maxsize=2)
def recorded(incident: str) -> Archive:
    """All that triage shows of a recorded incident."""
    place = RECORDINGS / incident
    report = triage(load_recording(place), read_alerts(place / "alert.json"), None)
    return Archive(dict(report.evidence), list(report.causes))


def test_the_corpus_has_both_kinds_of_claims():
    kinds = Counter("because" in one for told in CORPUS.values() for one in told)

    assert sum(kinds.values()) >= 80
    assert min(kinds.values()) >= 40


@pytest.mark.parametrize(("incident", "number"), CASES)
def test_true_claims_about_recorded_incidents_stand_and_invented_ones_do_not(incident: str, number: int):
    seen, told = recorded(incident), CORPUS[incident][number]
    ids = []
    for words in told["cites"]:
        found = [one for one, item in seen.items.items() if words in item.summary]
        assert found or told.get("because") == "cites-unknown", f"no fact of {incident} holds {words!r}"
        ids += found or ["ev-0000000000000000"]

    (checked,) = check([claim(*ids, text=told["text"])], seen)

    assert ((checked.reason or "").partition(":")[0] or None) == told.get("because"), (told, checked.reason)
    assert checked.status == ("hypothesis" if "because" in told else "supported")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("87 %", {"ratio": 0.87}),
        ("87%", {"ratio": 0.8734}),
        ("1.5Gi", {"memory_bytes": 1610612736}),
        ("1.5 GiB", {"memory": "1536Mi"}),
        ("200m", {"cpu": "0.2"}),
        ("0.2 cores", {"cpu": "200m"}),
        ("5m", {"after": "300s"}),
        ("4m12s", {"took": "252s"}),
        ("2 min 5 s", {"took_seconds": 125}),
        ("90 seconds", {"took": "1m30s"}),
        ("250 ms", {"latency": "0.25s"}),
        ("HTTP 503", {"line": "upstream answered status=503 for /pay"}),
        ("1,200 requests", {"count": 1200}),
        ("09:05", {"at": "2026-11-18T09:05:24Z"}),
        ("2026-11-18 09:05:24 UTC", {"at": "2026-11-18T09:05:24+00:00"}),
        ("three restarts", {"restarts": 3}),
    ],
)
def test_a_number_is_found_in_any_usual_spelling(text: str, shown: dict[str, Any]):
    assert reason(f"It was {text}.", fact(summary="seen", **shown)) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("88 %", {"ratio": 0.87}),
        ("1.5Gi", {"memory": "1.5Mi"}),
        ("200m", {"cpu": "2"}),
        ("HTTP 503", {"line": "checkout-503abc answered 500"}),
        ("137", {"name": "web-137"}),
        ("09:05", {"at": "2026-11-18T10:09:05Z"}),
        ("three restarts", {"restarts": 13}),
        ("4m12s", {"took": "4m13s"}),
    ],
)
def test_another_number_is_not(text: str, shown: dict[str, Any]):
    assert (reason(f"It was {text}.", fact(summary="seen", **shown)) or "").startswith("not-in-evidence: ")


@pytest.mark.parametrize(
    "text",
    [
        "The out-of-memory killer ended a long-running container; it is well-known.",
        "CPU and/or memory were short, e.g. after the roll-out.",
        "The pod restarts because the service is down and the deployment was changed.",
        "Kubernetes and PostgreSQL disagree, I/O was slow.",
    ],
)
def test_words_of_english_are_no_names(text: str):
    assert reason(text, fact()) is None


def test_an_object_that_only_a_log_line_names_was_not_looked_at():
    line = "ERROR blame Deployment/shop/billing, it is broken"
    log = fact(summary=line, kind=EvidenceKind.log, lines=[line])

    assert reason("Deployment/shop/billing is broken.", log) == (
        'object-not-looked-at: "Deployment/shop/billing"'
    )


@pytest.mark.parametrize(
    ("said_by", "counts"),
    [
        ({"path": "status.conditions[Available]"}, True),
        ({"path": "data"}, False),
        ({"path": "metadata.annotations"}, False),
    ],
)
def test_only_the_clusters_own_words_name_an_object_nobody_looked_at(said_by: dict[str, Any], counts: bool):
    held = fact(
        summary="seen", message="Secret shop/db-auth was not found, says Deployment/shop/billing", **said_by
    )

    assert (reason("Secret shop/db-auth is missing.", held) is None) is counts


@pytest.mark.parametrize(
    ("component", "counts"),
    [("kubelet", True), ("replicaset-controller", True), ("my app", False), ("", False)],
)
def test_an_event_counts_for_that_when_a_component_of_the_cluster_wrote_it(component: str, counts: bool):
    line = 'secret "db-auth" not found'
    held = fact(summary=line, kind=EvidenceKind.event, message=line, **dict[str, Any]({"from": component}))

    assert (reason("Secret db-auth is missing.", held) is None) is counts


def test_a_field_that_holds_a_name_alone_names_an_object():
    held = fact(summary="env", path="spec", value={"secretKeyRef": {"name": "db-auth", "key": "dsn"}})

    assert reason("Secret db-auth holds key dsn.", held) is None


def test_an_object_that_was_asked_about_and_is_in_no_fact_is_not_in_evidence():
    asked = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="billing")

    said = reason("Deployment billing is at fault.", fact(), targets=[asked])

    assert said == 'not-in-evidence: "Deployment billing"'


def test_an_object_of_another_kind_with_the_same_name_was_not_looked_at():
    config = fact(target=Target(kind="ConfigMap", namespace="data", name="orders-db-config"))

    assert reason("ConfigMap `orders-db-config` was edited.", config) is None
    assert (reason("StatefulSet orders-db-conf fails.", config) or "").startswith("object-not-looked-at")


def test_a_placeholder_must_stand_in_the_evidence_as_any_other_word():
    held = fact(env="[SECRET-a1b2c3:assignment]")

    assert reason("The value is [SECRET-a1b2c3:assignment].", held) is None
    assert reason("The value is [SECRET-ffffff:assignment].", held) is not None


def test_of_a_text_the_sentences_stand_that_can():
    text = "It ended with exit code 137. The image shop/web:9.9.9 is broken. It restarted 3 times."

    kept, faults = standing(text, ["e1"], archive(fact()))

    assert kept == "It ended with exit code 137. It restarted 3 times."
    assert faults == ['not-in-evidence: "shop/web:9.9.9"']


@pytest.mark.parametrize(
    ("cited", "status", "kept"),
    [
        (["e1"], "supported", ["e1"]),
        (["e1", "e2"], "supported", ["e1", "e2"]),
        (["e1", "made-up"], "hypothesis", ["e1"]),
        (["made-up"], "hypothesis", []),
        ([], "hypothesis", []),
    ],
)
def test_a_claim_is_supported_only_by_evidence_that_exists(cited: list[str], status: str, kept: list[str]):
    for (checked,) in (
        by_citation([claim(*cited)], {"e1", "e2"}),
        check([claim(*cited)], archive(fact("e1"), fact("e2"))),
    ):
        assert (checked.status, checked.evidence_ids) == (status, kept)
        assert (checked.reason is None) is (status == "supported")


IDS = st.lists(st.sampled_from(["e1", "e2", "x", "y"]))
WORDS = st.lists(
    st.text(max_size=40)
    | st.sampled_from(
        ["137", "exit code 138", "`ls -l`", "Pod/shop/a", "pod web-1", "1.5Gi", "09:05", "[SECRET-abcdef:x]"]
    ),
    max_size=8,
).map(" ".join)


@given(ids=IDS, text=WORDS, status=st.sampled_from(["supported", "hypothesis"]))
def test_no_claim_cites_what_is_not_there_whatever_it_says(ids: list[str], text: str, status: str):
    seen = archive(fact("e1"), fact("e2", "event Failed: no such image", kind=EvidenceKind.event))

    (checked,) = check([claim(*ids, text=text, status=status)], seen)

    assert set(checked.evidence_ids) <= {"e1", "e2"}
    assert checked.status == "hypothesis" or (checked.evidence_ids and checked.reason is None)
    assert check([checked.model_copy(update={"evidence_ids": ids})], seen) == [checked]


@given(
    text=st.lists(
        st.sampled_from(
            ["137", "HTTP 503", "`no such file`", "web-7f9.x", "1.5Gi", "09:05", "DB_HOST", "5 min 3 s"]
        )
    ).map(" ".join)
)
def test_what_evidence_says_word_for_word_stands(text: str):
    assert reason(text, fact(summary=text, line=text)) is None


@given(number=st.integers(0, 10**6), other=st.integers(0, 10**6))
def test_a_whole_number_without_a_unit_stands_only_when_it_is_that_one(number: int, other: int):
    held = fact(summary="counted", count=other)

    assert (reason(f"There were {number} of them.", held) is None) is (number == other)


@given(mebibytes=st.integers(1, 4096), other=st.integers(1, 4096))
def test_an_amount_of_memory_stands_in_bytes_and_in_mebibytes_and_no_other_does(mebibytes: int, other: int):
    for shown in (f"{other}Mi", other * 1024**2):
        held = fact(summary="limit", memory=shown)
        assert (reason(f"It may use {mebibytes}Mi.", held) is None) is (mebibytes == other)
