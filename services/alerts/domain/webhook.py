"""Read Alertmanager's webhook body (version "4", as 0.25 to 0.34 send it), alert by alert.

One bad alert never drops its neighbours: a body that does not fit as a whole is read again one alert at
a time, and each refusal names its field and the remedy. What the alerts mean is decided elsewhere.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from services.alerts.domain import labels as rules
from services.alerts.domain.errors import Malformed, Unreadable

MAX_ALERTS = 10_000
"""Per body. Alertmanager sends whole groups; its `max_alerts` cuts them."""

FUTURE = timedelta(hours=24)
"""How far ahead of our clock an alert may begin. Clocks differ by minutes and time zones by hours; an
alert from next year would be the newest of its kind for ever, and every later one mere history."""

_ZERO_YEAR = 1  # Go's zero time: how Alertmanager writes "not set"

_Name = Annotated[str, Meta(min_length=1, max_length=rules.MAX_NAME)]
_Value = Annotated[str, Meta(max_length=rules.MAX_VALUE)]
_Pairs = Annotated[dict[_Name, _Value], Meta(max_length=rules.MAX_PAIRS)]
_Labels = Annotated[dict[_Name, _Value], Meta(min_length=1, max_length=rules.MAX_PAIRS)]


class ReadAlert(msgspec.Struct, frozen=True, gc=False):
    """One alert that was accepted. Times are UTC; `ends_at` is None while it is not known."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str
    fingerprint: str


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one alert; the wire shape is `AlertResult`."""

    index: int
    fingerprint: str
    status: Literal["accepted", "rejected"]
    field: str | None = None
    error: str | None = None


class Reading(msgspec.Struct, frozen=True):
    """A body as far as it could be read. `results` has one entry per alert, in the sender's order."""

    receiver: str
    group_key: str
    alerts: list[ReadAlert]
    results: list[Result]

    @property
    def rejected(self) -> list[Result]:
        return [result for result in self.results if result.status == "rejected"]


class _Alert(msgspec.Struct, frozen=True, gc=False):
    status: Literal["firing", "resolved"]
    labels: _Labels
    startsAt: datetime  # noqa: N815 - Alertmanager's spelling
    annotations: _Pairs = {}
    endsAt: datetime | None = None  # noqa: N815
    generatorURL: _Value = ""  # noqa: N815
    fingerprint: Annotated[str, Meta(max_length=128)] = ""


class _Envelope(msgspec.Struct, frozen=True):
    receiver: Annotated[str, Meta(max_length=1024)] = ""
    groupKey: Annotated[str, Meta(max_length=65_536)] = ""  # noqa: N815


class _Body(_Envelope, frozen=True, kw_only=True):
    alerts: list[_Alert]


class _RawBody(_Envelope, frozen=True, kw_only=True):
    alerts: list[msgspec.Raw]


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_raw_body = msgspec.json.Decoder(_RawBody).decode
_decode_alert = msgspec.json.Decoder(_Alert).decode


