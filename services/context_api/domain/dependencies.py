"""Which Services a workload depends on: by its settings, and by what its logs complain about.

Decides which names in environment, arguments, mounted ConfigMaps and log lines mean a Service of this
cluster, and what kind of trouble a log line speaks of. Whether the Service works is not asked here.
A log line can point at a dependency; it can never make one faulty. A setting that is read out (`timeout=30s`) and a
certificate that was renewed are no trouble.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from services.context_api.domain.carriers import carriers
from services.context_api.domain.containers import is_ready
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import containers, entries, number, pod_spec, strings, text
from services.context_api.domain.log_levels import answered, is_news, of_the_server
from services.context_api.domain.logs import (
    LONGEST,
    Line,
    ends,
    is_narrative,
    last_lines,
    quote,
    readable,
    shape_of,
    timed_lines,
    weigh,
)
from services.context_api.domain.names import Host, hosts_in
from services.context_api.domain.observation import Blame
from services.context_api.domain.redact import redact
from services.context_api.domain.snapshot import ContainerLog, KubeObject
from services.context_api.domain.still_said import Over, over_in
from services.context_api.domain.uses import values_of

PODS_READ = 6
"""Pods of one workload whose logs are read, unready ones first: replicas tell the same story."""

Trouble = Literal["dns", "refused", "auth", "tls", "timeout", "http", "other", "full"]

_WORDS: dict[Trouble, str] = {
    "dns": r"no such host|ENOTFOUND|EAI_AGAIN|name or service not known|could not translate host|name resolution|"
    r"unknown ?host|server misbehaving|nodename nor servname|could not resolve|unknown (?:mysql )?server host|"
    r"nxdomain|host not found|getaddrinfo|name does not resolve",
    "refused": r"connection refused|ECONNREFUSED|connect refused|actively refused",
    "auth": r"password authentication failed|access denied for user|authentication failed|WRONGPASS|NOAUTH|"
    r"invalid credentials|login failed|SASL.{0,60}(?:fail|error|invalid|denied|refused|unknown|unsupported|not supported)|(?:fail|error|invalid|denied).{0,60}SASL|RBAC: access denied|\b40[13]\b(?! ?(?:[mun]?s|bytes)\b)|unauthorized|not authorized|bad credentials",
    "tls": r"x509|certificate|tls handshake|ssl ?(?:error|handshake|routines)|handshake failure|\bPKIX\b",
    "timeout": r"timed? ?out|timeout|ETIMEDOUT|deadline exceeded|\bno (?:answer|response|reply)\b|"
    r"(?:did not|does not|didn't|doesn't|not) (?:answer|respond|reply)(?:ing)?\b",
    "http": r"\b50[234]\b(?! ?(?:[mun]?s|bytes)\b)|status(?: ?code)?[=: ]{1,2}5\d\d\b|bad gateway|service unavailable|no healthy upstream|"
    r"gateway time|internal server error|too many requests|status(?: ?code)?[=: ]{1,2}429\b",
    "other": r"could not connect|unable to connect|failed to connect|can ?not connect|can't connect|connect(?:ion)? "
    r"(?:error|failed|reset|closed|lost)|unreachable|no route to host|EHOSTUNREACH|ECONNRESET|broken pipe|"
    r"lost connection|connection to .{1,80} failed|no (?:brokers|servers|nodes) available|not reachable",
    "full": r"too many (?:clients|connections)\b|remaining connection slots|max(?:imum)? number of clients reached|"
    r"no more connections allowed|command not allowed when used memory|\bquota exceeded|exceeded .{0,20}quota|"
    r"rate limit exceeded|resource_?exhausted",
}
_SETTLED = re.compile(
    r"time-?out(?:[_ -]?(?:ms|s|secs?|seconds|millis))?[\"']?(?:\s?[=:]\s?| set to )[\"']?\d[\d.]*\s?(?:ms|s|m|h)?\b(?!.{0,16}exceeded)|"
    r"\b(?:renewed|reloaded|loaded|issued|rotated|obtained) (?:the |a )?(?:\w+ )?certificates?\b|"
    r"\bcertificates? (?:(?!not |never |no |cannot |could |fail)[\w./`\"'-]+ ){0,4}?(?:renewed|reloaded|loaded|issued|rotated|obtained)\b",
    re.IGNORECASE,
)
"""Words of trouble where nothing is wrong: a setting that is read out, a certificate that was renewed."""

_STILL_WRONG = re.compile(
    r"\b(?:errors?|exceptions?|fail(?:ed|s|ing|ures?)?|cannot|can't|could not|unable|expired|fatal|panic)\b",
    re.IGNORECASE,
)
"""Words beside which a setting that is read out, or one certificate of several, settles nothing."""

_TROUBLES = {trouble: re.compile(words, re.IGNORECASE) for trouble, words in _WORDS.items()}
_CALLED = re.compile(
    r"\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|Get|Post|Put|Patch|Delete|Head)\b[^a-z]{0,6}https?://"
)
"""A call as clients write it; a URL alone may be a setting that is read out."""

_SPEAKS: tuple[tuple[frozenset[int], re.Pattern[str]], ...] = (
    (
        frozenset({5432, 6432}),
        re.compile(r"\bSQLSTATE\b|\bpq: |psycopg|PSQLException|asyncpg|\bpgx\b|Npgsql|\bPG::"),
    ),
    (frozenset({3306}), re.compile(r"\bmysql|\bError 1\d{3}\b|Lock wait timeout exceeded", re.IGNORECASE)),
    (frozenset({6379}), re.compile(r"\bredis|WRONGPASS|NOAUTH|used memory > 'maxmemory'", re.IGNORECASE)),
    (frozenset({27017}), re.compile(r"\bmongo", re.IGNORECASE)),
    (frozenset({5672}), re.compile(r"\bamqp|rabbit", re.IGNORECASE)),
    (frozenset({9092}), re.compile(r"\bkafka", re.IGNORECASE)),
)
"""How clients speak of servers that they do not name, by the port on which such a server usually listens."""

_SPOKEN = re.compile(
    "|".join(f"(?{'i' if words.flags & re.IGNORECASE else ''}:{words.pattern})" for _, words in _SPEAKS)
)
"""Any of these: most lines speak of no server."""

_OWN_FAULT = re.compile(
    r"syntax error|syntax for|violates|duplicate|invalid input|null value|out of range|division by zero|cannot be null|"
    r"doesn't have a default|data too long|wrong number of arguments|wrong type|undefined ?(?:table|column|function)|"
    r"(?:relation|table|column|function|type|operator)\b.{0,120} does(?: not|n't) exist|no such (?:table|column)|unknown column",
    re.IGNORECASE,
)
"""Answers of a server to what its client asked wrongly: no complaint about the server."""

_ON_THE_WAY: tuple[Trouble, ...] = ("refused", "timeout", "other")
"""Trouble of calls whose packets go astray. A line may tell the caller's own status beside it (`status=502`)."""

