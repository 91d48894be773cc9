"""Replay: conclude again from the evidence an investigation ended with, by another engine or in other words.

The evidence is frozen: all that triage and the model had been shown, cited or not. Triage is a function of its evidence, so its replay
is its own conclusion from then; a model is given that as its head start, as ever, and its tools show it nothing new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.auth.principal import Principal
from libs.contracts.evidence import EvidenceItem
from libs.contracts.replay import ReplayRequest
from services.holmesgpt_api.domain.commission import Commission
from services.holmesgpt_api.domain.errors import NothingToReplay, StillRunning, UnknownHere
from services.holmesgpt_api.domain.model import NAME as HOLMES
from services.holmesgpt_api.domain.model import NOT_ASKED, STILL_RUNNING
from services.holmesgpt_api.domain.opinion import fall_back
from services.holmesgpt_api.domain.record import Record, Replay
from services.holmesgpt_api.domain.triage import NAME as TRIAGE
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.domain.visibility import may_read_all_of

FROZEN_AT_MOST, FROZEN_BYTES = 1_000, 768 * 1024
"""Facts that a replay is given, and their bytes: they go to the engine in one piece, beside much else. A run that has seen
more has gone round in circles."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What replays can be made with here."""

    models: Sequence[str]
    """The first is asked where none is named; empty: no model is configured."""
    prompts: Sequence[str]
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """A replay ready to be recorded."""

    commission: Commission
    replay: Replay
    frozen: Verdict
    """Triage's verdict on the frozen evidence."""
    original: Verdict
    """What the replay's verdict is compared with."""
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """Of an ended investigation, beside its verdict."""

    triage: Verdict | None = None
    """Triage's verdict, where the record's own is a model's."""
    shown: Sequence[EvidenceItem] = ()
    """What the model's run had seen."""


class Replays(Protocol):
    """Where replays are recorded. Raises `StorageUnavailable` when the database does not serve."""

    async def kept(self, investigation_id: str, *, tenant: str, shown: bool) -> Kept:
        """`shown`: whether what the model had seen is wanted; it may be megabytes."""
        ...

    async def open(self, rerun: Rerun) -> Record:
        """Record it together with the job that will conduct it; committed when this returns.

        One whose key was used before for the same replay is not recorded again: the first one is returned.

        Raises:
            KeyReused: the key was used for something else, be it a replay or an investigation.
        """
        ...


def chosen(request: ReplayRequest, of: str, here: Configured) -> Replay:
    """What to replay it with.

    Raises:
        UnknownHere: the engine, model or prompt version is none of those configured.
    """
    engine = request.engine or (HOLMES if here.models else TRIAGE)
    if engine == TRIAGE:
        for name, given in (("model", request.model), ("prompt_version", request.prompt_version)):
            if given is not None:
                raise UnknownHere(name, given, ())
        return Replay(of=of, engine=engine)
    if not here.models:
        raise UnknownHere("engine", engine, (TRIAGE,))
    return Replay(
        of=of,
        engine=engine,
        model=_one_of("model", request.model, here.models),
        prompt=_one_of("prompt_version", request.prompt_version, here.prompts),
    )


def wants_all(record: Record, caller: Principal, replay: Replay) -> bool:
    """Whether the replay is given what the verdict does not cite. That may lie where only the first asker may read."""
    return replay.engine == HOLMES and record.ended and may_read_all_of(caller, record.reads)


def _one_of(name: str, given: str | None, known: Sequence[str]) -> str:
    if given is not None and given not in known:
        raise UnknownHere(name, given, known)
    return given or known[0]


def digest(of: str, request: ReplayRequest) -> bytes:
    """Equal for replays of the same investigation that ask the same, and never that of an investigation.

    As asked, and not as chosen: what is left out may be chosen otherwise when the request is sent again.
    """
    asked = json.dumps(["replay", of, request.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).digest()


def rerun(
    record: Record,
    kept: Kept,
    caller: Principal,
    request: ReplayRequest,
    replay: Replay,
    here: Configured,
    key: str | None = None,
) -> Rerun:
    """The replay of an ended investigation for a caller who may see it.

    Args:
        replay: what is `chosen` for the request.
        key: under which the caller gets it again when the request is sent once more.

    Raises:
        StillRunning: its verdict is not there yet.
        NothingToReplay: it ended without one, or nothing is kept of what triage concluded.
    """
    if not record.ended:
        raise StillRunning(record.id)
    verdict = record.verdict
    triage = verdict if verdict is not None and verdict.engine == TRIAGE else kept.triage
    if verdict is None or triage is None:
        raise NothingToReplay(record.id, record.status.value)
    shown = kept.shown if wants_all(record, caller, replay) else ()
    return Rerun(
        commission=Commission(
            tenant=caller.tenant,
            asker=caller.name,
            reads=caller.namespaces,
            request=record.request,
            priority=record.priority,
            namespace=record.namespace,
            digest=digest(record.id, request),
            idempotency_key=key,
        ),
        replay=replay,
        frozen=_frozen(triage, verdict, shown, replay, here),
        original=without_evidence(verdict),
        seen=tuple(record.seen),
    )


def _frozen(
    triage: Verdict, verdict: Verdict, shown: Sequence[EvidenceItem], replay: Replay, here: Configured
) -> Verdict:
    cited = _each_once((*triage.results.evidence, *verdict.results.evidence))
    evidence = _within(_each_once((*cited, *shown)), always=len(cited)) if shown else cited
    results = triage.results.model_copy(update={"evidence": evidence})
    frozen = triage.model_copy(update={"results": results})
    if replay.engine == HOLMES:
        return fall_back(frozen, STILL_RUNNING, "")
    return fall_back(frozen, NOT_ASKED if here.models else NO_MODEL, "the replay is by triage")


def _each_once(items: Iterable[EvidenceItem]) -> list[EvidenceItem]:
    found: dict[str, EvidenceItem] = {}
    for item in items:
        found.setdefault(item.id, item)
    return list(found.values())


def _within(items: Sequence[EvidenceItem], *, always: int) -> list[EvidenceItem]:
    """Those that are cited, and of the others as many as there is room for; one that is too large keeps no other out."""
    kept, room = list(items[:always]), FROZEN_BYTES
    for item in items[:always]:
        room -= len(item.model_dump_json())
    for item in items[always:]:
        size = len(item.model_dump_json())
        if size <= room and len(kept) < FROZEN_AT_MOST:
            kept.append(item)
            room -= size
    return kept


def without_evidence(verdict: Verdict) -> Verdict:
    """Enough to be compared with; evidence is nearly all of a verdict's size."""
    return verdict.model_copy(update={"results": verdict.results.model_copy(update={"evidence": []})})
