"""The alerts service's archive, as the place where earlier episodes are looked up.

The one call against the stream of data (alerts calls the Context API, not the other way): short, optional, and never
made while answering the alerts service itself.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from libs.auth.principal import Principal
from libs.cache import made_of
from libs.clients import AlertsClient
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.contracts.alerts import AlertEpisode, IncidentSummary
from services.context_api.domain.errors import NoArchive
from services.context_api.domain.history import MOST, Past, seen_by, visible

MOST_INCIDENTS = 10
"""Incidents whose causes are looked up: those of the newest episodes."""


class AlertHistory:
    """Earlier episodes, within the deadline or with the reason why not."""

    def __init__(self, alerts: AlertsClient, *, deadline: timedelta) -> None:
        self._alerts, self._deadline = alerts, deadline

    async def past(
        self, alertname: str, namespace: str | None, caller: Principal, left: timedelta | None
    ) -> Past:
        """Episodes of that alert which the caller may see, newest first."""
        began = time.monotonic()
        limit = self._deadline if left is None else min(self._deadline, left)
        named = {"alertname": alertname, "namespace": namespace or ""}
        filters = {"limit": str(MOST)} | {name: value for name, value in named.items() if value}
        try:
            page = await self._alerts.list(filters=filters, tenant=caller.tenant, deadline=limit)
        except (PeerUnavailable, PeerRefused) as error:
            return Past(missing=f"the alerts service: {error}")
        episodes = visible(page.items, caller.may_read)
        ids = list(dict.fromkeys(one.incident_id for one in episodes if one.incident_id))[:MOST_INCIDENTS]
        rest = limit - timedelta(seconds=time.monotonic() - began)  # one deadline for the list and the causes
        found = await asyncio.gather(*(self._incident(one, caller, rest) for one in ids))
        if None in found:
            made_of(partial=True)  # its causes may be there in a moment
        return Past(episodes, {one.id: one for one in found if one is not None})

    async def latest(
        self, fingerprint: str, caller: Principal, left: timedelta | None
    ) -> AlertEpisode | None:
        """The newest episode of that fingerprint, if there is one that the caller may see.

        Raises:
            NoArchive: the alerts service does not answer.
        """
        limit = self._deadline if left is None else min(self._deadline, left)
        filters = {"fingerprint": fingerprint, "limit": "1"}
        try:
            page = await self._alerts.list(filters=filters, tenant=caller.tenant, deadline=limit)
        except (PeerUnavailable, PeerRefused) as error:
            raise NoArchive(f"the alerts service: {error}") from error
        # An alerts service of an earlier version does not know this filter, and gives the newest of all.
        found = [one for one in page.items if one.fingerprint == fingerprint]
        return next(iter(visible(found, caller.may_read)), None)

    async def _incident(
        self, incident_id: str, caller: Principal, limit: timedelta
    ) -> IncidentSummary | None:
        try:
            found = await self._alerts.incident(incident_id, tenant=caller.tenant, deadline=limit)
        except (PeerUnavailable, PeerRefused):
            return None  # the episode is told without its cause; `explained` counts those that have one
        return seen_by(found, caller.may_read)
