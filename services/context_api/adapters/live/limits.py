"""How much of a live cluster is read, and how hard it is asked. What is beyond is named in `Snapshot.not_read`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from services.context_api.adapters.live.quota import Quota
from services.context_api.adapters.recording.limits import KIB, MIB


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Amounts of objects are a recording's (`recording.limits`), so that what was read live can be read again."""

    page: int = 500
    """Objects a page; what kubectl asks for. About 2 MB of pods."""

    quota: Quota = field(default_factory=Quota)
    """How often the server is asked, all kinds of calls together."""

    at_once: int = 8
    """Calls under way. The API server's priority and fairness gives a client of its own about ten seats."""

    call: timedelta = timedelta(seconds=10)
    """Longest wait for one call, its retries included."""

    attempts: int = 3
    """Times one call is tried, when the server says "later" or the connection breaks."""

    lists_within: timedelta = timedelta(seconds=30)
    """Longest time for all lists; what is not there by then is named. 3,000 objects take 0.6 to 1.5 s and 0.35 s of
    processor time (measured on two busy cores, server beside us); a server far away needs more."""

    answer_bytes: int = 32 * MIB
    """Bytes of one answer, inflated: a page of 500 custom resources of 64 KiB."""

    total_bytes: int = 128 * MIB
    """Bytes of all objects and logs."""

    object_bytes: int = 4 * MIB
    objects: int = 100_000

    relists: int = 2
    """Times a list is begun again because its pages expired (410)."""

    logs: int = 60
    """Container logs read."""

    healthy_logs: int = 10
    """Of these, logs of containers nothing is wrong with: read when there is room."""

    logs_within: timedelta = timedelta(seconds=10)
    log_lines: int = 1_000
    log_tail_bytes: int = 256 * KIB
    log_read_bytes: int = 8 * MIB
    """Bytes after which a log is no longer read: lines may be of any length."""

    node_failures: int = 2
    """Logs a node may fail to serve before it is not asked again; each costs a wait for a kubelet."""

    metrics_within: timedelta = timedelta(seconds=10)
    """Longest wait for all queries together, where a source has no gate of its own."""

    metric_bytes: int = 8 * MIB
    metric_series: int = 2_000

    notes: int = 200
    """Things that could not be read and are named one by one; the rest is counted by reason."""

    watches: int = 500
    """Watches at once, each a connection of its own; kinds beyond are listed again and again instead. A cluster with
    many operators has 300 kinds."""

    watch_opening: timedelta = timedelta(seconds=30)
    """Longest wait for a watch to begin; on a server that has just started its own caches are filled first."""

    watch_lasts: timedelta = timedelta(minutes=5)
    """The shortest time after which the server is asked to end a watch; up to twice that, so that they do not all
    end together. What controllers ask for."""

    kept_bytes: int = 512 * MIB
    """JSON of all objects the watching cache keeps. 50,000 pods of 3.3 KB are 160 MiB."""

    kept_objects: int = 150_000
    """Each costs about 3 KB beside its JSON (measured with 50,000 pods)."""

    decoded_bytes: int = 32 * MIB
    """JSON of the objects that are kept decoded as well, which takes about five times as much (measured)."""
