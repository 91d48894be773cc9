"""Two ways to get at the evidence: asking our tools in the order that their own words advise, and all of it at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from services.context_api.domain.listing import shown
from services.context_api.domain.metrics import MetricIndex
from services.context_api.domain.redact import redact
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.tools import INSTRUCTIONS, TOOLS, schema

Ask = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""A tool's answer as its caller reads it: the bytes of it, or why there is none."""

MOST_FACTS = 4
"""Cited facts of the first cause that are looked up one by one."""

MOST_LOGS = 2
TAIL = 100
"""Lines of each container's log that static enrichment puts into the prompt, as ours gives by default."""


def words_of_tools() -> str:
    """What a host puts before a model: the server's instructions and each tool with its arguments."""
    listed = [
        {"name": name, "description": tool.words, "input_schema": schema(tool.arguments)}
        for name, tool in TOOLS.items()
    ]
    return f"{INSTRUCTIONS}\n{json.dumps(listed, separators=(',', ':'))}"


async def causes_first(alert: Mapping[str, Any], ask: Ask) -> AsyncIterator[str]:
    """find_causes, the facts it cites, then all facts, logs and topology."""
    labels, onset = alert["labels"], alert["startsAt"]
    resolved = await ask("resolve_alert", {"labels": labels})
    yield resolved
    target = _target(resolved)
    if target is None:
        yield await ask("get_bundle", {"labels": labels})
        return
    causes = await ask("find_causes", {"target": target, "onset": onset})
    yield causes
    async for answer in _looked_up(causes, target, ask):
        yield answer


async def bundle_first(alert: Mapping[str, Any], ask: Ask) -> AsyncIterator[str]:
    """get_bundle with the alert's labels, the facts it cites, then all facts, logs and topology."""
    made = await ask("get_bundle", {"labels": alert["labels"]})
    yield made
    target = _target(made)
    if target is None:
        return
    async for answer in _looked_up(made, target, ask):
        yield answer


async def _looked_up(told: str, target: str, ask: Ask) -> AsyncIterator[str]:
    """What a reader asks next: facts, logs, topology."""
    answer = _read(told)
    causes = answer.get("ranked") or answer.get("causes") or []
    for fact in (causes[0].get("evidence_ids") or [])[:MOST_FACTS] if causes else []:
        yield await ask("get_evidence", {"id": fact})
    facts = await ask("get_evidence", {"target": target})
    yield facts
    for namespace, pod in list(_pods(facts))[:MOST_LOGS]:
        yield await ask("get_logs", {"namespace": namespace, "pod": pod})
    yield await ask("get_topology", {"target": target})


def _pods(facts: str) -> Iterator[tuple[str, str]]:
    """Pods that facts are about, as they come."""
    items = _read(facts).get("items") or []
    targets = [item.get("target") or {} for item in items]
    yield from dict.fromkeys(
        (one["namespace"], one["name"])
        for one in targets
        if one.get("kind") == "Pod" and one.get("namespace")
    )


def _target(told: str) -> str | None:
    """The object that an answer is about, the owner where it tells of one, as tools take it."""
    answer = _read(told)
    one = answer.get("owner") or answer.get("target")
    if not one:
        return None
    group = one["api_version"].rpartition("/")[0]
    kind = f"{one['kind']}.{group}" if group else one["kind"]
    return f"{kind}/{one.get('namespace') or '_cluster'}/{one['name']}"


def _read(told: str) -> dict[str, Any]:
    try:
        read = json.loads(told)
    except ValueError:
        return {}  # a tool's refusal is a sentence
    return read if isinstance(read, dict) else {}


def everything(snapshot: Snapshot, namespace: str | None) -> str:
    """All that is recorded of a namespace, or of the whole cluster, as lean as it can be written: objects without what
    only controllers read, each series in a line, the ends of logs."""

    def here(place: str | None) -> bool:
        return namespace is None or place == namespace

    objects = [one for one in (*snapshot.objects, *snapshot.events) if here(one.namespace)]
    series = [str(one) for one in MetricIndex(snapshot).all if here(one.labels.get("namespace"))]
    logs = [
        f"{log.namespace}/{log.pod} {log.container}{' (previous)' if log.previous else ''}:\n"
        + "\n".join(redact(line) for line in log.text.splitlines()[-TAIL:])
        for log in snapshot.logs
        if here(log.namespace)
    ]
    written = [json.dumps(shown(one), separators=(",", ":"), default=str) for one in objects]
    return "\n".join([*written, *series, *logs])
