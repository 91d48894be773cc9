"""Fingerprints are Alertmanager's own, and unstorable text is found wherever it stands."""

import json
from pathlib import Path

import pytest

from services.alerts.domain import labels

pytestmark = pytest.mark.requirement("INT-BR-WH-008", "INT-BR-WH-024")

BODIES = sorted((Path(__file__).parents[4] / "fixtures" / "alertmanager").glob("*.json"))


def test_fingerprints_equal_those_a_real_alertmanager_sent():
    alerts = [alert for path in BODIES for alert in json.loads(path.read_bytes())["alerts"]]

    computed = [labels.fingerprint(alert["labels"]) for alert in alerts]

    assert computed == [alert["fingerprint"] for alert in alerts]
    assert len(computed) == 17


def test_the_fingerprint_does_not_depend_on_the_order_of_labels():
    assert labels.fingerprint({"a": "1", "b": "2"}) == labels.fingerprint({"b": "2", "a": "1"})


def test_names_and_values_do_not_run_into_each_other():
    assert labels.fingerprint({"ab": "c"}) != labels.fingerprint({"a": "bc"})


def test_what_postgresql_cannot_keep_is_named():
    assert "U+0000" in (labels.unstorable("a\x00") or "")
    assert "surrogate" in (labels.unstorable("a\udc00") or "")
    assert labels.unstorable("a\u0001\U0001f600") is None


def test_an_alert_that_cannot_be_read_at_all_is_still_diagnosed():
    assert labels.diagnose(b"\xff")[1]
    assert labels.diagnose(b"[" * 100_000)[1]


def test_whatever_others_say_is_made_storable():
    said = {"a\x00": ["b\udc00", {"c": "\x00"}], "n": 7, "ok": "\u0001\U0001f600"}

    assert labels.storable(said) == {"a\ufffd": ["b?", {"c": "\ufffd"}], "n": 7, "ok": "\u0001\U0001f600"}
