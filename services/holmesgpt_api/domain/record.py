"""Record: one investigation as the database holds it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.contracts.alerts import Priority
from libs.contracts.feedback import FeedbackCounts
from libs.contracts.investigations import InvestigationRequest, InvestigationStatus
from services.holmesgpt_api.domain.custom.approval import Approval
from services.holmesgpt_api.domain.errors import BadCursor
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict

_EPOCH = datetime.fromtimestamp(0, UTC)
_ID = re.compile(r"[A-Za-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Of which investigation another one is the replay, and with what."""

    of: str
    engine: str
    model: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Times are the database's, so that all processes agree on them."""

    id: str
    tenant: str
    asker: str
    request: InvestigationRequest
    priority: Priority
    namespace: str | None
    status: InvestigationStatus
    progress: int
    stage: str
    runs: int
    """How often a run was begun: more than once after a lost worker or a dependency that was away."""
    seen: Collection[str]
    created_at: datetime
    ended_at: datetime | None
    read_at: datetime
    reads: Collection[str] = ()
    """Namespaces (globs) that its asker might read when it asked."""
    verdict: Verdict | None = None
    interim: Verdict | None = None
    """Triage's verdict, while a model is still being asked."""
    queue_position: int | None = None
    """Place in the queue for a model, from 1; None: not in it."""
    failure: Failure | None = None
    cancelled_by: str | None = None
    feedback: FeedbackCounts | None = None
    """None where it was not asked for."""
    replay: Replay | None = None
    original: Verdict | None = None
    """Of a replay: the verdict it is compared with, without its evidence."""
    approvals: Sequence[Approval] = ()
    """Changes that it has asked for, in that order; none where they were not asked for."""

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    @property
    def known(self) -> Verdict | None:
        """What can be told now: the verdict, or until there is one the interim one."""
        return self.verdict or self.interim

    @property
    def duration(self) -> timedelta:
        """Until its end; while it runs, until now."""
        return (self.ended_at or self.read_at) - self.created_at


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has begun. `fence` tells it from earlier runs of the same investigation."""

    id: str
    fence: int
    tenant: str
    asker: str
    reads: tuple[str, ...]
    request: InvestigationRequest
    priority: Priority
    seen: tuple[str, ...]
    time_left: timedelta
    """Until the investigation's deadline; zero or less when it has passed."""
    age: timedelta
    """Since it was asked for."""
    replay: Replay | None = None
    frozen: Verdict | None = None
    """Of a replay: triage's verdict on the frozen evidence."""


@dataclass(frozen=True, slots=True)
class End:
    """How an investigation ended, for metrics. `outcome`: `cause`, `no-cause`, or the failure's code."""

    engine: str
    outcome: str
    took: timedelta


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model was asked, for metrics. `outcome`: `concluded`, or the word for why it did not."""

    outcome: str
    use: ModelUse | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the last record on it."""

    created_at: datetime
    id: str

    def cursor(self, mark: str = "") -> str:
        """`mark`: of the filter of the list, in hex; the cursor is for that list alone."""
        micros = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return (
            base64.urlsafe_b64encode((f"{micros}.{self.id}" + (f".{mark}" if mark else "")).encode())
            .decode()
            .rstrip("=")
        )

    @classmethod
    def read(cls, cursor: str, mark: str = "") -> Position:
        """Raises BadCursor: we did not write it, or for another list."""
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
            micros, _, rest = text.partition(".")
            id_, _, marked = rest.partition(".")
            if not _ID.fullmatch(id_) or marked != mark:
                raise BadCursor
            return cls(_EPOCH + timedelta(microseconds=int(micros)), id_)
        except (binascii.Error, ValueError, OverflowError) as error:
            raise BadCursor from error
