"""What an operator can set about the alerts service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.clients.settings import ContextPeerSettings, HolmesPeerSettings, NotificationsPeerSettings
from libs.contracts.alerts import Environment, Severity
from libs.contracts.base import Duration
from libs.jobs.settings import JobsSettings
from libs.storage.settings import StorageSettings
from libs.web.settings import Port, WebSettings
from services.alerts.domain import severity
from services.alerts.domain.environment import EnvironmentPolicy, NamespacePattern, Patterns
from services.alerts.domain.inquiry import InquiryPolicy
from services.alerts.domain.judgement import Policy


class EnvironmentPattern(BaseModel):
    """Namespaces whose whole name matches the RE2 expression run in this environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str = Field(min_length=1, max_length=1000)
    environment: Environment


class AlertsSettings(BaseSettings):
    """Its own part; `Settings` adds what every service has."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    # --- taking alerts in

    ingest_commit_deadline: Duration = timedelta(seconds=5)
    """Longest wait for an inbox commit before the sender gets 503 and sends again. Alertmanager gives up
    a webhook after its `timeout`, 10 s by default; half of that leaves it time to hear our answer."""

    ingest_group_rows: int = Field(default=256, ge=1, le=10_000)
    """Requests that share one commit at most. Sixty-four connections never fill it; it bounds how much
    one statement carries when a thousand do."""

    ingest_high_water: int = Field(default=50_000, ge=1)
    """Deliveries waiting to be drained beyond which new ones get 503. Some minutes of a storm; further
    waiting would only grow, and the sender keeps what we refuse."""

    ingest_count_every: Duration = timedelta(seconds=1)
    """How often the waiting deliveries are counted. It costs two looks into an index; what is committed in
    between is added, so the mark is not overrun."""

    drain_batch: int = Field(default=500, ge=1, le=5_000)
    """Deliveries merged in one transaction. A prototype drained 26k rows/s in batches of 100, 42k in 500 and
    45k in 2,000 (measured 2026-11): more only holds locks for longer."""

    # --- what alerts mean

    environment_labels: list[str] = [
        "kubernaut.ai/environment",
        "app.kubernetes.io/environment",
        "organization.io/environment",
        "environment",
        "env",
    ]
    """Names of labels and annotations that say in which environment a namespace or workload runs."""

    environment_patterns: list[EnvironmentPattern] = []
    """JSON list of `{"pattern": RE2, "environment": …}` on whole namespace names, for namespaces that carry
    no such label. Empty by default: a name we guessed about would make somebody's production unimportant."""

    severity_labels: list[str] = ["severity"]
    """Labels that carry the severity; the first one that says anything decides."""

    severity_words: dict[str, Severity] = {}
    """Words of your own for `critical`, `warning` and `info`, beside the usual ones (`page`, `Sev1`, `P0`, …).
    Lower case, without spaces, hyphens and underscores."""

    tier_labels: list[str] = ["kubernaut.ai/tier", "tier"]
    """Labels whose value `critical` or `high` makes a workload as important as production or staging."""

    # --- when episodes end

    episode_max_silence: Duration = timedelta(hours=12)
    """A firing alert not mentioned for longer is taken for ended. Three times Alertmanager's default
    `repeat_interval` (4 h); set it above three times yours, or living alerts are closed."""

    episode_grace: Duration = timedelta(minutes=2)
    """How late a sender may renew an alert's `endsAt`. Two minutes cover a restart of Prometheus."""

    episode_keep: Duration = timedelta(days=30)
    """How long ended episodes, their incidents and their timeline are kept."""

    ageing_every: Duration = timedelta(minutes=1)
    """How often episodes are looked through for silent ones. Two indexed queries."""

    # --- incidents and what is asked about them

    context_deadline: Duration = timedelta(milliseconds=500)
    """How long the Context API may take to say whose object an alert speaks of; then the incident is keyed
    on labels and keyed again later. People wait for the notification, not for this."""

    rekey_give_up: Duration = timedelta(hours=6)
    """How long a provisional key is tried to be replaced."""

    incident_reopen_within: Duration = timedelta(minutes=30)
    """An alert of an incident closed less than this ago opens it again instead of a new one, so that a
    flapping alert is not investigated each time."""

    investigation_again_after: Duration = timedelta(hours=1)
    """How old a fruitless investigation must be before another alert of the incident starts the next."""

    investigation_attempts: int = Field(default=3, ge=1, le=20)
    """Investigations of one incident at most: nothing new is to be expected of the fourth."""

    investigation_give_up: Duration = timedelta(minutes=30)
    """How long an investigation may take in all, waiting for a service that is down included."""

    investigation_patience: Duration = timedelta(minutes=2)
    """After this people are told without a cause, labelled so; a later cause follows as an update."""

    notification_give_up: Duration = timedelta(hours=24)
    """How long a message is offered to a notifications service that does not take it."""

    peer_deadline: Duration = timedelta(seconds=5)
    """Longest call to the investigation and notification services. Both answer as soon as they have
    committed, so a longer wait means that something is wrong."""

    @field_validator("environment_patterns")
    @classmethod
    def _re2(cls, patterns: list[EnvironmentPattern]) -> list[EnvironmentPattern]:
        _compiled(patterns)
        return patterns

    def policy(self) -> Policy:
        """How alerts are judged."""
        return Policy(
            environment=EnvironmentPolicy(self.environment_labels, _compiled(self.environment_patterns)),
            severity_names=self.severity_labels,
            tier_names=self.tier_labels,
            severity_words={**severity.WORDS, **self.severity_words},
        )

    def inquiry_policy(self) -> InquiryPolicy:
        """When investigations start and end."""
        return InquiryPolicy(
            again_after=self.investigation_again_after,
            attempts=self.investigation_attempts,
            give_up=self.investigation_give_up,
        )


def _compiled(patterns: list[EnvironmentPattern]) -> Patterns:
    """Raises ValueError for an expression RE2 refuses."""
    return Patterns([NamespacePattern(one.pattern, one.environment) for one in patterns])


class Settings(
    AlertsSettings,
    WebSettings,
    StorageSettings,
    RedisSettings,
    AuthSettings,
    JobsSettings,
    ContextPeerSettings,
    HolmesPeerSettings,
    NotificationsPeerSettings,
):
    """Everything this service reads."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    port: Port = Field(default=8092, validation_alias=AliasChoices("ALERTS_PORT", "PORT"))
    """TCP port of the API; 0 takes any free one."""

    metrics_port: Port = Field(
        default=9093, validation_alias=AliasChoices("ALERTS_METRICS_PORT", "METRICS_PORT")
    )
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""

    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    """Bytes of a request body; above it 413, which Alertmanager does not repeat. 4 MiB hold some 4,000 alerts;
    a group that grows larger is cut by the receiver's `max_alerts`."""

    worker_concurrency: int = Field(default=8, ge=1, le=100)
    """Jobs one worker process runs at once. They wait for other services most of the time, and hold a
    database connection only to read and to write down."""