ASTRAY = 0.75
"""How surely those who carry calls are why, where several Services with ready pods are not reached. A guess: less than a
line that names one Service weighs."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0"})  # noqa: S104 - read in text, nothing is bound

_DNS_SERVICES = (("kube-system", "kube-dns"), ("kube-system", "coredns"), ("openshift-dns", "dns-default"))


@dataclass(frozen=True, slots=True)
class Mention:
    """A host named in a workload's settings."""

    host: Host
    where: str
    via: KubeObject
    """Who would have to change to name another host: the ConfigMap, else the workload."""
    found: KubeObject | None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A log line that complains about reaching something."""

    trouble: Trouble
    line: str
    count: int
    pod: KubeObject
    container: str
    previous: bool
    host: Host | None
    found: KubeObject | None
    implied: bool = False
    """The line names nobody, but speaks as a client of the one server that the settings name."""
    first: datetime | None = None
    """When the log of a program that is ready said so first."""


def trouble_in(line: str) -> Trouble | None:
    """What kind of connection trouble a line speaks of, if any; of a request that was answered, where the server failed."""
    found = next((name for name, pattern in _TROUBLES.items() if _speaks_of(name, pattern, line)), None)
    status = answered(line) if found is not None else None
    return None if status is not None and not of_the_server(status) else found


def _speaks_of(name: Trouble, pattern: re.Pattern[str], line: str) -> bool:
    if pattern.search(line) is None:
        return False
    # Words of trouble where nothing is wrong are looked for only where others of its kind may stand beside them.
    may_be_settled = name in ("timeout", "tls") and not _STILL_WRONG.search(line)
    return not may_be_settled or pattern.search(_SETTLED.sub("", line)) is not None


class Dependencies:
    """Mentions per workload, read when first asked for."""

    def __init__(self, graph: Graph, onset: datetime | None = None) -> None:
        """`onset`: when the alert began; what was said long before that may be over."""
        self._graph = graph
        now = graph.snapshot.captured_at
        self._since = min(onset or now, now)
        self._configured: dict[int, list[Mention]] = {}
        self._spoken: dict[int, list[Spoken]] = {}
        self._behind: dict[int, list[KubeObject]] = {}

    def configured(self, top: KubeObject) -> list[Mention]:
        """Hosts the settings of a workload (or of those a custom resource owns) name."""
        if id(top) not in self._configured:
            found: dict[tuple[str, int | None, str], Mention] = {}
            for workload in self._graph.workloads_of(top):
                for mention in self._mentions(workload):
                    found.setdefault((mention.host.name, mention.host.port, mention.where), mention)
            self._configured[id(top)] = list(found.values())
        return self._configured[id(top)]

    def spoken(self, top: KubeObject) -> list[Spoken]:
        """Connection complaints in the logs of its pods, newest last, one per shape of line."""
        if id(top) not in self._spoken:
            self._spoken[id(top)] = list(self._complaints(top))
        return self._spoken[id(top)]

    def astray(self, top: KubeObject) -> list[KubeObject]:
        """Services and pods that its log says are not reached though they are ready: the way there may be why."""
        found = {
            id(said.found): said.found
            for said in self.spoken(top)
            if said.found is not None
            and not said.implied
            and any(_TROUBLES[trouble].search(said.line) for trouble in _ON_THE_WAY)
        }
        return [obj for obj in found.values() if self._answers(obj)]

    @cached_property
    def carriers(self) -> list[KubeObject]:
        """Who carries the calls of every pod."""
        return carriers(self._graph)

    def logged(self, top: KubeObject) -> bool:
        """Whether any log of its pods was recorded."""
        return any(self._logs(top))

    def mentions(self, top: KubeObject, words: re.Pattern[str]) -> bool:
        """Whether a log of its pods holds such words at all: cheaper than reading its lines."""
        return any(words.search(log.text) for _, log in self._logs(top))

    def behind(self, found: KubeObject) -> list[KubeObject]:
        """The top owners behind a Service, or of a pod found by its address."""
        if id(found) not in self._behind:
            graph = self._graph
            self._behind[id(found)] = graph.behind(found) if found.kind == "Service" else [graph.top(found)]
        return self._behind[id(found)]

    @cached_property
    def resolvers(self) -> list[KubeObject]:
        """The Services of cluster DNS."""
        named = [self._graph.get("Service", namespace, name) for namespace, name in _DNS_SERVICES]
        # Distributions name it as they like (`rke2-coredns-rke2-coredns`), and keep the label.
        labelled = [
            s
            for s in self._graph.services_in("kube-system")
            if s.labels.get("k8s-app") == "kube-dns" and s.spec.get("selector")
        ]
        return list({id(s): s for s in (*named, *labelled) if s is not None}.values())

    # -- settings --------------------------------------------------------------------------------

    def _mentions(self, workload: KubeObject) -> Iterator[Mention]:
        spec = pod_spec(workload)
        for container in containers(spec):
            name = text(container.get("name"))
            for variable in entries(container.get("env")):
                key = text(variable.get("name"))
                yield from self._named(
                    text(variable.get("value")), key, f"env {key} of container {name}", workload, workload
                )
            words = strings(container.get("command")) + strings(container.get("args"))
            for word in words:
                flag, _, value = word.partition("=")
                yield from self._named(
                    value or word, flag, f"an argument of container {name}", workload, workload
                )
        for use, config, key, value in values_of(self._graph, workload):
            where = f"key {key} of ConfigMap {config.name} ({use.where})"
            yield from self._named(value, use.variable or key, where, config, workload, key)

    def _named(
        self, value: str, key: str, where: str, via: KubeObject, workload: KubeObject, data_key: str = ""
    ) -> Iterator[Mention]:
        if not value:
            return
        for host in hosts_in(value, key=key):
            found = self._graph.names.find(host.name, workload.namespace)
            if found is None and not self._meant_for_the_cluster(host, workload.namespace):
                continue
            if found is not None and self._graph.top(workload) in self.behind(found):
                continue
            yield Mention(host, where, via, found, data_key)

    def _meant_for_the_cluster(self, host: Host, namespace: str | None) -> bool:
        """Whether a name that means no Service was surely meant as one."""
        if host.name in _LOCAL or self._graph.names.place(host.name, namespace) is None:
            return False
        return "." in host.name or host.port is not None

    # -- logs ------------------------------------------------------------------------------------

    def _logs(self, top: KubeObject) -> Iterator[tuple[KubeObject, ContainerLog]]:
        pods = self._graph.pods_of(top)
        if len(pods) > 1:
            pods = sorted(pods, key=lambda p: (is_ready(p), p.name))[:PODS_READ]
        for pod in pods:
            for log in self._graph.snapshot.logs_of(pod.namespace, pod.name):
                yield pod, log

    def _complaints(self, top: KubeObject) -> Iterator[Spoken]:
        first: dict[str, tuple[Trouble, str, KubeObject, ContainerLog]] = {}
        counts: dict[str, int] = {}
        begun: dict[str, datetime] = {}
        for pod, log in self._logs(top):
            said = [
                (trouble, line)
                for line in last_lines(log.text)
                if (trouble := trouble_in(line) or self._asked_in_vain(line, pod)) is not None
                and not is_narrative(line)
            ]
            if said and is_ready(pod) and not log.previous:
                timed = timed_lines(log.text)
                over = over_in(pod, log, timed, self._graph.snapshot.captured_at, self._since)
                said = [
                    (t, line) for t, line in said if not self._is_past(line, pod, over.get(shape_of(line)))
                ]
                for moment, line in timed if said else ():
                    if moment is not None:
                        begun.setdefault(shape_of(line), moment)
            for trouble, line in said:
                shape = re.sub(r"\d+", "#", line[-300:])
                first.setdefault(shape, (trouble, line, pod, log))
                counts[shape] = counts.get(shape, 0) + 1
        for shape, (trouble, line, pod, log) in first.items():
            shown = ends(redact(line[: 20 * LONGEST]))
            for host, found in self._heard(line, pod):
                meant = self._meant(top, line) if host is None else None
                if meant is not None:
                    host, found = meant.host, meant.found
                yield Spoken(
                    trouble, shown, counts[shape], pod, log.container, log.previous, host, found,
                    implied=meant is not None, first=begun.get(shape_of(line)),
                )  # fmt: skip

    def _is_past(self, line: str, pod: KubeObject, over: Over | None) -> bool:
        """Whether a line of a program that runs well is no complaint: news by its writer's own word, or left behind.

        News about somebody, and what was said of him at the start, hold while he cannot answer: it is so to this day.
        """
        if over is None and not is_news(line):
            return False
        named = [found for _, found in self._heard(line, pod) if found is not None]
        return over is Over.long_ago or all(self._answers(o) or _leads_outside(o) for o in named)

    def _answers(self, found: KubeObject) -> bool:
        """Whether something is ready there."""
        return is_ready(found) if found.kind == "Pod" else self._graph.endpoints(found).ready > 0

    def _meant(self, top: KubeObject, line: str) -> Mention | None:
        """The one server of its settings that a line means: by its bare name, or by its protocol's words."""
        called = {
            id(m.found): m for m in self.configured(top) if m.found is not None and _says(line, m.found.name)
        }
        if len(called) == 1:
            return next(iter(called.values()))
        ports = next((ports for ports, words in _SPEAKS if words.search(line)), None)
        if ports is None:
            return None
        named = {
            id(m.found): m
            for m in self.configured(top)
            if m.found is not None and ports.intersection({m.host.port} if m.host.port else ports_of(m.found))
        }
        return next(iter(named.values())) if len(named) == 1 else None

    def _asked_in_vain(self, line: str, pod: KubeObject) -> Trouble | None:
        """An error about a call of a Service, in whatever words: `POST http://pay/charge: quota used up`.

        Or one that a server gives, as its client's protocol says it: `PSQLException: prepared statement does not exist`.
        """
        answered = _SPOKEN.search(line) is not None
        if not (answered or _CALLED.search(line)) or not weigh(line):
            return None
        if answered and not _OWN_FAULT.search(line):
            return "other"
        if not _CALLED.search(line):
            return None
        own = self._graph.top(pod)
        named = [self._graph.names.find(h.name, pod.namespace) for h in hosts_in(line, spoken=True)]
        return "other" if any(f is not None and own not in self.behind(f) for f in named) else None

    def _heard(self, line: str, pod: KubeObject) -> list[tuple[Host | None, KubeObject | None]]:
        """Hosts in a line that mean something here; (None, None) for a complaint that names nobody."""
        heard: list[tuple[Host | None, KubeObject | None]] = []
        for host in hosts_in(line, spoken=True):
            found = self._graph.names.find(host.name, pod.namespace)
            if found is not None and self._graph.top(pod) in self.behind(found):
                continue
            if found is not None or (host.name not in _LOCAL and (host.port is not None or "." in host.name)):
                heard.append((host, found))
        return heard or [(None, None)]


