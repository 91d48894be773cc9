"""One incident both ways, until all that is needed is in view."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from libs.auth.permissions import Role
from libs.auth.principal import principal_for
from libs.cache import MemoryCache
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.errors import ContextError
from services.context_api.domain.history import Past
from services.context_api.domain.ports import Connectivity, SourceState
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.tools import ToolError
from services.context_api.routes.problems import PROBLEMS
from services.context_api.steps.answers import Answers
from services.context_api.steps.ask import UNNAMED, Desk
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.recall import Recall
from services.context_api.steps.toolbox import Toolbox
from tests.asking.reader import READ_PER_S, STEP_S, Need, Reader
from tests.asking.ways import Ask, bundle_first, causes_first, everything, words_of_tools
from tests.incidents.corpus import Entry
from tests.incidents.incident import Half
from tests.incidents.play import filled, names_of
from tests.support import kube
from tests.support.recordings import workload

STATIC = "everything at once"
WAYS: Mapping[str, Callable[[Mapping[str, Any], Ask], AsyncIterator[str]]] = {
    "causes first": causes_first,
    "bundle first": bundle_first,
}

LONG = timedelta(seconds=300)

CROWD = 30
"""Healthy workloads put beside the incident for the second measure: a namespace of a middling team has 330 objects
more than one that was made for a test."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one way took."""

    in_view: bool
    """All that is needed, when the way was at its end."""
    steps: int
    read: int
    """Tokens of all prompts together."""
    size: int
    """Tokens of the last prompt, the largest."""
    seconds: float
    """Of the model's stand-in."""
    asked_s: float = 0.0
    """Processor time of the tools that were asked."""
    missing: Sequence[str] = ()
    wider: bool = False
    """Static enrichment that needed more than the alert's namespace."""

    def at(self, read_per_s: float) -> float:
        """The stand-in's seconds, were it to read so many tokens a second."""
        return self.steps * STEP_S + self.read / read_per_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """One incident."""

    name: str
    half: Half
    taken: Mapping[str, Taken]
    crowd: int = 0
    """Healthy workloads in the same namespace."""

    def saved(self, way: str, read_per_s: float = READ_PER_S) -> float:
        """Share of the stand-in's time that this way saves over everything at once; below 0 where it costs more."""
        return 1 - self.taken[way].at(read_per_s) / self.taken[STATIC].at(read_per_s)

    def tokens_saved(self, way: str) -> float:
        return 1 - self.taken[way].read / self.taken[STATIC].read


class NoPast:
    """There is no archive beside a recording."""

    async def past(self, alertname: str, namespace: str | None, caller: Any, left: Any) -> Past:
        return Past(missing="the alerts service: not asked here")

    async def latest(self, fingerprint: str, caller: Any, left: Any) -> None:
        return None


def need_of(entry: Entry) -> Need:
    """The object at fault, and the facts that a person would state of it."""
    pods = names_of(entry.recording)
    return Need([filled(text, pods) for text in entry.incident.causes], entry.incident.says)


