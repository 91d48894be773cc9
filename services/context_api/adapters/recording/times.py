"""Find the newest time in a recording: its "now" when `snapshot.yaml` does not say it."""

from __future__ import annotations

import re
from datetime import datetime

from services.context_api.domain.snapshot import parse_time

_TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.Z+-]{5,30}"
_VALUE = re.compile(rb'":"(' + _TIME + rb')"')
_LOG_LINE = re.compile(rb"(?m)^(" + _TIME + rb")[ \t]")

PAST = frozenset(
    {
        b"creationTimestamp",
        b"time",
        b"firstTimestamp",
        b"lastTimestamp",
        b"eventTime",
        b"lastObservedTime",
        b"lastTransitionTime",
        b"lastUpdateTime",
        b"lastProbeTime",
        b"lastHeartbeatTime",
        b"startedAt",
        b"finishedAt",
        b"startTime",
        b"completionTime",
        b"lastScheduleTime",
        b"lastSuccessfulTime",
        b"lastScaleTime",
        b"acquireTime",
        b"renewTime",
        b"kubectl.kubernetes.io/restartedAt",
    }
)
"""Fields that say when something happened. Others (`notAfter`, `deletionTimestamp`, `expirationTimestamp`,
whatever a custom resource calls its deadline) speak of the future, and would make a recording from tomorrow."""

NONSENSE = 2100
"""A time from this year on was typed in, or is somebody's "never"; as now it would make everything long ago."""


class Newest:
    """Remembers the newest time it was shown."""

    def __init__(self) -> None:
        self.moment: datetime | None = None
        self._text = b""

    def see(self, moment: datetime | None) -> None:
        if moment is not None and moment.year < NONSENSE and (self.moment is None or moment > self.moment):
            self.moment = moment
            self._text = moment.strftime("%Y-%m-%dT%H:%M:%S").encode()

    def see_object(self, raw: bytes) -> None:
        """`raw`: one object as JSON without spaces."""
        for match in _VALUE.finditer(raw):
            text = match[1]
            # Nearly every time is older: compared as text first, which is right for `Z` and cheap.
            if text.endswith(b"Z") and text[:19] < self._text:
                continue
            name = raw[raw.rfind(b'"', 0, match.start()) + 1 : match.start()]
            if name in PAST:
                self.see(parse_time(text.decode()))

    def see_log(self, content: bytes) -> None:
        """The last line that begins with a time, as kubelet writes it before each line."""
        times = _LOG_LINE.findall(content[-8192:])
        if times:
            self.see(parse_time(times[-1].decode()))
