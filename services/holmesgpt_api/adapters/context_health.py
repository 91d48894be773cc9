"""How the Context APIs are, each asked once for all health checks that rest on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

from libs.auth.principal import DEFAULT_TENANT
from libs.clients import ContextClient, PeerError
from libs.contracts.context import ContextHealth
from libs.contracts.health import ComponentHealth
from libs.web import Check
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.overview import CONTEXT_API, KUBERNETES, cluster, of_cluster

FRESH_S = 0.5
"""An answer serves the checks that come due together; half the shortest pause between two of one check."""

PATIENCE = timedelta(seconds=2)


class ContextSays:
    """For one event loop."""

    def __init__(
        self, ask: Callable[[], Awaitable[ContextHealth]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._clock = ask, clock
        self._turn = asyncio.Lock()
        self._heard: tuple[ContextHealth | PeerError, float] | None = None

    async def look(self) -> ContextHealth | PeerError:
        """What it says, or why it says nothing."""
        async with self._turn:
            if self._heard is None or self._clock() - self._heard[1] >= FRESH_S:
                self._heard = await self._outcome(), self._clock()
            return self._heard[0]

    async def _outcome(self) -> ContextHealth | PeerError:
        try:
            return await self._ask()
        except PeerError as error:
            return error


def checks_of(clusters: Clusters, contexts: Mapping[str, ContextClient]) -> dict[str, Check]:
    """Of the default Context API under the names it has always had, and of each cluster's under that cluster's name.

    None is critical. Without the Context API of one cluster all others' investigations go on, and its own say what they
    wait for; a process that is not ready would be sent none of them.
    """
    says = {
        address: ContextSays(partial(client.health, tenant=DEFAULT_TENANT, deadline=PATIENCE))
        for address, client in contexts.items()
    }
    found = {CONTEXT_API: _answers(says[clusters.default]), KUBERNETES: _cluster(says[clusters.default])}
    for name, address in clusters.named.items():
        found[of_cluster(CONTEXT_API, name)] = _answers(says[address])
        found[of_cluster(KUBERNETES, name)] = _cluster(says[address])
    return found


def _answers(says: ContextSays) -> Check:
    async def probe() -> None:
        told = await says.look()
        if isinstance(told, PeerError):
            raise told

    return Check(probe)


def _cluster(says: ContextSays) -> Check:
    async def probe() -> ComponentHealth:
        return cluster(await says.look())

    return Check(probe)
