"""What crosses to a model and back holds no secret, and only facts that are what their hash says."""

from __future__ import annotations

import secrets

import pytest

from cli.alert_file import read_alerts
from cli.triage import triage
from libs.contracts.evidence import EvidenceItem, content_hash
from libs.redaction import Redactor, Unredactable
from libs.redaction.redactor import LONGEST
from services.context_api.adapters.recording import load_recording
from services.holmesgpt_api.domain.clearing import cleared, genuine, to_be_kept
from services.holmesgpt_api.engine.messages import Alert, HeadStart
from tests.incidents.incident import RECORDINGS
from tests.support.investigations import CHECKOUT, cause, evidence

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-110")

S = secrets.token_hex(12)


def test_an_alert_keeps_its_words_and_loses_its_secrets():
    alert = Alert(
        name="KubePodCrashLooping",
        priority="P1",
        labels={"namespace": "shop", "api_key": S},
        annotations={"summary": f"checkout fails: postgres://app:{S}@db/shop"},
    )

    shown = cleared(alert, Redactor(b"k" * 16))

    assert S not in shown.model_dump_json()
    assert shown.labels["namespace"] == "shop"
    assert shown.labels["api_key"] in shown.annotations["summary"]


def test_a_persons_words_are_kept_without_their_secrets_and_equal_ones_stay_equal():
    kept = to_be_kept(f"does Pod/shop/checkout-1 use password={S} or {S} of old?")

    assert S not in kept
    assert kept.startswith("does Pod/shop/checkout-1 use password=[SECRET-")
    placeholder = kept.partition("password=")[2].partition(" ")[0]
    assert kept.count(placeholder) == 2


def test_what_cannot_be_looked_at_is_not_kept():
    with pytest.raises(Unredactable):
        to_be_kept("x" * (LONGEST + 1))


def test_what_triage_found_keeps_its_objects_and_ids_and_its_facts_have_the_hash_of_what_is_shown():
    item = evidence("e1", summary=f"PGPASSWORD={S}")
    start = HeadStart(
        target=CHECKOUT,
        summary=f"token={S}",
        causes=[cause(text=f"secret={S}")],
        evidence=[item],
        not_looked_at=[f"password: {S}"],
    )

    shown = cleared(start, Redactor(b"k" * 16))

    assert S not in shown.model_dump_json()
    assert (shown.target, shown.causes[0].target, shown.causes[0].evidence_ids) == (
        start.target,
        start.causes[0].target,
        ["e1"],
    )
    assert shown.evidence[0].id == "e1"
    assert shown.evidence[0].content_hash == content_hash(shown.evidence[0].body)


def test_what_is_too_large_to_be_looked_at_is_not_passed_on():
    with pytest.raises(Unredactable):
        cleared(Alert(name="x", priority="P1", labels={"a": "b" * 2_000_000}), Redactor(b"k" * 16))


@pytest.mark.parametrize("changed", [{"body": {"summary": "another"}}, {"content_hash": "0" * 64}])
def test_a_fact_that_was_changed_on_its_way_is_dropped(changed: dict[str, object]):
    item = evidence("e1")

    kept, dropped = genuine([item, item.model_copy(update=changed)])

    assert (kept, dropped) == ([item], 1)


def test_every_fact_of_a_recorded_incident_has_the_hash_of_its_body_after_the_wire():
    place = RECORDINGS / "image_tag_typo"
    report = triage(load_recording(place), read_alerts(place / "alert.json"), None)

    sent = [EvidenceItem.model_validate_json(one.model_dump_json()) for one in report.evidence.values()]

    assert genuine(sent) == (sent, 0)
    assert len(sent) > 2
