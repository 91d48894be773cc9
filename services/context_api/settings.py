"""What an operator can set about the Context API."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.clients.settings import AlertsPeerSettings
from libs.contracts.base import Duration
from libs.web.settings import Port, WebSettings
from services.context_api.steps.ask import UNNAMED


class EvidenceSettings(BaseSettings):
    """Its own part; `Settings` adds what every service has."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    recorded_cluster: Path | None = Field(default=None, validation_alias="RECORDED_CLUSTER")
    """A recorded cluster to answer from: a must-gather, a `kubectl cluster-info dump`, a folder of objects, or a tar
    archive of one. Read once, at the start. With neither this nor a live cluster set the service runs, is not
    ready, and says so."""

    evidence_kubeconfig: str | None = Field(default=None, validation_alias="EVIDENCE_KUBECONFIG")
    """Answer from a live cluster: the one of this kubeconfig (a path, or several joined by colons). Excludes
    RECORDED_CLUSTER. Its user needs `get`, `list` and `watch`, and `get` on `pods/log`; what it may not read is named
    in the answers, and what it may list and not watch is listed every EVIDENCE_POLL_INTERVAL. Secrets are emptied as
    they are read; without a right to list them they are named too."""

    evidence_context: str | None = Field(default=None, validation_alias="EVIDENCE_CONTEXT")
    """Context of EVIDENCE_KUBECONFIG; its current one when unset."""

    evidence_in_cluster: bool = Field(default=False, validation_alias="EVIDENCE_IN_CLUSTER")
    """Answer from the cluster this runs in, as its service account. Said and not guessed: a pod that was given a
    recording must not read its own cluster by accident."""

    evidence_namespaces: str = Field(
        default="", validation_alias="EVIDENCE_NAMESPACES", pattern=r"^[a-z0-9, -]*$"
    )
    """Namespaces of a live cluster that are read, separated by commas; empty for all. For a service account that may
    read only these. Objects without a namespace are read all the same."""

    evidence_max_age: Duration = Field(
        default=timedelta(seconds=15), validation_alias="EVIDENCE_MAX_AGE", gt=timedelta(0)
    )
    """How old a live snapshot may be before the next question makes a new one. Objects are kept current by watches all
    the time; this bounds how often logs and metrics are read: once in this time for everybody, and never when nobody
    asks."""

    evidence_stale_limit: Duration = Field(
        default=timedelta(minutes=5), validation_alias="EVIDENCE_STALE_LIMIT", ge=timedelta(0)
    )
    """How long what is kept is still answered from while the cluster, or one of its lists, does not answer; every such
    answer says how old it is. After that 503, or the list is named as not read. Long enough for a control plane's
    upgrade, too short to blame what is mended."""

    evidence_call_timeout: Duration = Field(
        default=timedelta(seconds=10), validation_alias="EVIDENCE_CALL_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one call to the API server, retries included. Watches last longer and are bounded by the
    server's bookmarks."""

    evidence_qps: float = Field(default=50.0, gt=0, validation_alias="EVIDENCE_QPS")
    """Requests a second to the API server, all kinds together; beyond it they wait for their turn. Pages of lists,
    watches that begin, logs and discovery count; changes that a watch brings do not. 50 is what kubectl allows itself,
    and a start with 70 kinds is over in 3 s with it. Lower it where the API server is small."""

    evidence_burst: int = Field(default=100, ge=1, validation_alias="EVIDENCE_BURST")
    """Requests that may go out at once after a quiet time; see EVIDENCE_QPS. A start needs about two for each kind."""

    evidence_discovery_interval: Duration = Field(
        default=timedelta(minutes=1), validation_alias="EVIDENCE_DISCOVERY_INTERVAL", gt=timedelta(0)
    )
    """How often the API server is asked which kinds it has: two requests. A custom kind is found a second or five
    after its definition is seen to change, whatever this says; this is for where definitions may not be read."""

    evidence_poll_interval: Duration = Field(
        default=timedelta(minutes=1), validation_alias="EVIDENCE_POLL_INTERVAL", gt=timedelta(0)
    )
    """How often a kind is listed that cannot be watched, or may not be. Answers say its age after twice this time."""

    evidence_cache_bytes: int = Field(
        default=512 * 1024 * 1024, ge=1024 * 1024, validation_alias="EVIDENCE_CACHE_BYTES"
    )
    """Bytes of JSON kept of all objects together. 50,000 pods of 3.3 KB are 160 MiB, and 300 MiB of memory
    (measured). What does not fit is left out, and answers name it."""

    evidence_decoded_bytes: int = Field(
        default=32 * 1024 * 1024, ge=0, validation_alias="EVIDENCE_DECODED_BYTES"
    )
    """Bytes of JSON whose decoded form is kept as well, for the next question; it takes about five times as much
    memory (measured). Less costs time: tens of microseconds for each object that is looked into again."""

    evidence_prometheus_url: HttpUrl | None = Field(default=None, validation_alias="EVIDENCE_PROMETHEUS_URL")
    """Prometheus (or Thanos, Mimir, VictoriaMetrics) beside the live cluster, asked for usage near limits, filling
    volumes and restarts. Unset: no metrics."""

    evidence_prometheus_token: SecretStr | None = Field(
        default=None, validation_alias="EVIDENCE_PROMETHEUS_TOKEN"
    )
    """Bearer token for it."""

    evidence_cluster: str = Field(default=UNNAMED, max_length=253, validation_alias="EVIDENCE_CLUSTER")
    """Name of the cluster the evidence is of. With the default, questions about any cluster are answered from it;
    with a name, those about another get 404."""

    answer_timeout: Duration = Field(
        default=timedelta(seconds=10), validation_alias="CONTEXT_ANSWER_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one answer, shorter when the caller says so. Causes take 15 ms in 1,000 objects (measured);
    ten seconds are for a full recording on a busy machine."""

    answer_ttl: Duration = Field(
        default=timedelta(minutes=10), validation_alias="CONTEXT_ANSWER_TTL", gt=timedelta(0)
    )
    """How long an answer is kept. Answers are kept by snapshot, and a snapshot does not change, so this only bounds
    what the cache holds."""

    most_waiting: int = Field(default=64, ge=1, validation_alias="CONTEXT_MOST_WAITING")
    """Different questions that may wait for their answer at once, of those about critical alerts and of all others
    each; above it 503. At 15 ms each the last one waits a second."""

    history_timeout: Duration = Field(
        default=timedelta(milliseconds=400), validation_alias="CONTEXT_HISTORY_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for the alerts service's archive, in seconds. Earlier episodes are worth having and not worth
    waiting for; without them an answer says so."""

    finding_mutes: Path | None = Field(default=None, validation_alias="FINDING_MUTES")
    """A YAML file of known findings that no answer is to name as a cause, each until a time. Read once, at the start;
    answers say what was muted. `kubernaut triage --mutes` reads the same file."""

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    """libpq URI of the PostgreSQL database that keeps what callers say about answers and the tunings that follow, e.g.
    `postgresql://context_api:…@db/kubernaut?sslmode=verify-full`. Unset: feedback is refused with 503, and every tier
    leaves out what it may. Evidence is answered with or without it."""

    public_url: HttpUrl | None = Field(default=None, validation_alias="CONTEXT_PUBLIC_URL")
    """Base URL under which others reach this service, written into `/api/v1/toolset.yaml`. Unset: the scheme and Host
    of the request that asks for it; set it where a proxy in front changes either."""

    @property
    def is_live(self) -> bool:
        return self.evidence_in_cluster or self.evidence_kubeconfig is not None

    @property
    def namespaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.evidence_namespaces.replace(",", " ").split()))

    @field_validator(
        "evidence_kubeconfig", "evidence_context", "finding_mutes", "database_url", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.recorded_cluster is not None and self.is_live:
            raise ValueError(
                "RECORDED_CLUSTER and a live cluster (EVIDENCE_KUBECONFIG, EVIDENCE_IN_CLUSTER) exclude each other: "
                "unset one, or run a second Context API"
            )
        if self.evidence_in_cluster and self.evidence_kubeconfig is not None:
            raise ValueError("EVIDENCE_IN_CLUSTER and EVIDENCE_KUBECONFIG exclude each other: unset one")
        if self.evidence_context is not None and self.evidence_kubeconfig is None:
            raise ValueError("EVIDENCE_CONTEXT chooses from EVIDENCE_KUBECONFIG: set that too")
        return self


class KeepingSettings(BaseSettings):
    """How long answers are kept (docs/context-api.md, "Cache")."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    keep_evidence: Duration = Field(
        default=timedelta(seconds=15), validation_alias="CONTEXT_KEEP_EVIDENCE", gt=timedelta(0)
    )
    """How old causes, findings, facts, topology and bundles of a live cluster may be and pass for current, counted
    from when the cluster was read. As EVIDENCE_MAX_AGE: they are as current as if nothing were kept."""

    keep_kubernetes: Duration = Field(
        default=timedelta(seconds=30), validation_alias="CONTEXT_KEEP_KUBERNETES", gt=timedelta(0)
    )
    """The same for lists of objects. 30 s is what older callers were promised."""

    keep_metrics: Duration = Field(
        default=timedelta(minutes=1), validation_alias="CONTEXT_KEEP_METRICS", gt=timedelta(0)
    )
    """The same for series. As promised."""

    keep_logs: Duration = Field(
        default=timedelta(minutes=2), validation_alias="CONTEXT_KEEP_LOGS", gt=timedelta(0)
    )
    """The same for lines of logs. As promised; who needs the newest sends `Cache-Control: no-cache`."""

    keep_action_history: Duration = Field(
        default=timedelta(minutes=5), validation_alias="CONTEXT_KEEP_ACTION_HISTORY", gt=timedelta(0)
    )
    """The same for earlier episodes of an alert. As promised."""

    keep_patterns: Duration = Field(
        default=timedelta(minutes=10), validation_alias="CONTEXT_KEEP_PATTERNS", gt=timedelta(0)
    )
    """The same for patterns. As promised."""

    keep_partial: Duration = Field(
        default=timedelta(seconds=2), validation_alias="CONTEXT_KEEP_PARTIAL", gt=timedelta(0)
    )
    """How long an answer is kept that lacks what may be there in a moment: the alerts service or the cluster did not
    answer. Long enough that a crowd does not make it again and again, too short to be taken for the whole."""

    keep_stale: Duration = Field(
        default=timedelta(seconds=30), validation_alias="CONTEXT_KEEP_STALE", ge=timedelta(0)
    )
    """How much longer an answer is given, saying so, while a newer one is made behind it. 0: never; callers then wait.
    A guess: as long as the shortest time between two looks of a person."""

    keep_near: Duration = Field(
        default=timedelta(seconds=1), validation_alias="CONTEXT_KEEP_NEAR", gt=timedelta(0)
    )
    """How long a process relies on its own copy before it asks Redis again. A round trip costs as much processor time
    as the rest of a kept answer twice (measured); replicas differ by at most this."""

    keep_largest: int = Field(default=1024 * 1024, ge=1024, validation_alias="CONTEXT_KEEP_LARGEST")
    """Bytes of one value in Redis, all codings together; a larger one stays in its process. The largest answers have
    half of it."""

    keep_wait: Duration = Field(
        default=timedelta(seconds=1), validation_alias="CONTEXT_KEEP_WAIT", ge=timedelta(0)
    )
    """How long a replica waits for another one that is making the same answer, before it makes it itself. Most take
    less than 0.1 s (measured)."""


class Settings(
    EvidenceSettings, KeepingSettings, AlertsPeerSettings, WebSettings, RedisSettings, AuthSettings
):
    """Everything this service reads."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("CONTEXT_API_HOST", "HOST"))
    """Address to listen on. Loopback unless told otherwise; images set `0.0.0.0`."""

    port: Port = Field(default=8091, validation_alias=AliasChoices("CONTEXT_API_PORT", "PORT"))
    """TCP port of the API; 0 takes any free one."""

    metrics_port: Port = Field(
        default=9092, validation_alias=AliasChoices("CONTEXT_API_METRICS_PORT", "METRICS_PORT")
    )
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""
