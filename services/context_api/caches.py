"""Builds the caches, wiring's own part: in this process, and in Redis where one is set. Redis is never needed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from libs.auth import KeyRing
from libs.cache import Cache, MemoryCache, RedisCache, RedisLink, RedisTurns, Sealed, connect
from libs.cache.ports import FAULTS
from libs.contracts.health import ComponentHealth
from libs.logs import get_logger
from libs.metrics import Metrics
from libs.web.pages import HITS, OUTCOMES, Far, Pages, Patience, hit_ratio
from services.context_api.settings import EvidenceSettings, Settings
from services.context_api.steps.answers import Rate
from services.context_api.steps.freshness import EVIDENCE, SOURCES, Freshness

NAMESPACE = "context-api"

_log = get_logger("cache")


@dataclass
class Keeping:
    """What the service keeps, and how well that works."""

    pages: Pages
    answers: Cache
    """For what the pages are made of, by snapshot."""
    counted: _Counted
    link: RedisLink | None
    is_shared: bool
    """Whether other processes can read what this one puts into Redis."""
    rate: Rate = field(default_factory=Rate)
    """Of all questions; kept answers are added to it."""

    async def look(self) -> ComponentHealth:
        """How Redis is, for /health; and what gauges are told meanwhile."""
        self.counted.show(self.pages)
        if self.link is None:
            return ComponentHealth(
                status="not_configured", detail="answers are kept in this process; REDIS_URL shares them"
            )
        if not await self.link.guard.answers(self.link.client.ping()):
            return ComponentHealth(
                status="degraded", detail="Redis does not answer; answers are kept in this process alone"
            )
        if not self.is_shared:
            return ComponentHealth(
                status="healthy", detail="without AUTH_KEYS_FILE no other process reads what this one keeps"
            )
        return ComponentHealth(status="healthy")


class _Counted:
    """Metrics of the kept answers."""

    def __init__(self, metrics: Metrics) -> None:
        asked = metrics.counter(
            "context_api_cache_questions_total",
            "Questions to routes whose answers are kept, by source and by where the answer came from.",
            {"source": SOURCES, "outcome": OUTCOMES},
        )
        faults = metrics.counter(
            "context_api_cache_faults_total",
            "Times that Redis could not be used, or a value in it not be believed.",
            {"reason": FAULTS},
        )
        self._fault = {reason: faults.bind(reason=reason) for reason in FAULTS}
        self._ratio = metrics.gauge(
            "context_api_cache_hit_ratio",
            "Share of questions answered by what was kept, since the start; as of the last look, every 10 s.",
            {"source": SOURCES},
        )
        self._bytes = metrics.gauge("context_api_cache_bytes", "Bytes of answers kept in this process.")
        self._evicted = metrics.gauge(
            "context_api_cache_evicted", "Answers that had to go for others, since the start."
        )
        self._add = {
            (source, outcome): asked.bind(source=source, outcome=outcome)
            for source in SOURCES
            for outcome in OUTCOMES
        }
        self.by_source = {source: dict.fromkeys(OUTCOMES, 0) for source in SOURCES}

    def question(self, source: str, outcome: str) -> None:
        self._add[source, outcome](1)
        self.by_source[source][outcome] += 1

    def fault(self, reason: str) -> None:
        self._fault[reason](1)

    def show(self, pages: Pages) -> None:
        for source, counted in self.by_source.items():
            self._ratio.set(hit_ratio(counted), source=source)
        self._bytes.set(pages.bytes)
        self._evicted.set(pages.evicted)


@asynccontextmanager
async def keeping(
    settings: Settings, ring: Callable[[], KeyRing | None], metrics: Metrics, identity: Callable[[], str]
) -> AsyncIterator[Keeping]:
    """The caches, until the service stops.

    Args:
        identity: what the evidence is of; empty while nobody can say.
    """
    counted = _Counted(metrics)
    link = connect(settings, on_fault=counted.fault)
    secret = secret_of(ring())
    if link is not None and secret is None:
        _log.warning("no keys file: what is kept in Redis is read by this process alone")
    key = secret or secrets.token_bytes(32)
    asked_of = told_apart(settings)
    room = settings.cache_max_bytes // 2  # one half for pages, one for what they are made of
    far: Far | None = None
    answers: Cache = MemoryCache(max_entries=settings.cache_max_entries, max_bytes=room)
    if link is not None:
        far = Far(_sealed(link, key, settings, counted, "pages"), RedisTurns(link, namespace=NAMESPACE))
        answers = _sealed(link, key, settings, counted, "answers")

    def observe(source: str, outcome: str) -> None:
        counted.question(source, outcome)
        if outcome in HITS:  # what was made has been counted where it was made
            kept.rate.asked += 1
            kept.rate.hits += 1

    def named() -> str:
        return f"{told}/{asked_of}" if (told := identity()) else ""

    pages = Pages(
        secret=key,
        identity=named,
        lifetimes=freshness_of(settings).lifetime,
        observe=observe,
        near_bytes=room,
        far=far,
        patience=Patience(
            near_for=settings.keep_near, others=settings.keep_wait, making=settings.answer_timeout
        ),
    )
    kept = Keeping(pages, answers, counted, link, secret is not None)
    try:
        yield kept
    finally:
        await pages.close()
        if link is not None:
            await link.close()


def _sealed(link: RedisLink, key: bytes, settings: Settings, counted: _Counted, name: str) -> Sealed:
    cache = RedisCache(link, namespace=f"{NAMESPACE}/{name}")
    return Sealed(cache, key, largest=settings.keep_largest, on_fault=counted.fault)


def secret_of(ring: KeyRing | None) -> bytes | None:
    """What replicas with the same keys file have in common and nobody else has; None without such a file."""
    if ring is None:
        return None
    return blake2b(ring.pepper, digest_size=32, person=b"kn-cache").digest()


def told_apart(settings: EvidenceSettings) -> str:
    """A digest of what shapes answers besides the evidence: processes that were set otherwise share nothing.

    Its name as well: a new setting counts from the day it is there. Secrets are left out, and so is how long one waits.
    """
    shape = {
        name: str(getattr(settings, name))
        for name in sorted(EvidenceSettings.model_fields)
        if name not in ("evidence_prometheus_token", "answer_timeout", "history_timeout", "most_waiting")
    }
    mutes = settings.finding_mutes
    text = repr((shape, mutes.read_bytes() if mutes is not None and mutes.is_file() else b""))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def freshness_of(settings: Settings) -> Freshness:
    return Freshness(
        ttl={
            EVIDENCE: settings.keep_evidence,
            "kubernetes": settings.keep_kubernetes,
            "metrics": settings.keep_metrics,
            "logs": settings.keep_logs,
            "action-history": settings.keep_action_history,
            "patterns": settings.keep_patterns,
        },
        fixed=settings.answer_ttl,
        gaps=settings.keep_evidence,
        partial=settings.keep_partial,
        stale=settings.keep_stale,
    )
