"""What Alertmanager sends is read alert by alert, and what it would never send is refused by name."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.alerts import AlertmanagerWebhook
from services.alerts.domain import webhook
from services.alerts.domain.errors import Malformed, Unreadable

pytestmark = pytest.mark.requirement("INT-BR-WH-001", "INT-BR-WH-003", "INT-BR-WH-012", "INT-BR-WH-020")

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
BODIES = sorted((Path(__file__).parents[4] / "fixtures" / "alertmanager").glob("*.json"))


def an_alert(**changes):
    alert = {
        "status": "firing",
        "labels": {"alertname": "DiskFull", "namespace": "shop"},
        "annotations": {"summary": "full"},
        "startsAt": "2026-11-21T05:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prom.example/graph",
        "fingerprint": "5b1387bd86f3ef74",
    }
    return {name: value for name, value in {**alert, **changes}.items() if value is not None}


def a_body(*alerts, **changes):
    return json.dumps({"receiver": "hook", "groupKey": "{}", "alerts": alerts, **changes}).encode()


def refusal(alert):
    """Why this alert is refused, with a good neighbour that must be kept."""
    reading = webhook.read(a_body(alert, an_alert()), now=NOW)
    assert [result.status for result in reading.results] == ["rejected", "accepted"]
    assert len(reading.alerts) == 1
    return reading.results[0]


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_every_body_of_a_real_alertmanager_is_taken_whole(path):
    body = path.read_bytes()
    sent = json.loads(body)["alerts"]

    reading = webhook.read(body, now=NOW)

    assert [alert.status for alert in reading.alerts] == [alert["status"] for alert in sent]
    assert [alert.labels for alert in reading.alerts] == [alert["labels"] for alert in sent]
    assert [alert.fingerprint for alert in reading.alerts] == [alert["fingerprint"] for alert in sent]
    assert reading.rejected == []


def test_all_eight_bodies_are_there():
    assert len(BODIES) == 8


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_the_fast_reader_and_the_documented_contract_read_the_same(path):
    body = path.read_bytes()
    documented = AlertmanagerWebhook.model_validate_json(body)

    reading = webhook.read(body, now=NOW)

    assert (reading.receiver, reading.group_key) == (documented.receiver, documented.group_key)
    for read, shown in zip(reading.alerts, documented.alerts, strict=True):
        assert (read.status, read.labels, read.annotations) == (
            shown.status.value,
            shown.labels,
            shown.annotations,
        )
        # Nanoseconds do not fit either; one rounds, the other cuts.
        assert abs(read.starts_at - shown.starts_at) <= timedelta(microseconds=1)


def test_a_firing_alert_has_no_end_and_a_resolved_one_has():
    firing, resolved = webhook.read(
        a_body(an_alert(), an_alert(status="resolved", endsAt="2026-11-21T05:30:00+00:00")), now=NOW
    ).alerts

    assert firing.ends_at is None
    assert resolved.ends_at == datetime(2026, 11, 21, 5, 30, tzinfo=UTC)


def test_times_in_another_zone_are_kept_in_utc():
    (alert,) = webhook.read(a_body(an_alert(startsAt="2026-11-21T07:00:00+02:00")), now=NOW).alerts

    assert alert.starts_at == datetime(2026, 11, 21, 5, tzinfo=UTC)
    assert alert.starts_at.tzinfo is UTC


def test_a_missing_fingerprint_is_the_one_alertmanager_would_compute():
    sent = json.loads(BODIES[0].read_bytes())["alerts"][0]
    without = {name: value for name, value in sent.items() if name != "fingerprint"}

    (alert,) = webhook.read(a_body(without), now=NOW).alerts

    assert alert.fingerprint == sent["fingerprint"]


@pytest.mark.parametrize(
    ("alert", "field", "remedy"),
    [
        (an_alert(status="pending"), "status", '"firing" or "resolved"'),
        (an_alert(status=None), "status", '"firing" or "resolved"'),
        (an_alert(labels=None), "labels", "at least one label"),
        (an_alert(labels={}), "labels", "at least one label"),
        (an_alert(labels=["x"]), "labels", "object"),
        (an_alert(labels={"pod": 7}), "labels.pod", "quotes"),
        (an_alert(labels={"": "x"}), "labels", "name that is empty"),
        (an_alert(labels={"pod": "a\x00b"}), "labels.pod", "U+0000"),
        (an_alert(labels={"p\x00": "a"}), "labels", "U+0000"),
        (an_alert(labels={"pod": "\ud800"}), "labels.pod", "lone surrogate"),
        (an_alert(labels={"\udfff": "x"}), "labels", "not storable"),
        (an_alert(labels={f"l{n}": "x" for n in range(257)}), "labels", "at most 256"),
        (an_alert(labels={"pod": "x" * 65_537}), "labels.pod", "shorten"),
        (an_alert(labels={"p" * 1025: "x"}), "labels", "longer than 1024"),
        (an_alert(annotations={"summary": "\x00"}), "annotations.summary", "U+0000"),
        (an_alert(annotations="none"), "annotations", "object"),
        (an_alert(generatorURL="http://x/\x00"), "generatorURL", "U+0000"),
        (an_alert(fingerprint="f\x00"), "fingerprint", "U+0000"),
        (an_alert(fingerprint="f" * 129), "fingerprint", "shorten"),
        (an_alert(startsAt=None), "startsAt", "missing"),
        (an_alert(startsAt="yesterday"), "startsAt", "RFC 3339"),
        (an_alert(startsAt=1763700000), "startsAt", "RFC 3339"),
        (an_alert(startsAt="0001-01-01T00:00:00Z"), "startsAt", "not set"),
        (an_alert(startsAt="0001-01-01T00:00:00+23:59"), "startsAt", "years 1 to 9999"),
        (an_alert(startsAt="2026-11-22T07:00:00Z"), "startsAt", "24 h in the future"),
        (an_alert(endsAt="9999-12-31T23:59:59-23:59"), "endsAt", "years 1 to 9999"),
        (an_alert(endsAt="soon"), "endsAt", "RFC 3339"),
        ("not an object", "", "must be an object"),
        (None, "", "must be an object"),
    ],
)
def test_a_bad_alert_is_refused_by_field_and_remedy_and_its_neighbour_is_kept(alert, field, remedy):
    result = refusal(alert)

    assert result.field == field
    assert remedy in (result.error or "")


def test_bytes_that_are_not_utf_8_refuse_their_alert_alone():
    good, bad = json.dumps(an_alert()).encode(), b'{"status":"firing","labels":{"pod":"\xff"}}'
    body = b'{"receiver":"hook","alerts":[' + bad + b"," + good + b"]}"

    reading = webhook.read(body, now=NOW)

    assert [result.status for result in reading.results] == ["rejected", "accepted"]


def test_an_escaped_backslash_before_u0000_is_ordinary_text():
    (alert,) = webhook.read(a_body(an_alert(labels={"path": r"C:\u0000"})), now=NOW).alerts

    assert alert.labels == {"path": r"C:\u0000"}


def test_unknown_fields_of_a_newer_alertmanager_are_ignored():
    body = a_body(an_alert(severityScore=3), notification_reason="first notification", routeLabels={"a": "b"})

    assert len(webhook.read(body, now=NOW).alerts) == 1


def test_a_refused_fingerprint_goes_back_as_valid_text():
    result = refusal(an_alert(fingerprint="\ud800", status="x"))

    assert result.fingerprint.encode() == b"?"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"receiver":"hook","alerts":[{"status":"fir',
        b'"',
        b"\xef\xbb\xbf{}",
        b'{"receiver":"hook","alerts":[{"labels":{"a":NaN}}]}',
        b'{"receiver":"hook","alerts":[{"labels":{"a":"\\q"}}]}',
        b'{"receiver":"hook","alerts":[]} {}',
        b'{"receiver":"hook","alerts":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"a":' * 100_000,
        b'{"receiver":"hook","alerts":[{"labels":{"a":"\\ud800","b":' + b"9" * 5000 + b"}}]}",
    ],
    ids=range(11),
)
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(Malformed):
        webhook.read(body, now=NOW)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
        (b"{}", "body"),
        (b'{"alerts":[]}', "body.receiver"),
        (b'{"receiver":"hook"}', "body.alerts"),
        (b'{"receiver":"hook","alerts":null}', "body.alerts"),
        (b'{"receiver":"hook","alerts":{"status":"firing"}}', "body.alerts"),
        (b'{"receiver":7,"alerts":[]}', "body.receiver"),
        (b'{"receiver":"hook","groupKey":[],"alerts":[]}', "body.groupKey"),
        (b'{"receiver":"a\\u0000","alerts":[]}', "body.receiver"),
        (b'{"receiver":"hook","groupKey":"\\udead","alerts":[]}', "body.groupKey"),
        (a_body(*[{}] * 10_001), "body.alerts"),
    ],
)
def test_json_that_is_no_webhook_body_is_refused_by_field(body, field):
    with pytest.raises(Unreadable) as refused:
        webhook.read(body, now=NOW)

    assert refused.value.field.startswith(field)
    assert refused.value.reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(list(an_alert()))


@settings(deadline=None)
@given(st.lists(st.tuples(FIELDS, JSON), max_size=5))
def test_any_change_of_an_alert_is_taken_or_refused_and_never_an_error(changes):
    alert = an_alert() | dict(changes)

    reading = webhook.read(json.dumps({"receiver": "r", "alerts": [alert, an_alert()]}).encode(), now=NOW)

    assert reading.results[1].status == "accepted"
    assert len(reading.results) == 2


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    with suppress(Malformed, Unreadable):
        reading = webhook.read(body, now=NOW)
        assert len(reading.alerts) <= len(reading.results)
