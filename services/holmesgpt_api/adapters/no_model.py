"""Stands where a model would, in a worker that has none: for what was held by one that had. Fulfils `ports.Model`
and `chat.ports.Talker`."""

from __future__ import annotations

from datetime import timedelta

from services.holmesgpt_api.domain.chat.ports import Report
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict


class NoModelConfigured:
    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        raise ModelFailed(NO_MODEL, "this worker has no model; the investigation was held by one that had")

    async def talk(self, taken: TakenTurn, *, within: timedelta, report: Report) -> Reply:
        raise ModelFailed(NO_MODEL, "this worker has no model; the question was asked where there was one")
