"""Objects kept as the bytes the server printed, decoded when somebody looks into them.

A pod of 3.3 KB is 17 KB of Python's dictionaries (measured); a cluster of them is more than a process should hold. What
selects objects (name, uid, labels, owners, age) lies beside the bytes, so that looking for one decodes none.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from services.context_api.adapters.recording.objects import Admitted
from services.context_api.domain.kube import mapping
from services.context_api.domain.snapshot import PARTS, Body, KubeObject, parse_time, part_of
from services.context_api.domain.wanted_logs import stands_out

SHARED = 20_000
"""Different labels and owners that are kept once for all objects that have them: the replicas of so many workloads."""


class Kept(KubeObject):
    """An object whose body is decoded on first use, and let go of when the shelf is full.

    The same object in every snapshot until it changes, so what was decoded for one answer serves the next.
    """

    __slots__ = (
        "_decoded",
        "_labels",
        "_owners",
        "_readings",
        "created",
        "digest",
        "raw",
        "shelf",
        "stands_out",
        "version",
    )

    # Written here once more for the type checker; the slots are those above.
    raw: bytes
    digest: int
    """Of the bytes; 128 bits."""
    version: str
    """`metadata.resourceVersion`; empty when it has none."""
    created: float | None
    """Seconds since 1970."""
    stands_out: bool
    """Of a pod: whether a container gives a reason to read its log."""
    shelf: Shelf

    def __init__(self, admitted: Admitted, raw: bytes, shelf: Shelf) -> None:
        item = admitted.object
        metadata = item.metadata
        raw = _fitted(raw)
        created = parse_time(metadata.get("creationTimestamp"))
        for name, value in (
            ("api_version", item.api_version),
            ("group", item.group),
            ("kind", item.kind),
            ("namespace", item.namespace),
            ("name", item.name),
            ("uid", item.uid),
            ("origin", item.origin),
            ("raw", raw),
            ("digest", int.from_bytes(blake2b(raw, digest_size=16).digest())),
            ("version", str(metadata.get("resourceVersion") or "")),
            ("created", created.timestamp() if created else None),
            ("_labels", _shared(metadata.get("labels"), dict)),
            ("is_leaving", bool(metadata.get("deletionTimestamp"))),
            ("_readings", {}),
            ("_decoded", False),
            ("_owners", _shared(metadata.get("ownerReferences"), list)),
            ("stands_out", item.kind == "Pod" and stands_out(item)),
            ("shelf", shelf),
        ):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Reached only while the slot is empty: a body that is decoded costs no more than any attribute.
        if name == "body":
            return self.shelf.body_of(self)
        if name in PARTS:
            return part_of(self.shelf.body_of(self), name)
        if name == "annotations":
            return part_of(self.metadata, name)
        raise AttributeError(name)

    @property
    def labels(self) -> Mapping[str, str]:
        return self._labels or {}

    @property
    def readings(self) -> dict[object, Any]:
        # They live no longer than the body they were read from. What is read of an object without its body is cheap.
        return self._readings if self._decoded else {}

    @property
    def owners(self) -> Sequence[Body]:
        return self._owners or ()

    @property
    def created_at(self) -> datetime | None:
        return None if self.created is None else datetime.fromtimestamp(self.created, UTC)


class Shelf:
    """The decoded bodies, oldest out first. Used by the threads that answer and by the event loop."""

    def __init__(self, most_bytes: int) -> None:
        """Args:
        most_bytes: of JSON whose decoded form is kept; that takes about five times as much.
        """
        self._most = most_bytes
        self._decoded: deque[Kept] = deque()
        self._lock = threading.Lock()
        self.bytes = 0
        self.decodings = 0
        """Since the start."""

    def body_of(self, item: Kept) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(item.raw)
        with self._lock:
            self.decodings += 1
            # Through the slot itself: whoever asks the object for it decodes it again.
            try:
                return _BODY.__get__(item, Kept)  # type: ignore[no-any-return]
            except AttributeError:
                object.__setattr__(item, "body", body)
                for name in PARTS:
                    object.__setattr__(item, name, part_of(body, name))
                object.__setattr__(item, "_decoded", True)
            self._decoded.append(item)
            self.bytes += len(item.raw)
            while self.bytes > self._most:
                oldest = self._decoded.popleft()
                self.bytes -= len(oldest.raw)
                for name in ("body", *PARTS):
                    object.__delattr__(oldest, name)
                object.__setattr__(oldest, "_decoded", False)
                oldest._readings.clear()
        return body


_BODY: Any = KubeObject.__dict__["body"]


def _shared(value: object, shape: type) -> Any:
    """One value for all that are alike: the replicas of a workload differ in neither labels nor owner."""
    if not isinstance(value, shape) or not value:
        return None
    return _parsed(_fitted(orjson.dumps(value)))


def _fitted(raw: bytes) -> bytes:
    """A copy with no more room than it needs: orjson leaves what it had set aside, 8 KB behind 3 KB of JSON (measured
    2026-11, orjson 3.13)."""
    return bytes(memoryview(raw))


@lru_cache(maxsize=SHARED)
def _parsed(raw: bytes) -> Any:
    value = orjson.loads(raw)
    return value if isinstance(value, dict) else tuple(mapping(one) for one in value if isinstance(one, dict))
