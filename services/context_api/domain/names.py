"""Reads host names out of text and finds the Service, pod or node they mean.

Decides what a name means by the rules of cluster DNS; whether the thing it names works is not asked.
A bare word counts as a host only where the text says so (a URL, `host:port`, "lookup db on …"):
many workloads are called `web` or `api`.

Rests on: kubernetes.io/docs, "DNS for Services and Pods".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from services.context_api.domain.kube import entries, is_native, number, strings, text
from services.context_api.domain.snapshot import KubeObject, Snapshot, once

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}"
_URL = re.compile(
    rf"\b[a-z][a-z0-9+.-]{{1,15}}://(?:[^\s/@\"']{{0,256}}@)?({_HOST})(?::(\d{{1,5}}))?(?![\w.-])", re.ASCII
)
_HOST_PORT = re.compile(rf"(?<![\w./@:-])({_HOST}):(\d{{2,5}})(?![\w.-])", re.ASCII)
_FQDN = re.compile(
    rf"(?<![\w.-])({_LABEL}(?:\.{_LABEL}){{1,3}}\.svc(?:\.{_LABEL}){{0,4}})(?![\w-])", re.ASCII
)
_SAID = re.compile(
    rf"(?:\blookup|\bhost(?: ?name)?|\bserver(?: at)?|ENOTFOUND|EAI_AGAIN|UnknownHostException:|\bresolve|"
    rf"\bconnect(?:ing|ion)? to|\bupstream|\bNo address associated with|getaddrinfo)[\s:=]{{0,3}}"
    rf"(?:host(?:name)? |server )?[\"'`(]?({_HOST})[\"'`)]?(?:[:,]? ?(?:port )?(\d{{2,5}}))?(?![\w.-])",
    re.ASCII,
)
_IP = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?![\w.])", re.ASCII)
_WHOLE = re.compile(rf"^({_HOST})(?::(\d{{1,5}}))?$", re.ASCII)
_ASSIGNED = re.compile(
    rf"(?:host|hosts|server|servers|addr|address|endpoint|endpoints|upstream|broker|brokers|url|uri|bootstrap[._-]servers)"
    rf"[\"']?\s{{0,4}}[:= ]\s{{0,4}}[\"']?({_HOST})(?::(\d{{1,5}}))?(?=[\s,;\"'/]|$)",
    re.ASCII | re.IGNORECASE,
)
_HOSTLIKE_KEY = re.compile(
    r"host|addr|url|uri|endpoint|server|service|broker|upstream|backend|target|proxy|dsn|connection|bootstrap|nodes|peer|master|primary|replica",
    re.IGNORECASE,
)
_RESOLVED = re.compile(
    rf"(?<![\w./-])({_HOST})/(?:\d{{1,3}}\.){{3}}\d{{1,3}}:(\d{{1,5}})(?!\d)", re.ASCII | re.IGNORECASE
)
"""How Java prints an address: the name, and what it resolved to: `db.shop/10.96.0.7:5432`."""

_SOURCE = re.compile(r"^[\w-]+\.(?:go|py|java|rb|js|ts|cpp|kt|php|scala|ex|erl|cs)$")
"""A file of a program: `collector.go:196` tells where a line was written and no host."""

_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Host:
    """A host named somewhere, with its port when one was given."""

    name: str
    port: int | None


def hosts_in(words: str, *, key: str = "", spoken: bool = False) -> Iterator[Host]:
    """Hosts a text names.

    Args:
        words: a setting's value, a file, or log lines.
        key: the setting's name; `DB_HOST=db` names a host, `APP_NAME=db` none.
        spoken: the text is prose (a log): words after "lookup", "host" … count too.
    """
    words = words[:_LONGEST]
    seen: set[tuple[str, int | None]] = set()
    whole = _WHOLE.match(words.strip())
    patterns = [_URL, _FQDN, _HOST_PORT, _IP]
    if spoken:
        patterns += [_RESOLVED, _SAID]
    elif whole is None:
        patterns.append(_ASSIGNED)
    elif _HOSTLIKE_KEY.search(key):
        patterns.append(_WHOLE)
        words = words.strip()
    for pattern in patterns:
        for found in pattern.finditer(words):
            port = number(found[2]) if pattern.groups > 1 and found[2] else None
            host = (found[1].lower(), port)
            if spoken and port is not None and _SOURCE.match(host[0]):
                continue
            if host not in seen and not host[0].isdigit():  # `13:40` is a time of day
                seen.add(host)
                yield Host(*host)


class NameIndex:
    """Services by name and address, pods by address."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._services: dict[tuple[str, str], KubeObject] = {}
        self._addresses: dict[str, KubeObject] = {}
        self.namespaces: set[str] = {o.namespace for o in snapshot.objects if o.namespace}
        for pod in snapshot.of_kind("Pod"):
            for address in addresses_of(pod):
                self._addresses[address] = pod
        for service in filter(is_native, snapshot.of_kind("Service")):
            self._services[service.namespace or "", service.name] = service
            for address in _of_service(service):
                self._addresses[address] = service

    def find(self, host: str, namespace: str | None) -> KubeObject | None:
        """The Service (or pod, for an address) that `host` means when asked from `namespace`."""
        if host in self._addresses:
            return self._addresses[host]
        place = self.place(host, namespace)
        return self._services.get(place) if place else None

    def place(self, host: str, namespace: str | None) -> tuple[str, str] | None:
        """(namespace, service) a cluster name means, whether or not such a Service exists; None for others."""
        labels = host.rstrip(".").split(".")
        if "svc" in labels[2:]:
            before = labels[: labels.index("svc", 2)]
            return before[-1], before[-2]
        if len(labels) == 1:
            return (namespace or "", labels[0])
        if len(labels) in (2, 3) and labels[-1] in self.namespaces:
            return labels[-1], labels[-2]
        if len(labels) == 2 and (namespace or "", labels[1]) in self._services:
            return namespace or "", labels[1]  # pod-0.headless-service, short form
        return None

    def service(self, namespace: str, name: str) -> KubeObject | None:
        return self._services.get((namespace, name))

    @cached_property
    def _by_name(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for (_, name), found in sorted(self._services.items()):
            index.setdefault(name, []).append(found)
        return index

    @cached_property
    def _by_namespace(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for (namespace, _), found in sorted(self._services.items()):
            index.setdefault(namespace, []).append(found)
        return index

    def has_services(self, namespace: str) -> bool:
        """Whether any Service of that namespace was recorded."""
        return namespace in self._by_namespace

    def similar(self, namespace: str, name: str) -> KubeObject | None:
        """A Service one could have meant: same name elsewhere, or one spelled alike here."""
        elsewhere = [s for s in self._by_name.get(name, []) if s.namespace != namespace]
        if elsewhere:
            return elsewhere[0]
        return next((s for s in self._by_namespace.get(namespace, []) if resembles(s.name, name)), None)


def resembles(one: str, other: str) -> bool:
    """Whether two names are spelled alike: case and separators apart, or by a few letters."""
    a, b = (re.sub(r"[-_.]", "", name.lower()) for name in (one, other))
    if a == b or (min(len(a), len(b)) >= 4 and (a.startswith(b) or b.startswith(a))):
        return True
    if abs(len(a) - len(b)) > 3 or min(len(a), len(b)) < 4:
        return False
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.8


@once
def addresses_of(pod: KubeObject) -> frozenset[str]:
    """Addresses that are its own, and not its node's."""
    if pod.spec.get("hostNetwork") is True:
        return frozenset()
    listed = (text(entry.get("ip")) for entry in entries(pod.status.get("podIPs")))
    return frozenset({text(pod.status.get("podIP")), *listed} - {""})


@once
def _of_service(service: KubeObject) -> frozenset[str]:
    listed = strings(service.spec.get("clusterIPs"))
    return frozenset({text(service.spec.get("clusterIP")), *listed} - {"", "None"})
