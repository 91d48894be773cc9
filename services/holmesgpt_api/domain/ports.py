"""What this service needs from the world. Adapters fulfil it; tests use fakes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from libs.contracts.causes import CausesAnswer
from libs.contracts.context import Resolution
from libs.contracts.feedback import FeedbackRequest
from libs.contracts.target import Target
from services.holmesgpt_api.domain.commission import Commission
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.filter import EVERYTHING, Filter
from services.holmesgpt_api.domain.history import Match, Past
from services.holmesgpt_api.domain.line import Why
from services.holmesgpt_api.domain.model import Told
from services.holmesgpt_api.domain.record import Claimed, Position, Record
from services.holmesgpt_api.domain.so_far import SoFar
from services.holmesgpt_api.domain.verdict import Verdict


class ReportProgress(Protocol):
    async def __call__(self, progress: int, stage: str, happened: Happening | None = None, /) -> None:
        """Percent done (0 to 99), the stage in words a person can read, and what has happened besides."""
        ...


class Engine(Protocol):
    """Investigates. May be cancelled at any time, and may be asked for the same investigation again."""

    name: str

    async def run(self, run: Claimed, report_progress: ReportProgress) -> Verdict:
        """Conclude within `run.time_left`.

        Raises:
            NotNow: something it needs does not answer; the run is tried again while time remains.
            Impossible: trying again is pointless.
        """
        ...


class Model(Protocol):
    """Where a model's conclusion comes from. May be cancelled at any time; then nothing of it goes on."""

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        """The model's conclusion within that time, triage's verdict being its head start.

        Raises:
            ModelFailed: there is none, or none in time.
        """
        ...


class Evidence(Protocol):
    """Where evidence and causes come from. Answers within the deadline or raises."""

    async def resolve(self, labels: Mapping[str, str], *, tenant: str, deadline: timedelta) -> Resolution:
        """Raises what `causes` raises."""
        ...

    async def causes(
        self, target: Target, *, onset: datetime | None, priority: str, tenant: str, deadline: timedelta
    ) -> CausesAnswer:
        """`priority`: the investigation's.

        Raises:
        NotNow: no usable answer now.
        Impossible: it refuses.
        """
        ...


class Tally(Protocol):
    """Where it is counted what callers do."""

    def cancelled(self) -> None: ...

    def feedback(self, given: FeedbackRequest) -> None: ...


class FeedbackBook(Protocol):
    """Where feedback is kept. Raises `StorageUnavailable` when the database does not serve."""

    async def give(
        self, investigation_id: str, *, tenant: str, caller: str, feedback: FeedbackRequest
    ) -> bool | None:
        """Keep it; whether it replaces what this caller gave before. None: there is no such ended investigation."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    record: Record
    new: bool
    """False: the same key and request gave this investigation before, or its run is shared."""


@dataclass(frozen=True, slots=True)
class Held:
    """An investigation whose turn at the model has come."""

    run: Claimed
    interim: Verdict
    waited: timedelta | None = None
    """How long it was held; None: it had its turn before, and goes on."""
    why: Why | None = None


class Ledger(Protocol):
    """The record of all investigations. An ended one never changes.

    Everything raises `StorageUnavailable` when the database does not serve.
    """

    async def open(self, commission: Commission) -> Opened:
        """Record it together with the job that will conduct it; committed when this returns.

        While one with the same `shared_key` goes on, that one is given in its place.

        Raises:
            KeyReused: the caller used the key before, for another request.
            TooManyInvestigations: the caller has as many under way as it may (`commission.most_open`).
        """
        ...

    async def get(self, investigation_id: str, *, tenant: str) -> Record | None: ...

    async def page(
        self, tenant: str, *, before: Position | None, limit: int, only: Filter = EVERYTHING
    ) -> Sequence[Record]:
        """Newest first, without their verdicts' evidence being needed: `limit` at most."""
        ...

    async def ended(self, ids: Collection[str]) -> Sequence[Record]:
        """Those among these that have ended. One query, however many wait."""
        ...

    async def claim(self, investigation_id: str) -> Claimed | None:
        """Begin a run; runs begun before lose their say. None: it has ended, or is unknown."""
        ...

    async def note(
        self, run: Claimed, *, progress: int, stage: str, happened: Happening | None = None
    ) -> bool:
        """Record how far a run has come, and what has happened, both or none. False: it has no say any more."""
        ...

    async def trouble(self, run: Claimed, *, code: str, detail: str) -> bool:
        """Record what keeps the run from a verdict for now. False as above."""
        ...

    async def hold(
        self, run: Claimed, interim: Verdict, seen: Collection[str], *, evidence_key: bytes | None = None
    ) -> bool:
        """Keep triage's verdict and put the investigation in the queue for a model, both or none.

        `evidence_key`: under which a model's verdict on it is remembered. Until it ends, readers see this verdict; if no other comes by the deadline, it is the one it ends with.
        False: it has ended, is held already, or a later run has taken over.
        """
        ...

    async def take_next(self, token: int, *, named: str) -> Held | None:
        """Begin to ask a model for the one whose turn it is: out of the line, and runs begun before lose their say.

        Who comes first is `domain.line`'s rule, of all workers together.

        Args:
            token: the job that asks. What it has taken before comes first, while that has not ended: so a job that
                runs again after a crash goes on with its own, and nobody is taken twice.
            named: the investigation that the job was made for. Any other may be its turn's; but one that an earlier
                release took goes on under the job of its name.

        None: nobody waits.
        """
        ...

    async def remembered(
        self, evidence_key: bytes, *, tenant: str, not_older_than: timedelta
    ) -> Verdict | None:
        """The last verdict of a model under this key, saying which investigation it is from; one that was remembered
        itself does not count. None: there is none, or it is older."""
        ...

    async def conclude(
        self, run: Claimed, verdict: Verdict, seen: Collection[str], *, interim: Verdict | None = None
    ) -> bool:
        """End with a verdict; `interim`: triage's beside it, where it was not held. False: it ended before, or a later run has taken over."""
        ...

    async def give_up(self, run: Claimed, *, code: str, error: str) -> bool:
        """End without a verdict. False as above."""
        ...

    async def expire(self, investigation_id: str) -> Record | None:
        """End what is past its deadline, whoever runs it: with the interim verdict where there is one.

        None: nothing to end.
        """
        ...

    async def cancel(self, investigation_id: str, *, tenant: str, by: str) -> Record | None:
        """End it without a result; runs lose their say. None: there is none that has not ended."""
        ...

    async def lost(self, runs: Mapping[str, int]) -> Collection[str]:
        """Of these runs (investigation to fence), those that have no say any more. One query."""
        ...

    async def forget(self, *, older_than: timedelta, at_most: int) -> int:
        """Delete ended investigations of that age; how many."""
        ...


class Underway(Protocol):
    """Where it is known what runs at the model have seen so far. Raises `StorageUnavailable`."""

    async def so_far(self, investigation_id: str) -> SoFar | None:
        """Until the last stored step; None: there is none, or too much of it for a look."""
        ...


class History(Protocol):
    """Past investigations, and those under way."""

    async def like(
        self, match: Match, word: str, *, tenant: str, within: timedelta, at_most: int
    ) -> Sequence[Past]:
        """The newest ones of a tenant with that alert name, cause's reason or kind of object at fault.

        Raises StorageUnavailable.
        """
        ...
