"""Ask Loki for logs that no kubelet serves any more.

Source: grafana.com/docs/loki, "Loki HTTP API" (`query_range`) and "Log queries" (stream selectors). The selector is
made of labels whose values are written as string literals, so no name steers a query. Lines come newest first, each
with its time in nanoseconds, in one stream for each set of labels; here they are put in the order they were written in.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.fetch import body_of
from services.context_api.adapters.live.gate import Gate
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.lists import Room
from services.context_api.domain.kept_logs import KeptLog
from services.context_api.domain.kube import entries, mapping, text
from services.context_api.domain.logs import time_of
from services.context_api.domain.promql import Match
from services.context_api.domain.snapshot import ContainerLog, NotRead
from services.context_api.domain.sources import Part, SourceName, last_answer

AT_ONCE = 4
"""Queries under way; a Loki's own share for one tenant is often 32 for everybody together."""

ORIGIN = "loki"
TENANT = "X-Scope-OrgID"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_THE_RUNTIME = re.compile(r"\d{4}-\d\d-\d\dT\S+ (?:stdout|stderr) [FP] ")
"""What a container runtime writes in front of each line, where an agent has left it there."""


@dataclass(frozen=True, slots=True)
class Labels:
    """How the agent that fills this Loki calls what a line is of."""

    namespace: str = "namespace"
    pod: str = "pod"
    container: str = "container"


@dataclass(frozen=True, slots=True)
class KeptLines:
    logs: Sequence[ContainerLog] = ()
    gaps: Sequence[NotRead] = ()
    part: Part | None = None


class Loki:
    """One server. `url` may have a path in front of `/loki/api/v1` and, like any URL, a user."""

    def __init__(
        self,
        url: str,
        *,
        tenant: str = "",
        token: SecretStr | None = None,
        labels: Labels | None = None,
        matches: Sequence[Match] = (),
        gate: Gate | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._tenant, self._token = tenant, token
        self._labels = labels or Labels()
        self._matches = tuple(matches)
        self.gate = gate
        self.name = str(self._url.copy_with(username=None, password=None, query=None))
        """The URL without what may be secret in it."""

    async def read(self, wanted: Sequence[KeptLog], limits: LiveLimits, room: Room) -> KeptLines:
        """Every log that is there, all within the gate's deadline; what could not be asked is named."""
        headers = {TENANT: self._tenant} if self._tenant else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        gate = self.gate or Gate(SourceName.loki, deadline=limits.metrics_within, at_once=AT_ONCE)
        taking = gate.round()
        # No redirects: the token belongs to this server.
        async with httpx.AsyncClient(headers=headers, timeout=taking.left, follow_redirects=False) as client:

            def one(log: KeptLog) -> Callable[[], Awaitable[list[ContainerLog]]]:
                return lambda: self._one(client, log, limits, taking.sent)

            found = await taking.all([one(log) for log in wanted])
        part = taking.part()
        logs: list[ContainerLog] = []
        failed: dict[str, list[KeptLog]] = {}
        for log, told in zip(wanted, found, strict=True):
            if isinstance(told, ApiFailure):
                failed.setdefault(told.reason, []).append(log)
                continue
            for each in told:
                if room.take(len(each.text)):
                    logs.append(each)
                else:
                    failed.setdefault("over the limit of bytes in all", []).append(log)
        return KeptLines(logs, [self._gap(reason, of, part) for reason, of in failed.items()], part)

    def _gap(self, reason: str, logs: Sequence[KeptLog], part: Part) -> NotRead:
        which = str(logs[0]) if len(logs) == 1 else f"{len(logs)} logs"
        last = f"; {last_answer(part.age)}" if part.calls == len(logs) else ""
        return NotRead(f"{which} from {self.name}", f"{reason}{last}")

    async def _one(
        self, client: httpx.AsyncClient, log: KeptLog, limits: LiveLimits, came: Callable[[int], None]
    ) -> list[ContainerLog]:
        url = self._url.copy_with(path=f"{self._url.path.rstrip('/')}/loki/api/v1/query_range")
        asked = {
            "query": selector(log, self._labels, self._matches),
            "start": str(nanoseconds(log.since)),
            "end": str(nanoseconds(log.until)),
            "limit": str(limits.log_lines),
            "direction": "backward",
        }
        body = await body_of(client.stream("GET", url, params=asked), limits.log_read_bytes, came)
        return await asyncio.to_thread(logs_of, body, log, self._labels, limits)


def selector(log: KeptLog, labels: Labels, matches: Sequence[Match]) -> str:
    """`{namespace="…",pod="…"}`, with the operator's own matchers."""
    own = [Match(labels.namespace, "=", log.namespace), Match(labels.pod, "=", log.pod)]
    if log.container:
        own.append(Match(labels.container, "=", log.container))
    # LogQL writes string literals as PromQL does.
    return "{" + ",".join(map(str, [*own, *matches])) + "}"


def nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def logs_of(body: bytes, log: KeptLog, labels: Labels, limits: LiveLimits) -> list[ContainerLog]:
    """The lines of an answer, a log for each container, in the order they were written in.

    Raises:
        ApiFailure: it is none of Loki's.
    """
    lines = list(_lines(body, log, labels))
    full = len(lines) >= limits.log_lines
    found = []
    for container in sorted({name for name, _, _ in lines}):
        mine = sorted((moment, line) for name, moment, line in lines if name == container)
        whole = "".join(f"{_stamped(moment, line)}\n" for moment, line in mine)
        kept = whole[-limits.log_tail_bytes :]
        found.append(
            ContainerLog(
                log.namespace,
                log.pod,
                container,
                log.previous,
                kept if len(kept) == len(whole) else kept.partition("\n")[2],
                truncated=full or len(kept) < len(whole),
                origin=ORIGIN,
            )
        )
    return found


def _lines(body: bytes, log: KeptLog, labels: Labels) -> Iterator[tuple[str, int, str]]:
    """Container, nanoseconds since 1970, line."""
    for stream in _streams(body):
        stamps = mapping(stream.get("stream"))
        container = log.container or text(stamps.get(labels.container)) or "unknown"
        values = stream.get("values")
        for entry in values if isinstance(values, list) else ():
            # A third member, where there is one, is structured metadata.
            if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
                raise ApiFailure(Why.broken, "the answer is not Loki's")
            if not isinstance(entry[0], str) or not entry[0].isdigit() or len(entry[0]) > 19:
                raise ApiFailure(Why.broken, "a line's time is no nanoseconds")
            line = _OF_THE_RUNTIME.sub("", entry[1], count=1).replace("\0", "\ufffd").rstrip("\n")
            yield container, int(entry[0]), line


def _streams(body: bytes) -> Sequence[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(Why.broken, "the answer is no JSON") from error
    data = mapping(mapping(document).get("data"))
    if mapping(document).get("status") != "success" or data.get("resultType") != "streams":
        raise ApiFailure(Why.broken, "the answer is not Loki's")
    if not isinstance(data.get("result"), list):
        raise ApiFailure(Why.broken, "the answer is not Loki's")
    return entries(data.get("result"))


def _stamped(moment: int, line: str) -> str:
    """With its time in front, unless it says one itself."""
    if line[:1].isdigit() and time_of(line[:40]) is not None:
        return line
    seconds, rest = divmod(moment, 1_000_000_000)
    clock = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{clock}.{rest:09d}Z {line}"
