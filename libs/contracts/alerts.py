"""Alerts on the wire: what Alertmanager sends, and what we make of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from libs.contracts.base import Contract, Foreign, UtcTime
from libs.contracts.causes import Cause
from libs.contracts.target import Target

LabelName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
LabelValue = Annotated[str, StringConstraints(max_length=65_536)]


class AlertStatus(StrEnum):
    firing = "firing"
    resolved = "resolved"


class AlertmanagerAlert(Foreign):
    """One alert of a webhook body. Only `labels` and `startsAt` are needed to make an episode."""

    status: AlertStatus
    labels: dict[LabelName, LabelValue] = Field(max_length=256)
    annotations: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=256)
    starts_at: UtcTime = Field(alias="startsAt")
    ends_at: UtcTime | None = Field(default=None, alias="endsAt", description="year 1 while firing")
    generator_url: str = Field(default="", alias="generatorURL", max_length=65_536)
    fingerprint: str = Field(default="", max_length=128)


class AlertmanagerWebhook(Foreign):
    """Alertmanager's webhook body, version "4", as 0.25 to 0.34 send it."""

    version: str = "4"
    receiver: str = Field(max_length=1024)
    status: AlertStatus
    alerts: list[AlertmanagerAlert] = Field(max_length=10_000)
    group_key: str = Field(default="", alias="groupKey", max_length=65_536)
    group_labels: dict[LabelName, LabelValue] = Field(default_factory=dict, alias="groupLabels")
    common_labels: dict[LabelName, LabelValue] = Field(default_factory=dict, alias="commonLabels")
    common_annotations: dict[LabelName, LabelValue] = Field(default_factory=dict, alias="commonAnnotations")
    external_url: str = Field(default="", alias="externalURL", max_length=65_536)
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)
    notification_reason: str | None = Field(default=None, max_length=1024, description="since 0.34")
    route_labels: dict[LabelName, LabelValue] = Field(default_factory=dict, alias="routeLabels")


class AlertResult(Contract):
    """What became of one alert of a batch."""

    index: int
    fingerprint: str
    status: str = Field(description="`accepted` or `rejected`")
    field: str | None = Field(default=None, description="what was wrong in it, e.g. `labels.pod`")
    error: str | None = Field(default=None, description="why it was refused, and what would be right")


class AlertReceipt(Contract):
    """The 202 answer: everything `accepted` here is committed."""

    status: str = "accepted"
    accepted: int
    rejected: int
    results: list[AlertResult]


class Severity(StrEnum):
    critical = "critical"
    warning = "warning"
    info = "info"
    unknown = "unknown"


class Environment(StrEnum):
    production = "production"
    staging = "staging"
    development = "development"
    testing = "testing"


class Priority(StrEnum):
    """P0 to P3; the older word for each is in `PRIORITY_WORDS`."""

    p0 = "P0"
    p1 = "P1"
    p2 = "P2"
    p3 = "P3"


PRIORITY_WORDS = {Priority.p0: "critical", Priority.p1: "high", Priority.p2: "medium", Priority.p3: "low"}


class Decision(Contract):
    """One thing we decided about an alert: what, why, and on which ground."""

    subject: str = Field(
        description="`environment`, `priority`, `target`, `investigation`, `notification`, …"
    )
    outcome: str
    reason: str = Field(
        description="stable word, e.g. `label:app.kubernetes.io/environment` or `unknown-means-production`"
    )
    detail: str = ""


class TimelineEntry(Contract):
    at: UtcTime
    event: str = Field(
        description="`fired`, `repeated`, `resolved`, `expired`, `decided`, `investigation-requested`, "
        "`investigation-waiting`, `explained`, `notified`, …"
    )
    detail: str = ""
    decision: Decision | None = None


class EpisodeState(StrEnum):
    firing = "firing"
    resolved = "resolved"
    expired = "expired"
    """Ended by age: no `resolved` ever came (Alertmanager may truncate it away)."""


class AlertEpisode(Contract):
    """One firing of one alert, from `starts_at` until it ends."""

    id: str
    fingerprint: str
    alertname: str
    state: EpisodeState
    severity: Severity
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: UtcTime
    ends_at: UtcTime | None = None
    last_seen: UtcTime
    received_count: int = Field(description="how often Alertmanager told us, repeats included")
    environment: Environment | None = None
    priority: Priority | None = None
    target: Target | None = None
    incident_id: str | None = None
    investigation_id: str | None = None


class IncidentSummary(Contract):
    """What is known about the incident an episode belongs to."""

    id: str
    target: Target | None = Field(description="the owner it is about; null when the labels name no object")
    status: str = Field(description="`open`, `investigating`, `explained`, `unexplained`, `closed`")
    opened_at: UtcTime | None = None
    closed_at: UtcTime | None = None
    priority: Priority | None = Field(default=None, description="that of its most urgent episode")
    episode_ids: list[str] = Field(default_factory=list)
    investigation_id: str | None = None
    causes: list[Cause] = Field(default_factory=list)
    summary: str = ""
    engine: str | None = None
    degraded_reason: str | None = None
    no_cause_reason: str | None = Field(default=None, description="why no cause is named, when none is")
    not_looked_at: list[str] = Field(default_factory=list)
    notification_ids: list[str] = Field(default_factory=list)
    merged_into: str | None = Field(default=None, description="the incident that took over its episodes")


class AlertEpisodeDetail(AlertEpisode):
    """An episode with every decision taken about it, in order."""

    decisions: list[Decision]
    timeline: list[TimelineEntry]
    incident: IncidentSummary | None = None


class AlertPage(Contract):
    """A page of episodes, newest first."""

    items: list[AlertEpisode]
    next_cursor: str | None = Field(default=None, description="pass as `?cursor=`; absent on the last page")


class OldGatewayAnswer(Contract):
    """What the 2025 gateway answered on `POST /alerts`; older callers read `status`."""

    status: str = "success"
    message: str
