"""Which kinds of objects a cluster has and lists, custom ones among them.

Decides what is left out: what says the same twice, what is computed on every list, and what is no object.
Each resource is listed in one version: the first in the server's order of preference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.context_api.adapters.live.api import JSON, KubeApi
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.domain.kube import entries, mapping, strings, text
from services.context_api.domain.snapshot import NotRead

AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
"""All groups in two answers, from Kubernetes 1.30 on; an older server answers in the older shape."""

LEFT_OUT_GROUPS = frozenset(
    {
        "metrics.k8s.io",  # usage of this second; Prometheus is asked for usage
        "custom.metrics.k8s.io",
        "external.metrics.k8s.io",
        "authorization.openshift.io",  # the roles of rbac.authorization.k8s.io once more
        "packages.operators.coreos.com",  # the whole operator catalogue, computed on every list
    }
)
LEFT_OUT = frozenset(
    {
        ("", "componentstatuses"),  # deprecated, and probes on every list
        ("events.k8s.io", "events"),  # the same objects as core events
        ("project.openshift.io", "projects"),  # the namespaces once more
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """One kind of object, in the version it is listed in."""

    group: str
    plural: str
    version: str
    kind: str
    namespaced: bool
    watchable: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None) -> str:
        """Where it is listed; of all namespaces without one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class Discovered:
    resources: Sequence[Resource]
    gaps: Sequence[NotRead] = ()
    date: datetime | None = None
    """The server's clock when it answered."""
    unanswered: frozenset[str] = frozenset()
    """Groups of which nothing, or not everything, is known now: what they have is still there."""


async def discover(api: KubeApi) -> Discovered:
    """Ask for everything that can be listed.

    Raises:
        ApiFailure: the server did not answer; one group that does not is named instead.
    """
    answers = await asyncio.gather(*(api.get(root, accept=AGGREGATED) for root in ("/api", "/apis")))
    resources: list[Resource] = []
    gaps: list[NotRead] = []
    unanswered: set[str] = set()
    for root, answer in zip(("/api", "/apis"), answers, strict=True):
        document = await asyncio.to_thread(_document, answer.body)
        if document.get("kind") == "APIGroupDiscoveryList":
            found, stale = aggregated(document)
        else:
            found, stale = await _by_version(api, root, document)
        resources += found
        for group, version, why in stale:
            gaps.append(NotRead(f"API {group}/{version}" if group else f"API {version}", why))
            unanswered.add(group)
    return Discovered(tuple(chosen(resources)), tuple(gaps), answers[-1].date, frozenset(unanswered))


Unanswered = tuple[str, str, str]
"""A group, a version, and why nothing is known of them."""


def aggregated(document: object) -> tuple[list[Resource], list[Unanswered]]:
    """The resources of an APIGroupDiscoveryList, and the groups whose own server does not answer."""
    found: list[Resource] = []
    gaps: list[Unanswered] = []
    for group in entries(mapping(document).get("items")):
        name = text(mapping(group.get("metadata")).get("name"))
        for version in entries(group.get("versions")):
            word = text(version.get("version"))
            if version.get("freshness") == "Stale":
                gaps.append((name, word, "its own server does not answer; what it lists may be missing"))
            for raw in entries(version.get("resources")):
                kind = text(mapping(raw.get("responseKind")).get("kind"))
                verbs = strings(raw.get("verbs"))
                if "list" in verbs and kind:
                    namespaced, plural = raw.get("scope") == "Namespaced", text(raw.get("resource"))
                    found.append(Resource(name, plural, word, kind, namespaced, "watch" in verbs))
    return found, gaps


def of_version(document: object, group: str, version: str) -> Iterator[Resource]:
    """The resources of an APIResourceList; a `/` in the name is a subresource."""
    for raw in entries(mapping(document).get("resources")):
        plural, kind = text(raw.get("name")), text(raw.get("kind"))
        verbs = strings(raw.get("verbs"))
        if plural and kind and "/" not in plural and "list" in verbs:
            yield Resource(group, plural, version, kind, raw.get("namespaced") is True, "watch" in verbs)


def versions_of(document: object) -> list[tuple[str, str]]:
    """(group, version) in the server's order of preference, of an APIVersions or APIGroupList."""
    body = mapping(document)
    found = [("", version) for version in strings(body.get("versions"))]
    for group in entries(body.get("groups")):
        name = text(group.get("name"))
        preferred = text(mapping(group.get("preferredVersion")).get("version"))
        words = [text(version.get("version")) for version in entries(group.get("versions"))]
        found += [(name, word) for word in sorted(words, key=lambda word: word != preferred)]
    return found


def chosen(resources: Iterable[Resource]) -> Iterator[Resource]:
    """Each resource once, in its first version, without those that are left out."""
    told: set[tuple[str, str]] = set()
    for one in resources:
        key = (one.group, one.plural)
        if key not in told and key not in LEFT_OUT and one.group not in LEFT_OUT_GROUPS:
            told.add(key)
            yield one


async def _by_version(api: KubeApi, root: str, document: object) -> tuple[list[Resource], list[Unanswered]]:
    """The older way: one question for each group and version."""
    asked = [(g, v) for g, v in versions_of(document) if g not in LEFT_OUT_GROUPS]

    async def one(group: str, version: str) -> list[Resource] | Unanswered:
        try:
            answer = await api.get(f"{root}/{group}/{version}" if group else f"{root}/{version}")
            return list(of_version(_document(answer.body), group, version))
        except ApiFailure as failure:
            if failure.why is Why.unauthorized:
                raise
            return (group, version, failure.reason)

    answers = await asyncio.gather(*(one(group, version) for group, version in asked))
    found = [resource for answer in answers if isinstance(answer, list) for resource in answer]
    return found, [answer for answer in answers if isinstance(answer, tuple)]


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(Why.broken, "the list of APIs is no JSON") from error
    if not isinstance(document, dict):
        raise ApiFailure(Why.broken, "the list of APIs is no JSON object")
    return document
