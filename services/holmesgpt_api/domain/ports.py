"""What this service needs from the world. Adapters fulfil it; tests use fakes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from libs.contracts.causes import CausesAnswer
from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.holmesgpt_api.domain.commission import Commission
from services.holmesgpt_api.domain.history import Match, Past
from services.holmesgpt_api.domain.model import Told
from services.holmesgpt_api.domain.record import Claimed, Position, Record
from services.holmesgpt_api.domain.verdict import Verdict

ReportProgress = Callable[[int, str], Awaitable[None]]
"""Percent done (0 to 99) and the stage, in words a person can read."""


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


@dataclass(frozen=True, slots=True)
class Opened:
    record: Record
    new: bool
    """False: the same key and request gave this investigation before."""


@dataclass(frozen=True, slots=True)
class Held:
    """An investigation whose turn at the model has come."""

    run: Claimed
    interim: Verdict


class Ledger(Protocol):
    """The record of all investigations. An ended one never changes.

    Everything raises `StorageUnavailable` when the database does not serve.
    """

    async def open(self, commission: Commission) -> Opened:
        """Record it together with the job that will conduct it; committed when this returns.

        Raises:
            KeyReused: the caller used the key before, for another request.
        """
        ...

    async def get(self, investigation_id: str, *, tenant: str) -> Record | None: ...

    async def page(self, tenant: str, *, before: Position | None, limit: int) -> Sequence[Record]:
        """Newest first, without their verdicts' evidence being needed: `limit` at most."""
        ...

    async def ended(self, ids: Collection[str]) -> Sequence[Record]:
        """Those among these that have ended. One query, however many wait."""
        ...

    async def claim(self, investigation_id: str) -> Claimed | None:
        """Begin a run; runs begun before lose their say. None: it has ended, or is unknown."""
        ...

    async def note(self, run: Claimed, *, progress: int, stage: str) -> bool:
        """Record how far a run has come. False: it has no say any more."""
        ...

    async def trouble(self, run: Claimed, *, code: str, detail: str) -> bool:
        """Record what keeps the run from a verdict for now. False as above."""
        ...

    async def hold(self, run: Claimed, interim: Verdict, seen: Collection[str]) -> bool:
        """Keep triage's verdict and put the investigation in the queue for a model, both or none.

        Until it ends, readers see this verdict; if no other comes by the deadline, it is the one it ends with.
        False: it has ended, is held already, or a later run has taken over.
        """
        ...

    async def take_up(self, investigation_id: str) -> Held | None:
        """Begin to ask a model: out of the queue, and runs begun before lose their say.

        None: it has ended, or there is no interim verdict to begin with.
        """
        ...

    async def conclude(self, run: Claimed, verdict: Verdict, seen: Collection[str]) -> bool:
        """End with a verdict. False: it ended before, or a later run has taken over."""
        ...

    async def give_up(self, run: Claimed, *, code: str, error: str) -> bool:
        """End without a verdict. False as above."""
        ...

    async def expire(self, investigation_id: str) -> Record | None:
        """End what is past its deadline, whoever runs it: with the interim verdict where there is one.

        None: nothing to end.
        """
        ...

    async def forget(self, *, older_than: timedelta, at_most: int) -> int:
        """Delete ended investigations of that age; how many."""
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