class Still:
    """A snapshot as an evidence source; fulfils `domain.ports.EvidenceSource`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def snapshot(self, deadline: timedelta) -> Snapshot:
        return self._snapshot

    async def probe(self, deadline: timedelta) -> None:
        return None

    @property
    def state(self) -> SourceState:
        return SourceState(Connectivity.healthy, "a snapshot", serves=True)


def crowded(snapshot: Snapshot, namespace: str, crowd: int) -> Snapshot:
    """The snapshot with that many healthy workloads more in a namespace."""
    made = [
        kube.kube(doc)
        for number in range(crowd)
        for doc in workload(namespace, f"web-{number}", broken=False)
    ]
    return replace(
        snapshot,
        objects=(*snapshot.objects, *(one for one in made if one.kind != "Event")),
        events=(*snapshot.events, *(one for one in made if one.kind == "Event")),
        id=f"{snapshot.id}+{crowd}",
    )


async def outcome(entry: Entry, crowd: int = 0) -> Outcome:
    """Both ways. The incident names a cause."""
    alert = json.loads((entry.recording / "alert.json").read_text("utf-8"))["alerts"][0]
    question = json.dumps({"labels": alert["labels"], "startsAt": alert["startsAt"]}, separators=(",", ":"))
    need, namespace = need_of(entry), alert["labels"].get("namespace")
    snapshot = crowded(load_recording(entry.recording), namespace or "default", crowd)
    taken = {STATIC: at_once(need, question, snapshot, namespace)}
    for name, way in WAYS.items():
        taken[name] = await step_by_step(need, question, alert, Still(snapshot), way)
    return Outcome(entry.name, entry.incident.half, taken, crowd)


def at_once(need: Need, question: str, snapshot: Snapshot, namespace: str | None) -> Taken:
    """The namespace's evidence in the prompt; where that is not enough, the whole cluster's instead.

    Objects as they are hold no conclusions ("does not exist"). Our tools have to state those; here they are left to the
    reader, who is only kept waiting for what stands somewhere.
    """
    reader = Reader(need.held_by(everything(snapshot, None)), question)
    reader.add(everything(snapshot, namespace))
    reader.think()
    wider = not reader.done and namespace is not None
    if wider:
        reader.prompt, reader.evidence = question, ""
        reader.add(everything(snapshot, None))
        reader.think()
    return _taken(reader, wider=wider)


async def step_by_step(
    need: Need,
    question: str,
    alert: Mapping[str, Any],
    source: Still,
    way: Callable[[Mapping[str, Any], Ask], AsyncIterator[str]],
) -> Taken:
    """The model thinks, asks a tool, reads the answer, until all is in view; the last thought is the verdict."""
    reader, asked_s = Reader(need, f"{words_of_tools()}\n{question}"), 0.0
    reader.think()
    async with _Tools(source) as ask:
        began = time.process_time()
        async for answer in way(alert, ask):
            asked_s += time.process_time() - began
            reader.add(answer)
            reader.think()
            if reader.done:
                break
            began = time.process_time()
    return _taken(reader, asked_s=asked_s)


def _taken(reader: Reader, *, asked_s: float = 0.0, wider: bool = False) -> Taken:
    return Taken(
        reader.done,
        reader.steps,
        reader.read,
        reader.size,
        reader.seconds,
        asked_s,
        tuple(reader.missing),
        wider,
    )


class _Tools:
    """The tools over one recording, with a cache that knows nothing yet, for somebody who may read everything."""

    def __init__(self, source: Still) -> None:
        cache = MemoryCache(max_entries=10_000, max_bytes=64 * 2**20)
        self._answers = Answers(cache, most_waiting=64, observe=lambda _: None)
        desk = Desk(source, self._answers, cluster=UNNAMED, limit=LONG, ttl=LONG)
        bundles = Bundles(desk, NoPast())
        self._box = Toolbox(desk, bundles, Recall(bundles, NoPast()))
        self._caller = principal_for(
            "somebody", tenant="default", roles=[Role.viewer], namespaces=["*"], method="token", credential=""
        )

    async def __aenter__(self) -> Ask:
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        await self._answers.close()

    async def _ask(self, name: str, given: Mapping[str, Any]) -> str:
        try:
            return (await self._box.call(name, given, self._caller, None)).decode()
        except ToolError as error:
            return f"{error.code}: {error}"
        except ContextError as error:
            return f"{PROBLEMS[type(error)].code}: {error}"


def outcomes(entries: Sequence[Entry], crowd: int = 0) -> list[Outcome]:
    """Of all that name a cause: where nothing is wrong there is nothing to have in view."""

    async def every() -> list[Outcome]:
        return [await outcome(entry, crowd) for entry in entries if entry.incident.causes]

    return asyncio.run(every())
