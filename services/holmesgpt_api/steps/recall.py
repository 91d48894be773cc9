"""Recall what past investigations have found, as far as the caller may see them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.auth.principal import Principal
from libs.contracts.analysis import PatternRequest, PatternsAnswer
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.history import NOT_TOLD, Match, Past, patterns, usual
from services.holmesgpt_api.domain.patience import NOTHING, answer_by
from services.holmesgpt_api.domain.ports import History
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.visibility import may_see
from services.holmesgpt_api.steps.in_time import in_time

_log = logging.getLogger(__name__)

LOOKED_AT = 500
"""Investigations of one kinship, the newest first. More would tell the same pattern with a larger number."""

BESIDE = 5
"""Patterns told with an investigation; the rest is there for the asking."""

LONGEST = timedelta(seconds=10)
"""For those told with an investigation, where its reader has named no time: as long as one statement may take."""


@dataclass(frozen=True, slots=True)
class Recall:
    history: History
    kept: timedelta
    """How long ended investigations are kept: there is nothing to look for beyond."""
    sync_answer_timeout: timedelta

    async def patterns(
        self,
        request: PatternRequest,
        caller: Principal,
        caller_has: timedelta | None = None,
        *,
        spent: timedelta = NOTHING,
    ) -> PatternsAnswer:
        """Raises StorageUnavailable: also when they were not found in time."""
        async with in_time(answer_by(self.sync_answer_timeout, caller_has, spent=spent).to_tell):
            return await self._patterns(request, caller)

    async def _patterns(self, request: PatternRequest, caller: Principal) -> PatternsAnswer:
        asked = timedelta(microseconds=request.time_window // 1000)
        window = min(asked, self.kept) if request.time_window else self.kept
        name = request.alert_context.name
        match: Match = "alert"
        own, more = await self._seen(caller, "alert", name, window)
        past = {one.id: one for one in own}
        kin = usual(own)
        if request.pattern_type == "cause":
            match, word = "cause", kin.reason
        elif request.pattern_type == "target":
            match, word = "target", kin.kind
        else:
            word = None
        if word is not None:
            related, more_related = await self._seen(caller, match, word, window)
            past |= {one.id: one for one in related}
            more = more or more_related
        found = patterns(past.values(), alert_name=name)
        return PatternsAnswer(
            patterns=found,
            total_patterns=len(found),
            request_id=request.request_id,
            pattern_type=request.pattern_type,
            time_window=int(window / timedelta(microseconds=1)) * 1000,
            looked_at=len(past),
            more=more,
            not_told=list(NOT_TOLD),
        )

    async def beside(
        self, record: Record, caller: Principal, *, within: timedelta = LONGEST
    ) -> list[dict[str, Any]]:
        """What was seen of the same alert before, to be told with a result. It is worth neither failing nor being late."""
        try:
            async with in_time(within):
                past, _ = await self._seen(caller, "alert", record.request.alert_name, self.kept)
        except StorageUnavailable as error:
            _log.info("no patterns told with %s: %s", record.id, error)
            return []
        others = [one for one in past if one.id != record.id]
        found = patterns(others, alert_name=record.request.alert_name)[:BESIDE]
        return [one.model_dump(mode="json") for one in found]

    async def _seen(
        self, caller: Principal, match: Match, word: str, window: timedelta
    ) -> tuple[Sequence[Past], bool]:
        """What the caller may see of them, and whether older ones were left out."""
        past = await self.history.like(match, word, tenant=caller.tenant, within=window, at_most=LOOKED_AT)
        visible = [
            one for one in past if may_see(caller, tenant=caller.tenant, asker=one.asker, seen=one.seen)
        ]
        return visible, len(past) == LOOKED_AT
