"""Session and turn, as the database holds them; and what an answer consists of before it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from libs.contracts.base import Contract
from libs.contracts.chat import ChatEvent, ChatRequest
from libs.contracts.target import Target
from services.holmesgpt_api.domain.chat.subject import Subject
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict


class About(Contract):
    """What a session is about, beside its investigation: so that a question may say "it"."""

    target: Target | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    namespace: str | None = None
    cluster: str | None = None
    """That of its investigation, where there are several; None: the default one."""

    @classmethod
    def of(cls, subject: Subject, cluster: str | None = None) -> About:
        return cls(target=subject.target, labels=subject.labels, namespace=subject.namespace, cluster=cluster)

    @property
    def subject(self) -> Subject:
        return Subject(self.target, dict(self.labels), self.namespace)


class Reply(Contract):
    """An answer, as it is kept. How it is told is `answer.py`."""

    text: str
    engine: str
    topic: str | None = None
    degraded_reason: str | None = None
    degraded_detail: str | None = None
    evidence_ids: list[str] = Field(default_factory=list)
    metric_ids: list[str] = Field(default_factory=list)
    """Those of the evidence ids that are about metrics."""
    unsupported: bool = False
    """A model's answer that cites nothing it was shown."""
    suggestions: list[str] = Field(default_factory=list)
    context_used: dict[str, Any] = Field(default_factory=dict)
    model: ModelUse | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is: nobody else sees it, whatever they may read."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    owner: Owner
    investigation_id: str | None
    about: About
    created_at: datetime
    last_at: datetime
    expires_at: datetime
    folded: int
    """Questions that are no longer kept."""


@dataclass(frozen=True, slots=True)
class Key:
    """The Idempotency-Key of a question, and what was asked with it."""

    word: str
    digest: bytes

    @classmethod
    def of(cls, word: str | None, request: ChatRequest) -> Key | None:
        """`stream` does not change what is asked, only how it is told."""
        if word is None:
            return None
        asked = request.model_dump_json(exclude={"stream"})
        return cls(word, hashlib.sha256(asked.encode("utf-8", "surrogatepass")).digest())


@dataclass(frozen=True, slots=True)
class Question:
    """One that is to be recorded."""

    owner: Owner
    reads: tuple[str, ...]
    session_id: str | None
    investigation_id: str | None
    about: About
    message: str
    include_context: bool = True
    include_metrics: bool = False
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Times are the database's."""

    id: str
    session_id: str
    number: int
    message: str
    include_context: bool
    include_metrics: bool
    asked_at: datetime
    ended_at: datetime | None = None
    reply: Reply | None = None
    error_code: str | None = None
    error: str | None = None
    events: Sequence[ChatEvent] = ()
    life: timedelta = timedelta(0)
    """From being asked to its deadline."""

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    @property
    def took(self) -> timedelta:
        return (self.ended_at or self.asked_at) - self.asked_at


@dataclass(frozen=True, slots=True)
class Said:
    """An earlier question with its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class TakenTurn:
    """A turn whose time at the model has come. `fence` tells it from earlier runs of the same turn."""

    id: str
    fence: int
    owner: Owner
    reads: tuple[str, ...]
    message: str
    namespace: str | None
    interim: Reply | None
    verdict: Verdict | None
    time_left: timedelta
    earlier: Sequence[Said] = field(default_factory=tuple)
    """Oldest first."""
    folded: int = 0
    cluster: str | None = None
    """As of its session."""
    ends_by: int | None = None
    """The job that would end it at its deadline; None: not known."""
