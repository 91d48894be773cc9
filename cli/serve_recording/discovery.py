"""What an API server says about itself and its kinds: `/version`, `/api`, `/apis` and below. Pure.

kubectl asks for the aggregated form of `/api` and `/apis`; older clients get the older one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from cli.serve_recording.negotiation import Form
from cli.serve_recording.resources import Resource
from services.context_api.domain.kube import at, text
from services.context_api.domain.snapshot import KubeObject

Document = dict[str, Any]

VERBS = ("get", "list", "watch")

_KUBELET = re.compile(r"v([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,4})")


def version(nodes: Iterable[KubeObject]) -> Document:
    """The server's version is recorded nowhere; no kubelet is newer than its server, so the newest kubelet's is said.

    It carries `+recording`, so that nobody takes it for a living server's.
    """
    found = [
        tuple(map(int, match.groups()))
        for node in nodes
        if (match := _KUBELET.match(text(at(node.status, "nodeInfo", "kubeletVersion"))))
    ]
    major, minor, patch = max(found, default=(0, 0, 0))
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": f"v{major}.{minor}.{patch}+recording",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    }


def api_versions(resources: Sequence[Resource], address: str) -> Document:
    """`/api` in the older form."""
    return {
        "kind": "APIVersions",
        "versions": list(dict.fromkeys(one.version for one in resources if not one.group)),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(resources: Sequence[Resource]) -> Document:
    """`/apis` in the older form."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in _groups(resources).items() if name],
    }


def group(resources: Sequence[Resource], name: str) -> Document | None:
    """`/apis/GROUP`; None: no such group."""
    versions = _groups(resources).get(name) if name else None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def resource_list(resources: Sequence[Resource], group: str, version: str) -> Document | None:
    """`/api/v1`, `/apis/GROUP/VERSION`; None: no such version."""
    found = [one for one in resources if (one.group, one.version) == (group, version)]
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": [entry for one in found for entry in _entries(one)],
    }


def aggregated(resources: Sequence[Resource], form: Form, *, core: bool) -> Document:
    """`/api` (core) or `/apis` (the named groups), in one document."""
    apis = [one for one in resources if bool(one.group) is not core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{'v2' if form is Form.discovery else 'v2beta1'}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "creationTimestamp": None},
                "versions": [
                    {"version": word, "resources": list(map(_discovered, found)), "freshness": "Current"}
                    for word, found in versions.items()
                ],
            }
            for name, versions in _groups(apis).items()
        ],
    }


def _groups(resources: Sequence[Resource]) -> Mapping[str, Mapping[str, list[Resource]]]:
    """Group -> version -> its resources; the first version is the preferred one."""
    groups: dict[str, dict[str, list[Resource]]] = {}
    for name, members in groupby(resources, key=lambda one: one.group):
        versions = groups.setdefault(name, {})
        for one in members:
            versions.setdefault(one.version, []).append(one)
    return groups


def _group(name: str, versions: Mapping[str, object]) -> Document:
    words = [{"groupVersion": f"{name}/{word}", "version": word} for word in versions]
    return {"name": name, "versions": words, "preferredVersion": words[0]}


def _entries(one: Resource) -> Iterable[Document]:
    entry: Document = {
        "name": one.plural,
        "singularName": one.singular,
        "namespaced": one.namespaced,
        "kind": one.kind,
        "verbs": list(VERBS),
    }
    if one.short:
        entry["shortNames"] = list(one.short)
    if one.categories:
        entry["categories"] = list(one.categories)
    yield entry
    if has_logs(one):
        yield {
            "name": f"{one.plural}/log",
            "singularName": "",
            "namespaced": True,
            "kind": one.kind,
            "verbs": ["get"],
        }


def _discovered(one: Resource) -> Document:
    kind = {"group": one.group, "version": one.version, "kind": one.kind}
    return {
        "resource": one.plural,
        "responseKind": kind,
        "scope": "Namespaced" if one.namespaced else "Cluster",
        "singularResource": one.singular,
        "verbs": list(VERBS),
        **({"shortNames": list(one.short)} if one.short else {}),
        **({"categories": list(one.categories)} if one.categories else {}),
        **(
            {"subresources": [{"subresource": "log", "responseKind": kind, "verbs": ["get"]}]}
            if has_logs(one)
            else {}
        ),
    }


def has_logs(one: Resource) -> bool:
    return (one.group, one.kind) == ("", "Pod")
