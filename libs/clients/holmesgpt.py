"""The HolmesGPT API, as its callers see it."""

from __future__ import annotations

from datetime import timedelta

from libs.clients.peer import Peer, segment
from libs.contracts.investigations import (
    Investigation,
    InvestigationAccepted,
    InvestigationPage,
    InvestigationRequest,
)

_ROOT = "/api/v1/investigate"


class HolmesClient(Peer):
    """Calls the HolmesGPT API. Raises what `Peer.call` raises."""

    name = "holmesgpt-api"

    async def investigate(
        self, request: InvestigationRequest, *, tenant: str, deadline: timedelta
    ) -> Investigation:
        """Investigate and wait for the result; not longer than the deadline."""
        return await self.call(
            "POST", _ROOT, answer=Investigation, body=request, tenant=tenant, deadline=deadline
        )

    async def investigate_async(
        self, request: InvestigationRequest, *, idempotency_key: str, tenant: str, deadline: timedelta
    ) -> InvestigationAccepted:
        """Have an investigation committed; the same key and request give the same investigation."""
        return await self.call(
            "POST",
            f"{_ROOT}/async",
            answer=InvestigationAccepted,
            body=request,
            headers={"Idempotency-Key": idempotency_key},
            tenant=tenant,
            deadline=deadline,
        )

    async def get(self, investigation_id: str, *, tenant: str, deadline: timedelta) -> Investigation:
        return await self.call(
            "GET",
            f"{_ROOT}/{segment(investigation_id)}",
            answer=Investigation,
            tenant=tenant,
            deadline=deadline,
        )

    async def list(
        self, *, cursor: str | None = None, limit: int | None = None, tenant: str, deadline: timedelta
    ) -> InvestigationPage:
        """One page of the investigations the caller may see, newest first."""
        query = ({"cursor": cursor} if cursor else {}) | ({"limit": str(limit)} if limit else {})
        return await self.call(
            "GET", _ROOT, answer=InvestigationPage, query=query or None, tenant=tenant, deadline=deadline
        )
