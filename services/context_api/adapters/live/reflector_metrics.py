"""What the watching cache does, as Prometheus metrics in the words of client-go's reflector.

Labels are closed: the kinds that are many everywhere by name, all others as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from libs.metrics import Metrics
from libs.metrics.metrics import OTHER
from services.context_api.adapters.live.api import Asked
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.adapters.live.gather import FIRST
from services.context_api.adapters.live.shelf import Shelf
from services.context_api.adapters.live.store import Budget, Change
from services.context_api.adapters.live.verdicts import Reason

NAMED = (*FIRST, OTHER)
CODES = ("2xx", "3xx", "4xx", "5xx", "403", "410", "429")
PREFIX = "context_api"


class ReflectorMetrics:
    """Fulfils `watching.Telling`."""

    def __init__(self, metrics: Metrics) -> None:
        resource = {"resource": NAMED}
        reasons = {"reason": [reason.value for reason in Reason]}
        self._lists = metrics.counter(
            f"{PREFIX}_reflector_lists_total", "Lists of a kind that came to their end.", resource
        )
        self._relists = metrics.counter(
            f"{PREFIX}_reflector_relists_total",
            "Lists after the first, by what made them necessary.",
            reasons,
        )
        self._list_seconds = metrics.histogram(
            f"{PREFIX}_reflector_list_duration_seconds", "How long a list took, all pages together."
        )
        self._watches = metrics.counter(f"{PREFIX}_reflector_watches_total", "Watches that began.", resource)
        self._ends = metrics.counter(
            f"{PREFIX}_reflector_watch_ends_total", "Watches that ended, by why.", reasons
        )
        self._watch_seconds = metrics.histogram(
            f"{PREFIX}_reflector_watch_duration_seconds",
            "How long a watch lasted.",
            buckets=(1.0, 10.0, 60.0, 300.0, 600.0),
        )
        self._events = metrics.counter(
            f"{PREFIX}_reflector_events_total",
            "Changes applied to the cache.",
            {"type": [change.value for change in Change]},
        )
        self._items = metrics.gauge(f"{PREFIX}_reflector_items", "Objects kept.", resource)
        self._age = metrics.gauge(
            f"{PREFIX}_reflector_last_resource_version_age_seconds",
            "Time since the server last told a version of a kind (a change, a bookmark, a list); the oldest of `other`.",
            resource,
        )
        self._states = metrics.gauge(
            f"{PREFIX}_reflector_feeds",
            "Lists that are kept, by how they stand.",
            {"state": [p.value for p in Phase]},
        )
        self._bytes = metrics.gauge(f"{PREFIX}_reflector_bytes", "JSON of all objects kept.")
        self._decoded = metrics.gauge(
            f"{PREFIX}_reflector_decoded_bytes", "JSON of the objects that are kept decoded as well."
        )
        self._requests = metrics.counter(
            f"{PREFIX}_rest_client_requests_total", "Requests that the API server answered.", {"code": CODES}
        )
        self._waited = metrics.histogram(
            f"{PREFIX}_rest_client_rate_limiter_duration_seconds",
            "How long a request waited for its turn under EVIDENCE_QPS.",
        )

    def listed(self, resource: Resource, reason: Reason, objects: int, seconds: float) -> None:
        self._lists.inc(resource=str(resource))
        self._list_seconds.observe(seconds)
        if reason is not Reason.first:
            self._relists.inc(reason=reason.value)

    def watching(self, resource: Resource) -> None:
        self._watches.inc(resource=str(resource))

    def ended(self, resource: Resource, reason: Reason, seconds: float, events: int) -> None:
        self._ends.inc(reason=reason.value)
        self._watch_seconds.observe(seconds)

    def changed(self, resource: Resource, change: Change, count: int) -> None:
        self._events.inc(count, type=change.value)

    def asked(self, asked: Asked) -> None:
        exact = str(asked.status)
        self._requests.inc(code=exact if exact in CODES else f"{asked.status // 100}xx")
        self._waited.observe(asked.waited)

    def show(self, feeds: Sequence[Feed], budget: Budget, shelf: Shelf, now: float) -> None:
        for name, group in _by_name(feeds).items():
            self._items.set(sum(len(feed.table) for feed in group), resource=name)
            ages = [now - feed.heard for feed in group if feed.heard is not None]
            self._age.set(max(ages, default=0.0), resource=name)
        for phase in Phase:
            self._states.set(sum(feed.phase is phase for feed in feeds), state=phase.value)
        self._bytes.set(budget.bytes)
        self._decoded.set(shelf.bytes)


def _by_name(feeds: Iterable[Feed]) -> dict[str, list[Feed]]:
    groups: dict[str, list[Feed]] = {name: [] for name in NAMED}
    for feed in feeds:
        groups[str(feed.resource) if str(feed.resource) in groups else OTHER].append(feed)
    return groups
