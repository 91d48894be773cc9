"""The alerts service, as its callers see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from libs.clients.peer import Peer, segment
from libs.contracts.alerts import AlertEpisodeDetail, AlertPage, AlertReceipt, IncidentSummary

_ALERTS = "/api/v1/alerts"


class AlertsClient(Peer):
    """Calls the alerts service. Raises what `Peer.call` raises."""

    name = "alerts"

    async def send_webhook(self, body: bytes, *, tenant: str, deadline: timedelta) -> AlertReceipt:
        """Post an Alertmanager webhook body, byte for byte."""
        return await self.call(
            "POST",
            "/api/v1/webhooks/alertmanager",
            answer=AlertReceipt,
            body=body,
            tenant=tenant,
            deadline=deadline,
        )

    async def list(
        self,
        *,
        cursor: str | None = None,
        filters: Mapping[str, str] | None = None,
        tenant: str,
        deadline: timedelta,
    ) -> AlertPage:
        """One page of episodes, newest first; `filters` are the route's query parameters."""
        query = dict(filters or {}) | ({"cursor": cursor} if cursor else {})
        return await self.call(
            "GET", _ALERTS, answer=AlertPage, query=query or None, tenant=tenant, deadline=deadline
        )

    async def get(self, alert_id: str, *, tenant: str, deadline: timedelta) -> AlertEpisodeDetail:
        """One episode with every decision about it."""
        return await self.call(
            "GET",
            f"{_ALERTS}/{segment(alert_id)}",
            answer=AlertEpisodeDetail,
            tenant=tenant,
            deadline=deadline,
        )

    async def incident(self, incident_id: str, *, tenant: str, deadline: timedelta) -> IncidentSummary:
        """One incident with the causes that were found."""
        return await self.call(
            "GET",
            f"/api/v1/incidents/{segment(incident_id)}",
            answer=IncidentSummary,
            tenant=tenant,
            deadline=deadline,
        )
