"""Lets time pass in a cluster without waiting: moves what is stored back.

An incident takes weeks and a cluster that is three seconds old looks like none. The control plane's clock is the
machine's and cannot be set, so the past is moved instead: every timestamp of every stored object becomes older by the
same amount, in etcd, under optimistic locks; the API server sees it as any other change. What happens between two
such steps takes as long as it takes. Events older than an hour go, as they do in a cluster that waited; otherwise
`resourceVersion` grows by one a step, and nothing else changes.

Values are readable in etcd because `cluster.py` has the API server store JSON.
"""

from __future__ import annotations

import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.testbed.cluster import Cluster

PREFIX, PAST_PREFIX = b"/registry/", b"/registry0"
STILL = (b"/registry/leases/", b"/registry/masterleases/", b"/registry/ranges/")
"""Kept as they are: who holds a lease would seem to be away."""

EVENTS, EVENTS_LIVE = b"/registry/events/", timedelta(hours=1)
"""kube-apiserver's `--event-ttl`, which counts the machine's time and not the story's."""

BATCH = 50
"""Objects a transaction; etcd takes 128 operations."""

TRIES = 20
"""For one object that somebody else changes at the same moment."""

# A whole JSON string. One inside an annotation's text is somebody's words, and its quotes are escaped. When a restart
# was asked for is written in templates: moved in one object before the other, it would look like one more rollout.
_STAMP = re.compile(rb'(?<!\\)(?<!/restartedAt":)"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')
_FORMAT = "%Y-%m-%dT%H:%M:%S"


class ClockFailed(Exception):
    """Time could not pass: an object was changed each time that it was to be moved."""


@dataclass(frozen=True, slots=True)
class _Stored:
    key: str
    value: str
    revision: str


class Clock:
    """The time that the cluster seems to have: the machine's, less what has been skipped."""

    def __init__(
        self,
        cluster: Cluster,
        start: datetime,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Args:
        start: what `now()` says at this moment, to the second.
        """
        self._cluster = cluster
        self._now = now
        self._behind = timedelta(seconds=round((now() - start).total_seconds()))
        self._etcd = httpx.Client(base_url=cluster.etcd_url, timeout=30, trust_env=False)

    def close(self) -> None:
        self._etcd.close()

    def now(self) -> datetime:
        """What the story's clock shows."""
        return self._now() - self._behind

    def real(self, moment: datetime) -> datetime:
        """What to write now so that the story in the end reads `moment`."""
        return moment + self._behind

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass; a part of one is rounded."""
        self._skip(timedelta(seconds=round(seconds)))

    def until(self, moment: datetime) -> None:
        """Let time pass until a moment of the story; a moment that is past already is not waited for.

        Returns when that second begins, so that what is done next still happens in it.
        """
        ahead = (moment - self.now()).total_seconds()
        if ahead <= 0:
            return
        whole = int(ahead)
        if whole:
            self._skip(timedelta(seconds=whole))
        time.sleep(max((moment - self.now()).total_seconds(), 0))

    def settle_on_calendar(self) -> None:
        """Move everything so that the machine's clock and the story's agree about the past: after it, what is stored
        carries the story's dates. Nothing may happen in the cluster afterwards but reading."""
        self._move(list(self._range()), self._behind)

    def _skip(self, by: timedelta) -> None:
        stored = list(self._range())
        expired = [one for one in stored if self._has_expired(one, by)]
        for one in expired:
            self._call("deleterange", {"key": one.key})
        self._move([one for one in stored if one not in expired], by)
        self._behind -= by

    def _has_expired(self, stored: _Stored, by: timedelta) -> bool:
        """An event that was last written more than an hour before what will be now."""
        if not b64decode(stored.key).startswith(EVENTS):
            return False
        written = max((found[1] for found in _STAMP.finditer(b64decode(stored.value))), default=None)
        if written is None:
            return False
        return _parse(written) - by < self._now() - EVENTS_LIVE

    def _move(self, stored: Sequence[_Stored], by: timedelta) -> None:
        for start in range(0, len(stored), BATCH):
            batch = stored[start : start + BATCH]
            if not self._put(batch, by):
                for one in batch:
                    self._move_one(one, by)

    def _move_one(self, stored: _Stored, by: timedelta) -> None:
        """Retry with what it has become; an object that is gone needs no moving."""
        found: _Stored | None = stored
        for _ in range(TRIES):
            if found is None or self._put([found], by):
                return
            found = next(self._read({"key": stored.key}), None)
        raise ClockFailed(f"{b64decode(stored.key).decode()} is changed all the time")

    def _range(self) -> Iterator[_Stored]:
        whole = {"key": b64encode(PREFIX).decode(), "range_end": b64encode(PAST_PREFIX).decode()}
        for one in self._read(whole):
            if not b64decode(one.key).startswith(STILL):
                yield one

    def _read(self, asked: dict[str, str]) -> Iterator[_Stored]:
        for pair in self._call("range", asked).get("kvs", []):
            yield _Stored(pair["key"], pair["value"], pair["mod_revision"])

    def _put(self, batch: Sequence[_Stored], by: timedelta) -> bool:
        """All of them or none; False when one has changed since it was read."""
        moved = [(one, older(b64decode(one.value), by)) for one in batch]
        compare = [
            {"key": one.key, "target": "MOD", "result": "EQUAL", "mod_revision": one.revision}
            for one, _ in moved
        ]
        puts = [
            # An event keeps its time to live.
            {"request_put": {"key": one.key, "value": b64encode(value).decode(), "ignore_lease": True}}
            for one, value in moved
        ]
        return bool(self._call("txn", {"compare": compare, "success": puts}).get("succeeded"))

    def _call(self, what: str, body: object) -> Any:
        answer = self._etcd.post(f"/v3/kv/{what}", json=body)
        answer.raise_for_status()
        return answer.json()


def older(value: bytes, by: timedelta) -> bytes:
    """The same JSON with every timestamp older by so much. Fractions of a second stay."""

    def move(found: re.Match[bytes]) -> bytes:
        stamp = _parse(found[1]) - by
        return b'"%s%sZ"' % (stamp.strftime(_FORMAT).encode(), found[2] or b"")

    return _STAMP.sub(move, value)


def _parse(stamp: bytes) -> datetime:
    return datetime.strptime(stamp.decode(), _FORMAT).replace(tzinfo=UTC)
