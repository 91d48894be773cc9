"""Fetch container logs through the API server, sparing nodes that do not serve any.

Which logs are fetched is `domain.wanted_logs`' choice; how much of each is kept, and when a node is given up,
is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from services.context_api.adapters.live.api import KubeApi, Query
from services.context_api.adapters.live.errors import ApiFailure, HeldBack, Why
from services.context_api.adapters.live.gate import Gate
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.lists import Room
from services.context_api.domain.snapshot import ContainerLog, NotRead
from services.context_api.domain.sources import Part, SourceName
from services.context_api.domain.wanted_logs import WantedLog

_OF_THE_NODE = frozenset({Why.broken, Why.slow, Why.unreachable, Why.overloaded})
"""Failures that the next log of the same node would meet too."""


_OF_THE_SERVER = frozenset({Why.unreachable, Why.overloaded})
"""Failures that every log would meet, whatever its node."""


def kubelets(limits: LiveLimits, **more: Any) -> Gate:
    """The door to container logs. Its breaker opens for the API server's failures; nodes are spared one by one."""
    return Gate(
        SourceName.pod_logs,
        deadline=limits.logs_within,
        at_once=limits.at_once,
        down=_OF_THE_SERVER,
        **more,
    )


class LogReader:
    """Reads the wanted logs, all nodes side by side, each node's one after the other."""

    def __init__(
        self,
        api: KubeApi,
        limits: LiveLimits,
        room: Room,
        *,
        since: timedelta | None,
        gate: Gate | None = None,
    ) -> None:
        self._api, self._limits, self._room, self._since = api, limits, room, since
        self._taking = (gate or kubelets(limits)).round(bounded=False)
        self.logs: list[ContainerLog] = []
        self.gaps: list[NotRead] = []
        self.missed: list[WantedLog] = []
        """Those that could not be had."""

    def part(self) -> Part:
        return self._taking.part()

    async def read(self, wanted: Sequence[WantedLog]) -> None:
        """Fill `logs` and `gaps`; never raises for a log that cannot be had, and ends in time."""
        by_node: dict[str, list[WantedLog]] = {}
        for log in wanted:
            by_node.setdefault(log.node, []).append(log)
        tasks = {
            asyncio.create_task(self._of_node(node, logs), name=f"logs of {node}"): node
            for node, logs in by_node.items()
        }
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=self._limits.logs_within.total_seconds())
        finally:
            late = [task for task in tasks if not task.done()]
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()
        told = {(log.namespace, log.pod, log.container, log.previous) for log in self.logs}
        self.missed = [log for log in wanted if _key(log) not in told]
        for task in late:
            self._taking.late(1)
            missing = sum(_key(log) not in told for log in by_node[tasks[task]])
            if missing:
                self.gaps.append(
                    NotRead(
                        f"{missing} container logs of node {tasks[task]}",
                        f"not read within {self._limits.logs_within.total_seconds():g} s",
                    )
                )

    async def _of_node(self, node: str, wanted: Sequence[WantedLog]) -> None:
        failures = 0
        for number, log in enumerate(wanted):
            try:
                await self._taking.ask(partial(self._one, log))
                failures = 0
            except HeldBack as failure:
                left = len(wanted) - number
                self.gaps.append(NotRead(f"{left} container logs of node {node}", failure.reason))
                return
            except ApiFailure as failure:
                self.gaps.append(NotRead(str(log), failure.reason))
                failures += failure.why in _OF_THE_NODE
                left = len(wanted) - number - 1
                if failures >= self._limits.node_failures and left:
                    self.gaps.append(
                        NotRead(f"{left} more container logs of node {node}", "the node does not serve logs")
                    )
                    return

    async def _one(self, log: WantedLog) -> None:
        keep = self._limits.log_tail_bytes
        path = f"/api/v1/namespaces/{quote(log.namespace, safe='')}/pods/{quote(log.pod, safe='')}/log"
        answer = await self._api.get(
            path,
            self._query(log),
            accept="*/*",
            within=self._limits.call,
            most=self._limits.log_read_bytes,
            tail=keep,
            attempts=1,  # a kubelet that does not answer will not in a second either, and others wait
        )
        self._taking.sent(len(answer.body))
        if not self._room.take(len(answer.body)):
            raise ApiFailure(Why.large, "over the limit of bytes in all")
        text = answer.body.decode("utf-8", "replace").replace("\0", "\ufffd")
        self.logs.append(
            ContainerLog(
                log.namespace, log.pod, log.container, log.previous, text, truncated=answer.cut, origin=path
            )
        )

    def _query(self, log: WantedLog) -> Query:
        # Not `limitBytes`: it cuts the end off, where the last words stand.
        query = [("container", log.container), ("tailLines", str(self._limits.log_lines))]
        if log.previous:
            query.append(("previous", "true"))
        if self._since is not None:
            query.append(("sinceSeconds", str(max(1, int(self._since.total_seconds())))))
        return query


def _key(log: WantedLog) -> tuple[str, str, str, bool]:
    return (log.namespace, log.pod, log.container, log.previous)
