"""Asks the Context API. Fulfils `ports.Evidence`: its faults become the engine's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from libs.clients import ContextClient, PeerRefused, PeerUnavailable
from libs.contracts.causes import CausesAnswer, NoCause
from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.holmesgpt_api.domain.errors import Impossible, NotNow

UNAVAILABLE = "context-unavailable"
REFUSED = "context-refused"
NOT_FOUND = 404


class ContextApi:
    def __init__(self, client: ContextClient) -> None:
        self._client = client

    async def resolve(self, labels: Mapping[str, str], *, tenant: str, deadline: timedelta) -> Resolution:
        with _in_our_words():
            try:
                return await self._client.resolve(
                    labels, cluster=labels.get("cluster"), tenant=tenant, deadline=deadline
                )
            except PeerRefused as refused:
                if refused.status != NOT_FOUND:
                    raise
                why = refused.problem.detail or refused.problem.title
                return Resolution(
                    target=None, owner=None, exists=False, reason=refused.problem.code, detail=why
                )

    async def causes(
        self, target: Target, *, onset: datetime | None, priority: str, tenant: str, deadline: timedelta
    ) -> CausesAnswer:
        with _in_our_words():
            try:
                return await self._client.causes(
                    target, onset=onset, priority=priority, tenant=tenant, deadline=deadline
                )
            except PeerRefused as refused:
                if refused.status != NOT_FOUND:
                    raise
                # An alert about an object that is gone, or of another cluster, is no fault of ours: what can be
                # said about it is that nothing was there to look at.
                why = refused.problem.detail or refused.problem.title
                return CausesAnswer(
                    target=target,
                    ranked=[],
                    no_cause=True,
                    no_cause_reason=NoCause.insufficient,
                    not_looked_at=[why],
                )


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except PeerUnavailable as error:
        said = f"the Context API does not answer: {error.reason}"
        raise NotNow(
            UNAVAILABLE, f"{said} ({error.detail})" if error.detail else said, retry_after=error.retry_after
        ) from error
    except PeerRefused as error:
        problem = error.problem
        raise Impossible(
            REFUSED,
            f"the Context API refuses: HTTP {error.status} {problem.code}: {problem.detail or problem.title}",
        ) from error