def _leads_outside(found: KubeObject) -> bool:
    """Whether it is a Service of no pods: whether anybody answers there is not recorded."""
    return found.kind == "Service" and not found.spec.get("selector")


def _says(line: str, name: str) -> bool:
    """Whether a name stands in a line where values stand: after a sign, in quotes, or at an end."""
    at = line.find(name)
    if at < 0:
        return False
    before, after = line[at - 1 : at], line[at + len(name) : at + len(name) + 1]
    return before in ("=", ":", '"', "'", "`", "/") and not (after.isalnum() or after in ("_", "-"))


def ports_of(service: KubeObject) -> list[int]:
    """Ports a Service listens on."""
    return [number(p.get("port")) for p in entries(service.spec.get("ports"))]


def blames(deps: Dependencies, top: KubeObject, lines: list[Line]) -> tuple[Blame, ...]:
    """Dependencies that may be why this workload's processes fail, and how surely.

    A Service a log line complains about weighs most; one that only the settings name weighs by what
    the logs say: connection trouble without a name, nothing at all, or something else entirely.
    """
    found: dict[int, Blame] = {}

    def add(on: KubeObject, strength: float, why: str) -> None:
        if on is not top and (id(on) not in found or found[id(on)].strength < strength):
            found[id(on)] = Blame(on, strength, why)

    spoken = deps.spoken(top)
    for said in spoken:
        if said.found is not None and said.host is not None:
            surely = 0.7 if said.trouble == "auth" else 0.85 if said.implied else 0.95
            how = "speaks of its" if said.implied else "names"
            add(said.found, surely, f"its log {how} {said.host.name}: `{quote(said.line)}`")
    if any(said.trouble == "dns" for said in spoken):
        for resolver in deps.resolvers:
            add(resolver, 0.85, "its log cannot look up names")
    astray = deps.astray(top)
    if len(astray) > 1:
        names = ", ".join(service.name for service in astray[:3])
        for carrier in deps.carriers:
            add(
                carrier, ASTRAY, f"it carries the calls to {names}, which have ready pods and are not reached"
            )
    heard_ports = {s.host.port for s in spoken if s.host is not None and s.found is None and s.host.port}
    # A host outside is a name, and none of those that the settings name; news is no complaint.
    nameless = any(
        s.found is None and (s.host is None or s.host.name.count(".") < 2) and not is_news(readable(s.line))
        for s in spoken
    )
    for mention in deps.configured(top):
        if mention.found is None:
            continue
        ports = {mention.host.port, *(ports_of(mention.found) if mention.found.kind == "Service" else [])}
        if heard_ports & ports:
            strength, how = 0.85, "its log complains about that port"
        elif nameless:
            strength, how = 0.75, "its log speaks of connection trouble without a name"
        elif not deps.logged(top):
            strength, how = 0.6, "no log of it was recorded"
        elif not lines:
            strength, how = 0.5, "its log names no error"
        else:
            strength, how = 0.3, "its log speaks of something else"
        add(mention.found, strength, f"{mention.where} names {mention.host.name} ({how})")
    return tuple(found.values())