def read(body: bytes, *, now: datetime, needs_receiver: bool = True) -> Reading:
    """Read a body; refuse alerts one by one.

    Args:
        needs_receiver: whether a body without `receiver` is refused. Alertmanager always names it; callers
            of the older address never had to.

    Raises:
        Malformed: this is not JSON.
        Unreadable: it is JSON, but not a webhook body; names the field.
    """
    try:
        whole = _decode_body(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_one_by_one(body, now, needs_receiver)
    if needs_receiver and not whole.receiver:
        _refuse_nameless()
    if len(whole.alerts) > MAX_ALERTS:
        _refuse_too_many(len(whole.alerts))
    # U+0000 reaches a str only through this escape: a bare one is not JSON.
    suspicious = b"\\u0000" in body
    if suspicious:
        _refuse_unstorable_envelope(whole)
    alerts: list[ReadAlert] = []
    results: list[Result] = []
    for index, alert in enumerate(whole.alerts):
        _keep(index, alert, now, suspicious, alerts, results)
    return Reading(whole.receiver, whole.groupKey, alerts, results)


def _keep(
    index: int,
    alert: _Alert,
    now: datetime,
    suspicious: bool,
    alerts: list[ReadAlert],
    results: list[Result],
) -> None:
    try:
        if suspicious:
            rules.refuse_unstorable(alert.labels, alert.annotations, alert.generatorURL, alert.fingerprint)
        kept = ReadAlert(
            alert.status,
            alert.labels,
            alert.annotations,
            _begin(alert.startsAt, now),
            _end(alert.endsAt),
            alert.generatorURL,
            alert.fingerprint or rules.fingerprint(alert.labels),
        )
    except rules.Refused as refused:
        results.append(Result(index, _safe(alert.fingerprint), "rejected", refused.field, refused.reason))
        return
    alerts.append(kept)
    results.append(Result(index, kept.fingerprint, "accepted"))


def _begin(moment: datetime, now: datetime) -> datetime:
    begin = _utc("startsAt", moment)
    if begin.year == _ZERO_YEAR:
        raise rules.Refused("startsAt", "is not set (year 1); send the time the alert began, in RFC 3339")
    if begin - now > FUTURE:
        raise rules.Refused("startsAt", "lies more than 24 h in the future; check the sender's clock")
    return begin


def _end(moment: datetime | None) -> datetime | None:
    if moment is None or moment.year == _ZERO_YEAR:
        return None
    return _utc("endsAt", moment)


def _utc(field: str, moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise rules.Refused(field, "is outside the years 1 to 9999 in UTC; send a real time") from None


def _read_one_by_one(body: bytes, now: datetime, needs_receiver: bool) -> Reading:
    receiver, group_key, raw_alerts = _open(body)
    if needs_receiver and not receiver:
        _refuse_nameless()
    if len(raw_alerts) > MAX_ALERTS:
        _refuse_too_many(len(raw_alerts))
    alerts: list[ReadAlert] = []
    results: list[Result] = []
    for index, raw in enumerate(raw_alerts):
        try:
            alert = _decode_alert(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            field, reason, said = rules.diagnose(raw)
            results.append(Result(index, _safe(said), "rejected", field, reason))
            continue
        _keep(index, alert, now, True, alerts, results)
    return Reading(receiver, group_key, alerts, results)


def _open(body: bytes) -> tuple[str, str, list[bytes | msgspec.Raw]]:
    """The envelope and the alerts, still unread."""
    try:
        envelope = _decode_raw_body(body)
    except msgspec.ValidationError as error:
        _refuse_envelope(body, error)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply; send the body Alertmanager sends") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _open_leniently(body, str(error))
    _refuse_unstorable_envelope(envelope)
    return envelope.receiver, envelope.groupKey, list(envelope.alerts)


def _open_leniently(body: bytes, complaint: str) -> tuple[str, str, list[bytes | msgspec.Raw]]:
    """For lone surrogates, which msgspec refuses for the whole body and the standard library reads.

    Each alert is written out again with the surrogates kept as escapes, so that it is refused alone.
    """
    try:
        document = json.loads(body.decode(), parse_constant=_not_json)
        raws: list[bytes | msgspec.Raw] = [json.dumps(alert).encode() for alert in _alerts_of(document)]
        envelope = msgspec.convert(document | {"alerts": []}, _RawBody)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply; send the body Alertmanager sends") from None
    except msgspec.ValidationError as error:
        _refuse_envelope(body, error)
    except ValueError:
        raise Malformed(f"this is not JSON ({complaint}); send the body Alertmanager sends") from None
    _refuse_unstorable_envelope(envelope)
    return envelope.receiver, envelope.groupKey, raws


def _alerts_of(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        raise Unreadable("body", "must be an object; send the body Alertmanager sends")
    alerts = document.get("alerts")
    if not isinstance(alerts, list):
        raise Unreadable("body.alerts", "must be a list of alerts")
    return alerts


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _refuse_envelope(body: bytes, error: msgspec.ValidationError) -> NoReturn:
    """Turn msgspec's words (`Expected `str`, got `int` - at `$.receiver``) into field and remedy."""
    what, _, where = str(error).partition(" - at `$")
    field = "body" + where.rstrip("`")
    if what.startswith("Object missing required field `"):
        field += "." + what.removeprefix("Object missing required field `").rstrip("`")
        what = "is missing"
    else:
        what = what.replace("`", "")
    raise Unreadable(field, f"{what}; send the body Alertmanager sends (version 4)") from error


def _refuse_nameless() -> NoReturn:
    raise Unreadable("body.receiver", "is missing; send the body Alertmanager sends (version 4)")


def _refuse_unstorable_envelope(envelope: _Envelope) -> None:
    for field, text in (("receiver", envelope.receiver), ("groupKey", envelope.groupKey)):
        if complaint := rules.unstorable(text):
            raise Unreadable(f"body.{field}", complaint)


def _refuse_too_many(count: int) -> NoReturn:
    raise Unreadable(
        "body.alerts", f"holds {count} alerts, more than {MAX_ALERTS}; lower the receiver's max_alerts"
    )


def _safe(fingerprint: str) -> str:
    """A refused alert's fingerprint goes back to the sender, so it must be writable as UTF-8."""
    return fingerprint.encode("utf-8", "replace").decode()[:128]
