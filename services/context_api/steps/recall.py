"""Tell what an alert was in the past and is now, within two seconds: what is not there in time is named, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import orjson

from libs.auth.principal import Principal
from libs.contracts.alerts import AlertEpisode, EpisodeState
from libs.contracts.bundle import BundleRequest, Recalled, SimilarEpisode
from services.context_api.domain import history
from services.context_api.domain.errors import Busy, TooLate, UnknownAlert
from services.context_api.domain.history import Past
from services.context_api.domain.similar import Alike, alike
from services.context_api.domain.tools import GetContext
from services.context_api.steps.bundles import Asked, Bundles

WITHIN = timedelta(seconds=2)
"""For everything together: a model waits for it between two thoughts, and has other questions to ask instead."""

MOST_SIMILAR = 20
"""Episodes told. Older ones of the same kind say the same."""


class Archive(Protocol):
    """Where an alert is looked up by its fingerprint. Raises NoArchive where it cannot be."""

    async def latest(
        self, fingerprint: str, caller: Principal, left: timedelta | None
    ) -> AlertEpisode | None: ...


@dataclass(frozen=True, slots=True)
class _Remembered:
    past: Past
    compared: int
    similar: Sequence[Alike]


class Recall:
    """Takes the questions. One per process."""

    def __init__(self, bundles: Bundles, archive: Archive) -> None:
        self._bundles, self._archive = bundles, archive

    async def context(self, asked: GetContext, caller: Principal, left: timedelta | None) -> bytes:
        """A `Recalled`, as JSON.

        Raises:
            UnknownAlert, NoArchive: the fingerprint could not be turned into labels.
            ContextError: as for a bundle; but one that does not come in time is left out and named.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + (WITHIN if left is None else min(WITHIN, left)).total_seconds()

        def remaining() -> timedelta:
            return timedelta(seconds=max(0.0, ends - clock()))

        labels = asked.labels or await self._labels(asked.alert_fingerprint or "", caller, remaining())
        request = BundleRequest.model_validate(
            {"alert": {"labels": labels}, "sources": list(dict.fromkeys(asked.context_types)) or None}
        )
        seen, found = await self._bundles.looked_up(request, caller, remaining())
        remembered = await self._remembered(found, labels, asked.similarity_threshold, caller, remaining())
        missing = [remembered.past.missing] if remembered.past.missing else []
        try:
            made = await self._bundles.packed(request, seen, found, remembered.past, remaining())
        except (TooLate, Busy) as late:
            made, missing = b"null", [*missing, f"the current evidence: {late}"]
        return _written(asked, found, remembered, made, missing)

    async def _labels(self, fingerprint: str, caller: Principal, left: timedelta) -> dict[str, str]:
        episode = await self._archive.latest(fingerprint, caller, left)
        if episode is None:
            raise UnknownAlert(fingerprint)
        return {**episode.labels, "alertname": episode.alertname}

    async def _remembered(
        self, found: Asked, labels: dict[str, str], at_least: float, caller: Principal, left: timedelta
    ) -> _Remembered:
        if not found.alertname:
            return _Remembered(Past(missing="earlier episodes: the labels hold no alertname"), 0, ())
        past = await self._bundles.past(found.alertname, found.place, caller, left)
        ended = [one for one in past.episodes if one.state is not EpisodeState.firing]
        return _Remembered(past, len(ended), alike(labels, found.target, ended, at_least=at_least))


def _written(
    asked: GetContext, found: Asked, remembered: _Remembered, bundle: bytes, missing: list[str]
) -> bytes:
    told = {one.id: one for one in history.told(remembered.past)}
    similar = [
        SimilarEpisode(
            **told[one.episode.id].model_dump(),
            similarity=one.similarity,
            why=one.why,
        )
        for one in remembered.similar[:MOST_SIMILAR]
    ]
    recalled = Recalled(
        alertname=found.alertname,
        fingerprint=asked.alert_fingerprint or "",
        target=found.target,
        resolved_by=found.resolved_by,
        similarity_threshold=asked.similarity_threshold,
        similar=similar,
        compared=remembered.compared,
        endings=history.endings([one.episode for one in remembered.similar]),
        bundle=None,
        missing=missing,
    )
    # The bundle goes in as it was made: parsed and written again it would cost as much as making it.
    return orjson.dumps({**recalled.model_dump(mode="json"), "bundle": orjson.Fragment(bundle)})
