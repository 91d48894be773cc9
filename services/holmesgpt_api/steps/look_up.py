"""Look an object up for a question: what triage finds about it now, as far as the asker may read."""

from __future__ import annotations

from datetime import timedelta

from libs.auth.principal import Principal
from libs.contracts.alerts import Priority
from libs.contracts.investigations import InvestigationRequest
from services.holmesgpt_api.domain.chat.errors import EvidenceAway, NothingKnown
from services.holmesgpt_api.domain.chat.subject import Subject
from services.holmesgpt_api.domain.clusters import LABEL
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.errors import Impossible, NotNow, NotReadable
from services.holmesgpt_api.domain.ports import Engine
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict

ASKED = "ChatQuestion"
"""Stands where an investigation has its alert's name; no label that names an object."""

NOT_READABLE = "not-readable"


class LookUp:
    def __init__(self, triage: Engine, *, patience: timedelta) -> None:
        """`patience`: longest time for all of it."""
        self._triage, self._patience = triage, patience

    async def about(
        self, subject: Subject, caller: Principal, *, within: timedelta, cluster: str | None = None
    ) -> Verdict:
        """Raises NotReadable, NothingKnown (there is no such object), EvidenceAway.

        Args:
            within: what the asker can wait.
            cluster: where the object is; None: nobody has said.
        """
        namespace = subject.target.namespace if subject.target else subject.labels.get("namespace")
        if not caller.may_read(namespace):
            raise NotReadable(namespace)
        labels = {**subject.labels, LABEL: cluster} if cluster else subject.labels
        request = InvestigationRequest(alert_name=ASKED, labels=labels, target=subject.target)
        run = Claimed(
            id=ASKED,
            fence=0,
            tenant=caller.tenant,
            asker=caller.name,
            reads=caller.namespaces,
            request=request,
            priority=Priority.p2,
            seen=(),
            time_left=min(self._patience, within),
            age=timedelta(0),
        )
        try:
            verdict = await self._triage.run(run, _unreported)
        except NotNow as error:
            raise EvidenceAway(error.detail, retry_after=error.retry_after) from error
        except Impossible as error:
            if error.code == NOT_READABLE:
                raise NotReadable(namespace) from error
            raise EvidenceAway(error.detail) from error
        if verdict.results.target is None:
            raise NothingKnown(NO_MODEL, verdict.summary)
        return verdict


async def _unreported(progress: int, stage: str, happening: Happening | None = None, /) -> None:
    """A look-up takes less than a second; nobody is told how far it is."""
